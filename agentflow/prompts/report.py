"""What an experiment with a prompt found: a value per version and scorer, what differs from the first version, and the runs behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentflow.prompts.intervals import Estimate, difference_of, mean_of
from agentflow.records import RunRecord, RunState, UsageRecord
from agentflow.serde import decode_failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A run of an experiment, as scorers see it: it repeats the run `source` by a version. `usage` is that of all runs below it, too."""

    source: str
    version: int
    run: RunRecord
    usage: UsageRecord

    @property
    def failed(self) -> bool:
        """Whether it did not end with a result."""
        return self.run.state is not RunState.COMPLETED

    @property
    def unrecorded(self) -> bool:
        """Whether it failed for it asked for something that the repeated run never did."""
        return self.run.error is not None and decode_failure(self.run.error).type == "NotRecorded"

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end."""
        if self.run.finished_at is None or self.run.started_at is None:
            return None
        return (self.run.finished_at - self.run.started_at) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A run of an experiment and its scores; None where there is none, as of a run that failed."""

    source: str
    version: int
    run: str
    state: str
    unrecorded: bool
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a scorer says of a version. `difference` is to the first version, of the inputs that both have a score of."""

    version: int
    scorer: str
    estimate: Estimate
    difference: Estimate | None
    runs: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an experiment found. `str(report)` is a table, `report.json()` all of it.

    >>> print(report)
    >>> report.cell(5, "cost").difference.high
    """

    id: str
    prompt: str
    versions: Sequence[int]
    tools: str
    scorers: Sequence[str]
    runs: Sequence[Scored]

    @property
    def cells(self) -> list[Cell]:
        """One per version and scorer."""
        return [self.cell(version, scorer) for scorer in self.scorers for version in self.versions]

    def cell(self, version: int, scorer: str) -> Cell:
        """What a scorer says of a version. Raises `KeyError` for one that was not asked."""
        found = self._scores(version, scorer)
        first, values = self._scores(self.versions[0], scorer), list(found.values())
        pairs = [(first[source], value) for source, value in found.items() if source in first]
        runs = [one.run for one in self.runs if one.version == version and one.source in found]
        difference = None if version == self.versions[0] else difference_of(pairs)
        return Cell(version=version, scorer=scorer, estimate=mean_of(values), difference=difference, runs=runs)

    def json(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        told = {name: getattr(self, name) for name in ("id", "prompt", "tools")}
        lists = {"versions": list(self.versions), "scorers": list(self.scorers)}
        return {**told, **lists, "cells": [asdict(one) for one in self.cells], "runs": [asdict(one) for one in self.runs]}

    def __str__(self) -> str:
        first = self.versions[0]
        head = ("scorer", "version", "n", "mean", "95 % interval", f"to v{first}", "95 % interval", "n")
        rows = [head, *(_row(one) for one in self.cells)]
        widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"{self.prompt}: experiment {self.id}, tools {self.tools}", *lines, *self._notes()])

    def _scores(self, version: int, scorer: str) -> dict[str, float]:
        found = {one.source: one.scores[scorer] for one in self.runs if one.version == version}
        return {source: value for source, value in found.items() if value is not None}

    def _notes(self) -> list[str]:
        notes: list[str] = []
        for version in self.versions:
            failed = [one for one in self.runs if one.version == version and one.state != RunState.COMPLETED]
            missing = sum(one.unrecorded for one in failed)
            if failed:
                why = f", {missing} of them for they asked for what is not recorded" if missing else ""
                notes.append(f"v{version}: {len(failed)} of {sum(one.version == version for one in self.runs)} runs failed{why}.")
        methods = {one.method for cell in self.cells for one in (cell.estimate, cell.difference) if one is not None}
        return [*notes, f"Intervals: {', '.join(sorted(methods))}. Differences are of the same inputs."]


def _row(one: Cell) -> tuple[str, ...]:
    known, than = one.estimate, one.difference
    told = (one.scorer, f"v{one.version}", str(known.n), _number(known.mean), _interval(known))
    rest = ("", "", "") if than is None else (_number(than.mean, sign="+"), _interval(than), str(than.n))
    return (*told, *rest)


def _interval(one: Estimate) -> str:
    return "" if one.low is None else f"{_number(one.low)} … {_number(one.high)}"


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.4g}"
