"""Listening to channels for as long as somebody cares, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection

from agentflow.errors import StreamUnavailable
from agentflow.streams.health import Health, back_off
from agentflow.streams.wire import Connection, Endpoint, connect, faults, unavailable

_log = logging.getLogger("agentflow.streams")

_SEND_SECONDS = 5.0

Handler = Callable[[bytes | None], None]
"""Called with each message, and with None whenever the channel begins to be heard: what was said before may have been missed."""


class Listener:
    """One subscribed connection to a server, remade after a fault.

    `silence`: seconds without a word after which the server is asked whether it is still there; after as many more the connection is
    given up. `sharded`: the channels are those of a cluster's shard.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        health: Health,
        *,
        silence: float,
        sharded: bool = False,
        on_fault: Callable[[], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._health = health
        self._silence = silence
        self._sharded = sharded
        self._on_fault = on_fault
        self._handlers: dict[str, Handler] = {}
        self._heard: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._generation = 0

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
            await self._health.up()
            try:
                self._generation = self._endpoint.generation
                ears = _Ears(await connect(self._endpoint, self._health), sharded=self._sharded)
                try:
                    await self._listen(ears)
                finally:
                    failures = 0 if ears.words else failures
                    await ears.close()
            except StreamUnavailable as error:
                failures += 1
                _log.debug("The listener reconnects: %s", error)
                if self._on_fault is not None:
                    self._on_fault()
            await back_off(failures)

    async def _listen(self, ears: _Ears) -> None:
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

    async def _follow_changes(self, ears: _Ears, hearing: asyncio.Task[None]) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            done, _ = await asyncio.wait({changed, hearing}, timeout=self._silence, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._generation != self._endpoint.generation:
            raise StreamUnavailable("Another server is the master now.", hint="It is connected to.")
        if not done:
            await ears.nudge()
        self._changed.clear()
        wanted = set(self._handlers)
        new, old = wanted - self._heard, self._heard - wanted
        self._heard = wanted
        if new:
            await ears.add(new)
        if old:
            await ears.remove(old)

    async def _hear(self, ears: _Ears) -> None:
        async for channel, data in ears.messages():
            handler = self._handlers.get(channel)
            if handler is not None:
                handler(data)


class _Ears:
    """A connection that hears channels. `words` counts what came."""

    def __init__(self, connection: Connection, *, sharded: bool) -> None:
        self._connection = connection
        self._sharded = sharded
        self._leaving: Counter[bytes] = Counter()
        self._asked_at = -1
        self.words = 0

    async def add(self, channels: Collection[str]) -> None:
        """Hear these too. Raises `StreamUnavailable`."""
        await self._send("SUBSCRIBE", channels)

    async def remove(self, channels: Collection[str]) -> None:
        """Hear these no more. Raises `StreamUnavailable`."""
        if self._sharded:
            self._leaving.update(channel.encode() for channel in channels)
        await self._send("UNSUBSCRIBE", channels)

    async def nudge(self) -> None:
        """Ask whether the server is there; raises `StreamUnavailable` when it has not said a word since it was asked before."""
        if self._asked_at == self.words:
            raise StreamUnavailable("Redis says nothing any more.", hint="Check that it runs and can be reached.")
        self._asked_at = self.words
        await self._write([("PING",)])

    async def messages(self) -> AsyncIterator[tuple[str, bytes | None]]:
        """What is heard: the channel and its message, or None when a channel begins to be heard. Raises `StreamUnavailable`."""
        try:
            while True:
                said = await self._connection.reply()
                self.words += 1
                if isinstance(said, Exception):
                    raise unavailable(said)
                kind = said[0]
                if kind in (b"message", b"smessage"):
                    yield said[1].decode(), said[2]
                elif kind in (b"subscribe", b"ssubscribe"):
                    yield said[1].decode(), None
                elif kind == b"sunsubscribe":
                    self._left(said[1])
        except faults() as error:
            raise unavailable(error) from error

    def _left(self, channel: bytes) -> None:
        if not self._leaving[channel]:
            raise StreamUnavailable("Another node has this channel now.", hint="It is looked for.")
        self._leaving[channel] -= 1
        if not self._leaving[channel]:
            del self._leaving[channel]

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _send(self, verb: str, channels: Collection[str]) -> None:
        # The channels of a shard may be of several slots, and one command must not name two.
        words = [(f"S{verb}", channel) for channel in channels] if self._sharded else [(verb, *channels)]
        await self._write(words)

    async def _write(self, commands: list[tuple[str, ...]]) -> None:
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._connection.send(commands)
        except faults() as error:
            raise unavailable(error) from error
