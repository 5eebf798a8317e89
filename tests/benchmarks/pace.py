"""From moments to figures."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter
from typing import Any, NoReturn

from tests.benchmarks.place import Place, sql
from tests.benchmarks.sizes import Sizes

PARTS = 10
FIGURES = dict[str, list[float]]


class Pace:
    """When the steps of the long run began, in the process that is killed or in the one that goes on."""

    def __init__(self) -> None:
        self.first_step: int | None = None
        self.moments: list[float] = []
        self._dies_at: tuple[int, Path] | None = None

    def die_at(self, number: int, directory: Path) -> None:
        """Kill this process in the body of step `number`, and leave the moments in `directory`."""
        self._dies_at = (number, directory)

    def step(self, number: int) -> None:
        """The body of step `number`, counted from 0, begins now."""
        self.moments.append(perf_counter())
        if self.first_step is None:
            self.first_step = number
        if self._dies_at is not None and number == self._dies_at[0]:
            self._die(self._dies_at[1])

    def _die(self, directory: Path) -> NoReturn:
        (directory / "moments.json").write_text(json.dumps(self.moments), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit

    def figures(self, sizes: Sizes, place: Place, taken: float) -> FIGURES:
        """What the long run shows, in the process that ended it; `taken` is when it got hold of the run."""
        before: list[float] = json.loads((place.directory / "moments.json").read_text(encoding="utf-8"))
        told = {
            "W5 first": [per_step(before[: sizes.edge + 1])],
            "W5 last": [per_step(self.moments[-sizes.edge :])],
            "W5 recovery": [self.moments[0] - taken],
            "W5 repeated": [float(sizes.killed_at - (self.first_step or 0))],
        }
        size = _bytes(place)
        return {**told, "W5 bytes": [size / sizes.long_steps]} if size else told


def per_step(moments: Sequence[float]) -> float:
    """Milliseconds from one moment to the next: the median of ten stretches."""
    stretch = max(1, (len(moments) - 1) // PARTS)
    return median((moments[at + stretch] - moments[at]) / stretch for at in range(0, len(moments) - stretch, stretch)) * 1e3


def pause(seconds: float) -> None:
    """For contenders that tell nobody when they wait."""
    Event().wait(seconds)


def _bytes(place: Place) -> int:
    """What the database takes on the disk: files with their log, or tables with their indexes."""
    if place.database is not None:
        return asyncio.run(_bytes_of_tables(place.database))
    return sum(file.stat().st_size for file in place.directory.iterdir() if ".db" in file.name or "sqlite" in file.name)


async def _bytes_of_tables(url: str) -> int:
    asyncpg: Any = importlib.import_module("asyncpg")
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(sql("postgres/size")))
    finally:
        await connection.close()
