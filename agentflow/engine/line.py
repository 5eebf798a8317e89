"""Model calls that wait until others have ended: of those in this process one looks for each budget, the others stand behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

_FIRST, _LAST = 0.01, 0.25
"""Seconds of real time between looks whether a call of another process has ended."""


class Place:
    """Where calls wait for one budget."""

    def __init__(self) -> None:
        self.waiting = 0
        self.lock = asyncio.Lock()
        self.ended = asyncio.Event()
        self._delay = _FIRST

    def begin(self) -> None:
        """Another one is the first."""
        self.ended.clear()
        self._delay = _FIRST

    async def change(self) -> None:
        """Wait until it is worth another look: a call has ended, or may have in another process."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay):
                await self.ended.wait()
        # Before the look: what ends while it is taken is not missed.
        self.ended.clear()
        self._delay = min(2 * self._delay, _LAST)


class Line:
    """Who waits for which budget, on one event loop."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    @asynccontextmanager
    async def first(self, budget: str) -> AsyncGenerator[Place]:
        """Wait until one is the first of those who wait for this budget."""
        place = self._places.setdefault(budget, Place())
        place.waiting += 1
        try:
            async with place.lock:
                place.begin()
                yield place
        finally:
            place.waiting -= 1
            if not place.waiting:
                del self._places[budget]

    def ended(self, budgets: Iterable[str]) -> None:
        """A call that counted for these has ended."""
        for budget in budgets:
            if (place := self._places.get(budget)) is not None:
                place.ended.set()


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Line] = WeakKeyDictionary()


def line_of(loop: asyncio.AbstractEventLoop) -> Line:
    """The line of a loop."""
    return _lines.setdefault(loop, Line())
