"""The prompts of a worker's code on their way into the registry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agentflow.clock import SECOND, Clock
from agentflow.errors import PromptError, StorageError

FIRST, LAST = 5 * SECOND, 300 * SECOND
"""Microseconds between two tries, at first and at most."""
_log = logging.getLogger("agentflow.prompts")


class Deploying:
    """Registers the prompts when a worker starts. Where that fails, the worker starts without, and it is tried until it is done.

    Meanwhile every call registers what it goes by itself, or goes by the code's version without a number.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def begin(self, deploy: Callable[[], Awaitable[object]]) -> None:
        """Try at once, and go on trying in the background."""
        if not await self._done(deploy):
            self._task = asyncio.get_running_loop().create_task(self._try(deploy), name="agentflow-deploying")

    async def close(self) -> None:
        """Try no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _try(self, deploy: Callable[[], Awaitable[object]]) -> None:
        delay = FIRST
        while True:
            await self._clock.sleep_until(self._clock.now() + delay)
            if await self._done(deploy):
                _log.warning("The prompts of the code are registered now.")
                return
            delay = min(delay * 2, LAST)

    async def _done(self, deploy: Callable[[], Awaitable[object]]) -> bool:
        try:
            await deploy()
        except (StorageError, PromptError) as error:
            _log.warning("The prompts of the code cannot be registered, and calls go by the code until they are: %s", error)
            return False
        return True
