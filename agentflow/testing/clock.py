"""A clock that stands still until a test advances it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

from agentflow.clock import Duration, microseconds

START = 1_800_000_000_000_000


class ManualClock:
    """Time that moves only by `advance`, which fires what is due in order and lets the engine react in between.

    >>> await clock.advance("3d")
    """

    def __init__(self, start: int = START) -> None:
        self._now = start
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._beats: list[Callable[[], None]] = []
        self.settle: Callable[[], Awaitable[None]] = turns

    def now(self) -> int:
        """The time, in microseconds since 1970."""
        return self._now

    async def sleep_until(self, when: int) -> None:
        """Return once the clock was advanced to `when`."""
        if when <= self._now:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), future))
        await future

    async def sleep(self, duration: Duration) -> None:
        """Sleep by this clock."""
        await self.sleep_until(self._now + microseconds(duration))

    def beat(self, interval: int, renew: Callable[[], None]) -> Callable[[], None]:
        """Leases are renewed whenever the clock moves, before anything notices that it moved."""
        self._beats.append(renew)
        return lambda: self._beats.remove(renew) if renew in self._beats else None

    async def advance(self, duration: Duration) -> None:
        """Move on, stopping at each moment for which somebody sleeps."""
        target = self._now + microseconds(duration)
        await self.settle()
        while (due := self._next(target)) is not None:
            await self._move(due)
        await self._move(target)

    def set(self, now: int) -> None:
        """Be set, forward or back, as a machine's clock may be; whoever sleeps notices when it next moves on.

        >>> clock.set(clock.now() - 3_600_000_000)
        """
        self._now = now

    def _next(self, target: int) -> int | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers and self._sleepers[0][0] <= target else None

    async def _move(self, when: int) -> None:
        self._now = max(self._now, when)
        for renew in tuple(self._beats):
            renew()
        while self._sleepers and self._sleepers[0][0] <= self._now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)
        await self.settle()


async def turns(count: int = 20) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)
