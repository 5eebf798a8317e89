"""The benchmarks themselves work. What they measure is no test: machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import turns
from tests.benchmarks.contenders import ALL, WORKLOADS, Contender, Store
from tests.benchmarks.figures import LINES
from tests.benchmarks.race import Result, race
from tests.benchmarks.report import document, over_best_peer, tables, write
from tests.benchmarks.sizes import TINY

IN_TURN = {"W1 over bare", "W3 over bare", "W4 over bare"}


def ours_on(store: Store) -> list[Contender]:
    return [one for one in ALL if one.ours and one.store == store]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_tiny_race_fills_every_line_and_repeats_no_step_after_a_kill(tmp_path: Path, store: Store) -> None:
    results = race(ours_on(store), TINY, tmp_path)
    assert [result.missing for result in results.values()] == [{}, {}]
    ours = results[f"agentflow/{store}"]
    assert {line.key for line in LINES} | IN_TURN == set(ours.samples)
    assert ours.figure("W5 repeated") == 0
    assert all(line.title in tables(results, TINY) for line in LINES)
    path = tmp_path / "told.json"
    write(document(results, TINY), path)
    assert set(json.loads(path.read_text(encoding="utf-8"))["medians"]) == set(results)


def test_a_contender_that_fails_is_told_with_its_reason_and_stops_nobody(tmp_path: Path) -> None:
    absent = Contender(name="dbos", store="sqlite", module="with_nobody")
    bare = next(one for one in ours_on("sqlite") if one.name == "bare")
    results = race([absent, bare], TINY, tmp_path, ["one_run"])
    assert "No module named 'tests.benchmarks.with_nobody'" in results["dbos/sqlite"].missing[""]
    assert set(results["bare/sqlite"].samples) == {"W1"}
    assert "dbos/sqlite: " in tables(results, TINY)


def test_a_workload_that_is_left_out_of_a_contender_is_told_with_its_reason() -> None:
    left_out = [one for one in ALL if one.left_out]
    assert [one.name for one in left_out] == ["temporal"]
    assert all(set(one.left_out) <= set(WORKLOADS) for one in ALL)
    results = {one.key: Result(missing=dict(one.left_out)) for one in left_out}
    assert "temporal/sqlite, W5: 10,000 activities" in tables(results, TINY)


def test_the_best_peer_has_the_least_time_or_the_most_runs() -> None:
    w1, w2 = LINES[:2]
    results = {
        "agentflow/sqlite": Result(samples={"W1": [1.0], "W2": [2_000.0]}),
        "bare/sqlite": Result(samples={"W1": [0.5], "W2": [9_000.0]}),
        "dbos/sqlite": Result(samples={"W1": [4.0], "W2": [20.0]}),
        "langgraph/sqlite": Result(samples={"W1": [2.0], "W2": [50.0]}),
    }
    assert over_best_peer(w1, results, "sqlite") == 1.0 / 2.0
    assert over_best_peer(w2, results, "sqlite") == 50.0 / 2_000.0


async def test_the_cost_of_a_turn_is_measured_beside_the_own_loop(tmp_path: Path) -> None:
    took = await turns.measure(turns=4, rounds=1, database=None, directory=tmp_path)
    assert {name: len(times) for name, times in took.items()} == {"own loop": 2, "own loop, streamed": 2, "agentflow": 2}
    assert all(wall > 0 and work > 0 for times in took.values() for wall, work in times)
