"""What is told: the table, whether the goals are reached, and JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import ALL, FIGURES_OF, STORES, Contender, Store
from tests.benchmarks.figures import LINES, Line
from tests.benchmarks.race import Results
from tests.benchmarks.sizes import Sizes

TITLES: Mapping[str, str] = {"sqlite": "SQLite, and peers that bring their own server", "postgres": "PostgreSQL"}
NONE = "–"
OURS = "agentflow"
BARE = "bare"
COMMITS = ("W1", "W4", "W5 first", "W5 last")
STEADY = 2.0
LEGEND = (
    "Medians; every contender as durable at every step as it can be. ÷ bare: how many times the bare limit agentflow takes, measured in",
    "turn with it where it can be. ÷ best peer: how many times the figure of the best peer; below 1 agentflow is better.",
    "W6: how many times what it takes in an empty database. Bare limit: one commit per step (W1), 100 rows per commit (W2),",
    "three commits (W3), one (W4), rows read and decoded (W5 recovery). Temporal's local activities, and W1 and W2 of Absurd:",
    "see tests/benchmarks/with_temporal.py and with_absurd.py.",
)


def tables(results: Results, sizes: Sizes) -> str:
    """A table for each store, what is missing and why, and how steady the disk was."""
    parts = [table(results, store) for store in STORES if f"{OURS}/{store}" in results]
    return "\n\n".join(
        [
            *parts,
            "\n".join(
                [*LEGEND, _sizes(sizes), *(_noise(results, store) for store in STORES if f"{BARE}/{store}" in results), *_missing(results)]
            ),
        ]
    )


def table(results: Results, store: Store) -> str:
    """The figures of those on one store, agentflow's with its ratios first."""
    here = [one for one in ALL if one.store == store and one.key in results and results[one.key].samples]
    others = [one for one in here if one.name != OURS]
    told = [line for line in LINES if any(line.key in results[one.key].samples for one in here)]
    head = [TITLES[store], OURS, *(one.name for one in others), "÷ bare", "÷ best peer", "goal", ""]
    rows = [head, *(_row(line, results, store, others) for line in told)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(_padded(text, width, column) for column, (text, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
    lines = [line.rstrip() for line in lines]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def _row(line: Line, results: Results, store: Store, others: Sequence[Contender]) -> list[str]:
    ours = medians(results).get(f"{OURS}/{store}", {})
    cells = [_number(results[one.key].figure(line.key), line) for one in others]
    goal = line.goals.get(store)
    verdict = "" if goal is None or line.key not in ours else "reached" if goal.reached(ours) else "NOT REACHED"
    ratios = [_times(over_bare(line, results, store)), _times(over_best_peer(line, results, store))]
    return [line.title, _number(ours.get(line.key), line), *cells, *ratios, goal.text if goal else "", verdict]


def over_bare(line: Line, results: Results, store: Store) -> float | None:
    """How many times the bare limit agentflow takes: in turn with it where that was measured, else median by median."""
    in_turn = results[f"{OURS}/{store}"].figure(f"{line.key} over bare") if f"{OURS}/{store}" in results else None
    return in_turn or (_over(line, results, store, [BARE]) if line.compared else None)


def over_best_peer(line: Line, results: Results, store: Store) -> float | None:
    """How many times the figure of the best peer agentflow's is; below 1 it is better."""
    peers = [one.name for one in ALL if one.store == store and not one.ours]
    return _over(line, results, store, peers) if line.compared else None


def _over(line: Line, results: Results, store: Store, names: Sequence[str]) -> float | None:
    found = [results[f"{name}/{store}"].figure(line.key) for name in names if f"{name}/{store}" in results]
    others = [value for value in found if value]
    ours = results[f"{OURS}/{store}"].figure(line.key)
    if not others or not ours:
        return None
    return max(others) / ours if line.more_is_better else ours / min(others)


def medians(results: Results) -> dict[str, dict[str, float]]:
    """All figures, by contender."""
    return {key: {name: result.figure(name) or 0.0 for name in result.samples} for key, result in results.items()}


def _number(value: float | None, line: Line) -> str:
    return NONE if value is None else format(value, line.form)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _sizes(sizes: Sizes) -> str:
    long, crowd = f"{sizes.long_steps:,} steps, killed at {sizes.killed_at:,}", f"{sizes.waiting_runs:,} waiting runs"
    return f"W2: {sizes.runs:,} runs, of peers {sizes.peer_runs:,}. W5: {long}. W6: {crowd}."


def _noise(results: Results, store: Store) -> str:
    commits = [commit for figure in COMMITS for commit in results[f"{BARE}/{store}"].samples.get(figure, [])]
    if not commits:
        return f"{store}: no bare commits were measured."
    steady = max(commits) <= STEADY * min(commits)
    told = "" if steady else ": others use this disk, so judge by ratios, and measure again"
    return f"{store}: a bare commit took {min(commits):.2f} to {max(commits):.2f} ms from moment to moment{told}."


def _missing(results: Results) -> list[str]:
    return [
        f"{key}{f', {FIGURES_OF[workload]}' if workload else ''}: {reason}"
        for key, result in results.items()
        for workload, reason in result.missing.items()
    ]


def _padded(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)


def document(results: Results, sizes: Sizes) -> dict[str, Any]:
    """Everything that was measured, as JSON."""
    ratios = {
        store: {line.key: {"bare": over_bare(line, results, store), "best peer": over_best_peer(line, results, store)} for line in LINES}
        for store in STORES
        if f"{OURS}/{store}" in results
    }
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "sizes": asdict(sizes),
        "medians": medians(results),
        "ratios": ratios,
        "contenders": {key: asdict(result) for key, result in results.items()},
    }


def write(told: Mapping[str, Any], path: Path) -> None:
    """Write the document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
