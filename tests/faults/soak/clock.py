"""Clocks that somebody else sets: a file of offsets that all processes map, so that a jump is seen at the very next look."""

from __future__ import annotations

import mmap
from pathlib import Path

from agentflow.clock import SystemClock

EVERYBODY = 0
"""The place of the offset that all processes share: the clock of the host. A worker's own is at its number, from 1."""
_PLACES = 64
_WIDTH = 8


class Offsets:
    """The offsets of all clocks, in microseconds."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_PLACES * _WIDTH)
            self._cells = memoryview(mmap.mmap(file.fileno(), _PLACES * _WIDTH)).cast("q")

    def at(self, place: int) -> int:
        """An offset."""
        return int(self._cells[place])

    def set(self, place: int, offset: int) -> None:
        """Set an offset: whoever looks at that clock sees it jump."""
        self._cells[place] = offset


class JumpingClock(SystemClock):
    """The system's clock, as wrong as its offsets say."""

    def __init__(self, offsets: Offsets, place: int = EVERYBODY) -> None:
        self._offsets = offsets
        self._place = place

    def now(self) -> int:
        own = 0 if self._place == EVERYBODY else self._offsets.at(self._place)
        return super().now() + self._offsets.at(EVERYBODY) + own
