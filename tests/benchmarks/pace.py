"""From moments to figures."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NoReturn

PARTS = 10


class Pace:
    """When the steps of the long run began, in the process that was killed or in the one that goes on."""

    def __init__(self) -> None:
        self.first_step: int | None = None
        self.moments: list[float] = []

    def step(self, number: int) -> None:
        """The body of step `number`, counted from 0, begins now."""
        self.moments.append(perf_counter())
        if self.first_step is None:
            self.first_step = number

    def die(self, directory: Path) -> NoReturn:
        """Write the moments down and kill this process."""
        (directory / "moments.json").write_text(json.dumps(self.moments), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit

    def figures(self, directory: Path, killed_at: int, edge: int, taken: float) -> dict[str, list[float]]:
        """What the long run shows, in the process that ended it; `taken` is when it got hold of the run."""
        before: list[float] = json.loads((directory / "moments.json").read_text(encoding="utf-8"))
        return {
            "W5 first": [per_step(before[: edge + 1])],
            "W5 last": [per_step(self.moments[-edge:])],
            "W5 recovery": [self.moments[0] - taken],
            "W5 repeated": [float(killed_at - (self.first_step or 0))],
        }


def per_step(moments: Sequence[float]) -> float:
    """Milliseconds from one moment to the next: the median of ten stretches."""
    stretch = max(1, (len(moments) - 1) // PARTS)
    return median((moments[at + stretch] - moments[at]) / stretch for at in range(0, len(moments) - stretch, stretch)) * 1e3


def bytes_per_step(directory: Path, steps: int) -> float:
    """What the database of the long run takes on the disk, its log included."""
    return sum(file.stat().st_size for file in directory.iterdir() if ".db" in file.name or "sqlite" in file.name) / steps
