"""The benchmarks themselves work. What they measure is no test: machines differ."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.race import OURS, race
from tests.benchmarks.report import LINES, table, write
from tests.benchmarks.sizes import TINY

IN_TURN = {"W1 over bare", "W3 over bare", "W4 over bare"}


def test_a_tiny_race_fills_every_line_and_repeats_no_step_after_a_kill(tmp_path: Path) -> None:
    results = race(OURS, TINY, tmp_path)
    assert {line.key for line in LINES} == set(results["agentflow"].samples) == {*IN_TURN, *results["bare"].samples}
    assert results["agentflow"].figure("W5 repeated") == 0
    assert all(line.title in table(results) for line in LINES)
    written = json.loads(write(results, TINY, tmp_path).read_text(encoding="utf-8"))
    assert set(written["medians"]) == set(OURS)
