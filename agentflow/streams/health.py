"""Whether a server answers, as this process last saw it, and one task that asks while it does not."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from agentflow.errors import StreamUnavailable

_log = logging.getLogger("agentflow.streams")

_SHORTEST, _LONGEST = 0.02, 2.0


async def back_off(failures: int) -> None:
    """Wait a while that doubles with each failure, up to two seconds; of many that wait no two come back at one moment."""
    longest = min(_SHORTEST * 2 ** min(failures, 16), _LONGEST)
    await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311  (spreads reconnects)


class Health:
    """A server's. `knock` connects to it and hangs up, or raises `StreamUnavailable`."""

    def __init__(self, name: str, knock: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self.fault: StreamUnavailable | None = None
        self._knock = knock
        self._up = asyncio.Event()
        self._up.set()
        self._lost_at = 0.0
        self._told = False
        self._task: asyncio.Task[None] | None = None
        self._callbacks: list[Callable[[float], None]] = []

    def check(self) -> None:
        """Raise `StreamUnavailable` at once while the server is known to be away."""
        if self.fault is not None:
            raise StreamUnavailable(self.fault.message, hint=self.fault.hint)

    def lost(self, error: StreamUnavailable) -> None:
        """It does not answer."""
        if self.fault is None:
            self._lost_at = asyncio.get_running_loop().time()
            self._up.clear()
        self.fault = error
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask(), name="agentflow-streams-knock")

    def found(self, what: str = "answers again") -> None:
        """It answers, or nobody needs it any more."""
        if self.fault is None:
            return
        self.fault = None
        self._up.set()
        away = asyncio.get_running_loop().time() - self._lost_at
        if self._told:
            _log.warning("%s %s after %.1f s.", self.name, what, away)
        self._told = False
        for callback in tuple(self._callbacks):
            callback(away)

    async def up(self) -> None:
        """Return once it is not known to be away."""
        await self._up.wait()

    def on_back(self, callback: Callable[[float], None]) -> None:
        """Call `callback` with the seconds it was away, whenever it is back."""
        self._callbacks.append(callback)

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self) -> None:
        failures = 0
        while self.fault is not None:
            await back_off(failures)
            try:
                await self._knock()
            except StreamUnavailable as error:
                failures += 1
                self._still_away(error)
            else:
                self.found()

    def _still_away(self, error: StreamUnavailable) -> None:
        if self.fault is None:
            return
        self.fault = error
        if not self._told:
            # Only now: a connection that breaks and is made anew at once is nothing to tell of.
            self._told = True
            _log.warning("%s is away: %s Until it is back, nothing is streamed and wake-ups are polled for.", self.name, error)
