"""Listening to channels for as long as somebody cares, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from agentflow.errors import StreamUnavailable
from agentflow.streams.wire import Ears, Endpoint

_log = logging.getLogger("agentflow.streams")

Handler = Callable[[bytes | None], None]
"""Called with each message, and with None whenever the channel begins to be heard: what was said before may have been missed."""


class Listener:
    """The subscriber of a process: one connection, remade after a fault."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._handlers: dict[str, Handler] = {}
        self._heard: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def heard(self) -> frozenset[str]:
        """The channels that the server was asked to send."""
        return frozenset(self._heard)

    def add(self, channel: str, handler: Handler) -> None:
        """Hear a channel."""
        self._handlers[channel] = handler
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="agentflow-streams-listen")

    def remove(self, channel: str) -> None:
        """Hear it no more."""
        self._handlers.pop(channel, None)
        self._changed.set()

    async def close(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                ears = await Ears.open(self._endpoint)
                failures = 0
                await self._listen(ears)
            except StreamUnavailable as error:
                failures += 1
                _log.debug("The listener reconnects: %s", error)
            await asyncio.sleep(min(0.02 * 2**failures, 2.0) * random.uniform(0.5, 1.0))  # noqa: S311  (spreads reconnects)

    async def _listen(self, ears: Ears) -> None:
        self._heard.clear()
        self._changed.set()
        hearing = asyncio.create_task(self._hear(ears))
        try:
            while not hearing.done():
                await self._follow_changes(ears, hearing)
            await hearing
        finally:
            self._heard.clear()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            await ears.close()

    async def _follow_changes(self, ears: Ears, hearing: asyncio.Task[None]) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        self._changed.clear()
        wanted = set(self._handlers)
        new, old = wanted - self._heard, self._heard - wanted
        self._heard = wanted
        if new:
            await ears.add(new)
        if old:
            await ears.remove(old)

    async def _hear(self, ears: Ears) -> None:
        async for channel, data in ears.messages():
            handler = self._handlers.get(channel)
            if handler is not None:
                handler(data)
