"""`Streams`: what the engine writes to and the server reads from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

from agentflow.clock import Clock, SystemClock
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.ears import Listener
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.events import Event
from agentflow.streams.hub import Hub
from agentflow.streams.reader import PAGE, Reader
from agentflow.streams.signals import Signals
from agentflow.streams.wire import Endpoint, Remote, Wire
from agentflow.streams.writer import Settings, Writer


class Streams:
    """The streams of all runs, from one process. Belongs to one event loop; connects when it first must.

    A Redis that is away blocks nothing: what is published waits, bounded, and readers go on when it is back.

    >>> async with Streams.connect(None, Path(".agentflow")) as streams:
    ...     streams.publish("run_1", 1, RunStarted(task="hello"))
    ...     async for entry in streams.follow("run_1"):
    ...         print(entry.id, entry.event)
    """

    def __init__(self, endpoint: Endpoint, *, clock: Clock | None = None, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._endpoint = endpoint
        self._read_wire = Wire(endpoint)
        self._write_wire = Wire(endpoint)
        self._stale: list[Callable[[str, int], None]] = []
        self._writer = Writer(self._write_wire, clock or SystemClock(), settings, self._refused)
        self._reader = Reader(self._read_wire)
        self._listener = Listener(endpoint)
        self._hub = Hub(self._listener, self._reader, sweep=settings.sweep)
        self._signals = Signals(self._writer, self._listener)

    @classmethod
    def connect(cls, url: str | None, directory: Path, *, clock: Clock | None = None, settings: Settings | None = None) -> Self:
        """Streams in the Redis at `url` (7.0 or later), or without one in the embedded server of `directory`. Does no I/O."""
        return cls(Remote(url) if url else EmbeddedServer(directory), clock=clock, settings=settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def publish(self, run_id: str, epoch: int, event: Event) -> None:
        """Append an event to the run's stream, soon. Never blocks and never fails; call it from the event loop.

        `epoch` fences: once a higher one has spoken, Redis refuses this one, and `on_stale` is told.
        A stream begins with `run.queued`, `run.started`, `run.attempt`, `run.cancelled` or `run.expired`: one that begins otherwise has
        lost its beginning, and its readers are told so.
        """
        self._writer.publish(run_id, epoch, event)

    def on_stale(self, callback: Callable[[str, int], None]) -> Callable[[], None]:
        """Call `callback(run_id, epoch)` when Redis refuses events of a stale epoch; returns what stops that."""
        self._stale.append(callback)
        return lambda: self._stale.remove(callback) if callback in self._stale else None

    async def flush(self) -> None:
        """Return once all that was published so far is in Redis, or refused by it. Waits for as long as Redis is away."""
        await self._writer.flush()

    async def read(self, run_id: str, after: Cursor | None = None, limit: int = PAGE) -> list[StoredEvent]:
        """Up to `limit` events after a cursor. Raises `StreamLost` and `StreamUnavailable`."""
        return list((await self._reader.page(run_id, after, limit)).events)

    async def newest(self, run_id: str, limit: int = PAGE) -> list[StoredEvent]:
        """The last `limit` events, in order. Raises `StreamUnavailable`."""
        return await self._reader.newest(run_id, limit)

    async def tail(self, run_id: str) -> Cursor | None:
        """The cursor of the last event, or None where there is no stream. Raises `StreamUnavailable`."""
        return await self._reader.tail(run_id)

    async def follow(self, run_id: str, after: Cursor | None = None) -> AsyncGenerator[StoredEvent]:
        """Every event after a cursor, as it comes, to the `end` and with it. Raises `StreamLost`; waits while Redis is away."""
        async with aclosing(self.follow_batches(run_id, after)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def follow_batches(self, run_id: str, after: Cursor | None = None) -> AsyncGenerator[Sequence[StoredEvent]]:
        """As `follow`, with all that is there at one moment at once: a server sends it as one write."""
        async with aclosing(self._hub.batches(run_id, after)) as batches:
            async for batch in batches:
                yield batch

    def signal(self, topic: str, value: str) -> None:
        """Wake whoever listens to a topic, in this process at once and in others soon. A hint: one may be lost."""
        self._signals.signal(topic, value)

    def on_signal(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` with the value of each signal of a topic; returns what stops that."""
        return self._signals.on_signal(topic, callback)

    @property
    def counters(self) -> dict[str, int]:
        """What happened so far: `sendings`, events `refused` as stale, events `dropped` while Redis was away, runs `followed` now."""
        return {
            "sendings": self._writer.sendings,
            "refused": self._writer.refused,
            "dropped": self._writer.dropped,
            "followed": self._hub.followed,
        }

    async def close(self, timeout: float = 2.0) -> None:
        """Send what waits for up to `timeout` seconds, then let go of Redis."""
        await self._writer.close(timeout)
        await asyncio.gather(self._hub.close(), self._listener.close())
        await asyncio.gather(self._write_wire.close(), self._read_wire.close())
        await self._endpoint.close()

    def _refused(self, run_id: str, epoch: int) -> None:
        for callback in tuple(self._stale):
            callback(run_id, epoch)
