"""`Streams`: what the engine writes to and the server reads from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from agentflow.clock import Clock, SystemClock
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.durable.store import DurableStreams
from agentflow.streams.events import Event
from agentflow.streams.forget import forget
from agentflow.streams.hub import Hub
from agentflow.streams.link import Network, network
from agentflow.streams.notes import put_note, take_note
from agentflow.streams.pending import JOINING
from agentflow.streams.reader import PAGE, Reader
from agentflow.streams.refill import refill
from agentflow.streams.signals import Signals
from agentflow.streams.writer import Settings, Writer

T = TypeVar("T")


CHANGED = "changed"
"""The topic that says, of no run in particular, that a run is not in the state that it was in."""
PROMPTS = "prompts"
"""The topic that says, of no prompt in particular, that what is live may have changed."""
_COARSE = frozenset({"run.queued", "run.started", "run.attempt", "run.waiting", "run.progress", "end"})


class Streams:
    """The streams of all runs, from one process. Belongs to one event loop; connects when it first must.

    A Redis that is away blocks nothing: what is published waits, bounded, and readers go on when it is back.

    >>> async with Streams.connect(None, Path(".agentflow")) as streams:
    ...     streams.publish("run_1", 1, RunStarted(task="hello"))
    ...     async for entry in streams.follow("run_1"):
    ...         print(entry.id, entry.event)
    """

    def __init__(self, reached: Network, *, clock: Clock | None = None, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._network = reached
        self._settings = settings
        self._read_link = reached.link(patient=False)
        self._write_link = reached.link(patient=True)
        self._stale: list[Callable[[str, int], None]] = []
        self._writer = Writer(self._write_link, clock or SystemClock(), settings, self._refused)
        self._reader = Reader(self._read_link)
        self._reading = 0
        self._channels = reached.channels(settings.silence)
        self._hub = Hub(self._channels, self._reader, sweep=settings.sweep)
        self._signals = Signals(self._writer, self._channels)
        reached.on_back(self._hub.back)
        # A link of its own: large parts and many appends hold up no run's readers.
        self._durable_link = reached.link(patient=False)
        self.durable = DurableStreams(self._durable_link, self._channels, kept=settings.live, sweep=settings.sweep)
        """Streams by name, beside those of runs."""
        reached.on_back(self.durable.back)

    @classmethod
    def connect(cls, url: str | None, directory: Path, *, clock: Clock | None = None, settings: Settings | None = None) -> Self:
        """Streams in the Redis at `url` (7.0 or later), or without one in the embedded server of `directory`. Does no I/O.

        `url`: `redis://user:password@host:6379/0`, `rediss://…?ssl_ca_certs=/ca.pem` (TLS), `unix:///path`,
        `redis+sentinel://user:password@host1:26379,host2:26379/master/0?sentinel_password=…` or
        `redis+cluster://host1:6379,host2:6379`; `rediss+…` for TLS. Raises `ConfigurationError` for one that cannot be.
        """
        return cls(network(url or None, directory), clock=clock, settings=settings)

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
        if event.type in _COARSE:
            self._signals.signal(CHANGED, "")

    def join(self, run_id: str, event: Event) -> None:
        """Append an event of another run to this one's stream, in whatever epoch that is; dropped where it has ended or not begun."""
        self._writer.publish(run_id, JOINING, event)

    def on_stale(self, callback: Callable[[str, int], None]) -> Callable[[], None]:
        """Call `callback(run_id, epoch)` when Redis refuses events of a stale epoch; returns what stops that."""
        self._stale.append(callback)
        return lambda: self._stale.remove(callback) if callback in self._stale else None

    async def flush(self) -> None:
        """Return once all that was published so far is in Redis, or refused by it. Waits for as long as Redis is away."""
        await self._writer.flush()

    async def read(self, run_id: str, after: Cursor | None = None, limit: int = PAGE) -> list[StoredEvent]:
        """Up to `limit` events after a cursor. Raises `StreamLost` and `StreamUnavailable`."""
        return list((await self._asked(self._reader.page(run_id, after, limit))).events)

    async def newest(self, run_id: str, limit: int = PAGE) -> list[StoredEvent]:
        """The last `limit` events, in order. Raises `StreamUnavailable`."""
        return await self._asked(self._reader.newest(run_id, limit))

    async def tail(self, run_id: str) -> Cursor | None:
        """The cursor of the last event, or None where there is no stream. Raises `StreamUnavailable`."""
        return await self._asked(self._reader.tail(run_id))

    async def ends(self, run_ids: Sequence[str]) -> list[tuple[Cursor | None, bool]]:
        """As `tail` for each of some runs, and whether that last event is an `end`. Raises `StreamUnavailable`."""
        return await self._asked(self._reader.ends(run_ids))

    async def refill(self, run_id: str, events: Sequence[StoredEvent], after: Cursor | None = None) -> bool:
        """Give the stream of an ended run its end; False when it has one. The ids must be above all it ever had.

        These events are what follows `after`, its last one; without it they are all of it, and readers are told to start over.
        Raises `StreamUnavailable`.
        """
        return await refill(self._read_link, run_id, events, after, self._settings.ended)

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Delete the streams of runs that are deleted. Raises `StreamUnavailable`."""
        await forget(self._read_link, run_ids)

    async def put_note(self, run_id: str, name: str, value: bytes, life: int) -> None:
        """Keep a value with a run's stream for `life` microseconds, for one who takes it. Raises `StreamUnavailable`."""
        await self._asked(put_note(self._read_link, run_id, name, value, life))

    async def take_note(self, run_id: str, name: str) -> bytes | None:
        """The value of a note; of all processes only the first to ask gets it. Raises `StreamUnavailable`."""
        return await self._asked(take_note(self._read_link, run_id, name))

    def on_back(self, callback: Callable[[float, Sequence[str]], None]) -> None:
        """Call `callback` when a server is back, with the seconds it was away and the runs whose events were dropped meanwhile."""
        self._network.on_back(lambda away: callback(away, self._writer.lost))

    async def _asked(self, answer: Awaitable[T]) -> T:
        self._reading += 1
        try:
            return await answer
        finally:
            self._reading -= 1

    @property
    def reading(self) -> int:
        """How many reads, other than those of followers, wait for their answer."""
        return self._reading

    async def follow(self, run_id: str, after: Cursor | None = None) -> AsyncGenerator[StoredEvent]:
        """Every event after a cursor, as it comes, to the `end` and with it. Raises `StreamLost`; waits while Redis is away."""
        async with aclosing(self.follow_batches(run_id, after)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    def follow_batches(self, run_id: str, after: Cursor | None = None) -> AsyncGenerator[Sequence[StoredEvent]]:
        """As `follow`, with all that is there at one moment at once: a server sends it as one write. An empty batch, once, says that what

        was there before has been told.
        """
        return self._hub.batches(run_id, after)

    def signal(self, topic: str, value: str) -> None:
        """Wake whoever listens to a topic, in this process at once and in others soon. A hint: one may be lost."""
        self._signals.signal(topic, value)

    def on_signal(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` with the value of each signal of a topic; returns what stops that."""
        return self._signals.on_signal(topic, callback)

    @property
    def counters(self) -> dict[str, int]:
        """`sendings` so far, events `refused` as stale and `dropped` while Redis was away; events `waiting` and runs `followed` now."""
        return {
            "sendings": self._writer.sendings,
            "refused": self._writer.refused,
            "dropped": self._writer.dropped,
            "waiting": self._writer.waiting,
            "followed": self._hub.followed,
        }

    async def close(self, timeout: float = 2.0) -> None:
        """Send what waits for up to `timeout` seconds, then let go of Redis."""
        await self._writer.close(timeout)
        await asyncio.gather(self._hub.close(), self._channels.close())
        await asyncio.gather(self._write_link.close(), self._read_link.close(), self._durable_link.close())
        await self._network.close()

    def _refused(self, run_id: str, epoch: int) -> None:
        for callback in tuple(self._stale):
            callback(run_id, epoch)
