"""The table, and whether the goals are reached."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.race import Result
from tests.benchmarks.sizes import Sizes

Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `limit`, or at least; `times` names a contender and a figure of it that the limit is a multiple of."""

    text: str
    limit: float
    times: tuple[str, str] | None = None
    at_least: bool = False

    def reached(self, ours: float, medians: Mapping[str, Figures]) -> bool:
        """Whether agentflow's figure is as good."""
        limit = self.limit if self.times is None else self.limit * (medians[self.times[0]][self.times[1]] or 0)
        return ours >= limit if self.at_least else ours <= limit


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: which figure, what it is, how it is written."""

    key: str
    title: str
    form: str
    goal: Goal | None = None
    more_is_better: bool = False


IN_TURN = "   times the bare limit, measured in turn"
LINES = (
    Line("W1", "W1 step of a run of 100, ms", ".2f"),
    Line("W1 over bare", IN_TURN, ".2f", Goal("≤ 1.5", 1.5)),
    Line("W2", "W2 runs of 5 steps, per second", ",.0f", Goal("≥ 2,000", 2_000, at_least=True), more_is_better=True),
    Line("W3", "W3 start to result, p50, ms", ".2f", Goal("≤ 2", 2)),
    Line("W3 over bare", IN_TURN, ".2f"),
    Line("W4", "W4 answer to next line, p50, ms", ".2f", Goal("≤ 1.5", 1.5)),
    Line("W4 over bare", IN_TURN, ".2f"),
    Line("W4 evicted", "   the same, not in memory", ".2f"),
    Line("W5 first", "W5 first 1,000 of 10,000, ms/step", ".2f"),
    Line("W5 last", "   last 1,000", ".2f", Goal("≤ 1.2 × first", 1.2, ("agentflow", "W5 first"))),
    Line("W5 bytes", "   database bytes per step", ",.0f"),
    Line("W5 recovery", "   kill -9 at 9,000: going on, s", ".3f", Goal("≤ 0.2", 0.2)),
    Line("W5 repeated", "   recorded steps run again", ",.0f", Goal("0", 0)),
)
HEADINGS = {"agentflow": "agentflow", "bare": "bare limit", "dbos": "dbos", "langgraph": "langgraph"}
MISSING = "–"
COMMITS = ("W1", "W4", "W5 first", "W5 last")
STEADY = 2.0


def table(results: Mapping[str, Result]) -> str:
    """Agentflow's figures, and those of others with how many times worse they are than agentflow's; for the bare limit, how far it is."""
    names = [name for name in HEADINGS if name in results and results[name].missing is None]
    rows = [["", *(HEADINGS[name] for name in names), "goal", ""]]
    medians = {name: {line.key: results[name].figure(line.key) for line in LINES} for name in names}
    rows.extend(_row(line, medians) for line in LINES)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_padded(text, width, column) for column, (text, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
    notes = [f"{HEADINGS[name]}: {result.missing}" for name, result in results.items() if result.missing is not None]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:], "", *LEGEND, _noise(results["bare"]), *notes])


LEGEND = (
    "In brackets: agentflow against it; above 1 agentflow is slower. Medians; every contender durable at every step, as far as it can be.",
    "bare limit: one commit per step (W1), 100 rows per commit (W2), three commits (W3), one (W4), rows read and decoded (W5 recovery).",
)


def _noise(bare: Result) -> str:
    commits = [commit for figure in COMMITS for commit in bare.samples[figure]]
    steady = max(commits) <= STEADY * min(commits)
    told = "" if steady else ": others use this disk, so judge by ratios, and measure again"
    return f"A bare commit took {min(commits):.2f} to {max(commits):.2f} ms from moment to moment{told}."


def _row(line: Line, medians: Mapping[str, Figures]) -> list[str]:
    cells = [_cell(line, name, medians) for name in medians]
    return [line.title, *cells, line.goal.text if line.goal else "", _verdict(line, medians)]


def _cell(line: Line, name: str, medians: Mapping[str, Figures]) -> str:
    value, ours = medians[name][line.key], medians["agentflow"][line.key]
    if value is None:
        return MISSING
    text = format(value, line.form)
    if name == "agentflow" or not value or not ours:
        return text
    ratio = value / ours if line.more_is_better else ours / value
    return f"{text} ({ratio:.2g}×)"


def _verdict(line: Line, medians: Mapping[str, Figures]) -> str:
    ours = medians["agentflow"][line.key]
    if line.goal is None or ours is None:
        return ""
    return "reached" if line.goal.reached(ours, medians) else "NOT REACHED"


def _padded(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)


def write(results: Mapping[str, Result], sizes: Sizes, directory: Path) -> Path:
    """Write everything that was measured; returns the file."""
    now = datetime.now(UTC)
    found = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "sizes": asdict(sizes),
        "contenders": {name: asdict(result) for name, result in results.items()},
        "medians": {name: {line.key: result.figure(line.key) for line in LINES} for name, result in results.items()},
    }
    path = directory / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return path
