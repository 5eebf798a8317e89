"""One moment in the future at which something is to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentflow.clock import Clock


class Alarm:
    """Calls `ring` at the earliest of the moments that were set."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._when: int | None = None
        self._waiting: asyncio.Task[None] | None = None

    def set(self, when: int | None) -> None:
        """Ring at `when`, in microseconds since 1970, unless it rings before; None changes nothing."""
        if when is None or (self._when is not None and self._when <= when):
            return
        self.close()
        self._when = when
        self._waiting = asyncio.get_running_loop().create_task(self._wait(when))

    async def _wait(self, when: int) -> None:
        await self._clock.sleep_until(when)
        self._when = self._waiting = None
        self._ring()

    def close(self) -> None:
        """Do not ring."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._when = self._waiting = None
