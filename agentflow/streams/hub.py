"""What this process hears: one subscriber connection for all of its readers.

A message carries the events themselves; the stream is the truth and fills every gap. A reader is a position in the ring of its run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

from pydantic_core import from_json

from agentflow.errors import StreamUnavailable
from agentflow.streams.codec import StoredEvent
from agentflow.streams.courier import channel
from agentflow.streams.cursor import Cursor
from agentflow.streams.link import Channels
from agentflow.streams.reader import PAGE, Page, Reader

_RING_EVENTS = 1_000
_RING_SIZE = 256 * 1_024
_RETRY = 0.5
_REST = 0.25
"""How long a run's readers are left alone, as a share of what it took to tell them: what comes meanwhile is told at once, in one write."""


class Told(tuple[StoredEvent, ...]):
    """What readers at one place are given at one moment: one object for all of them. `encoded` is what a server made of it, once."""

    encoded: bytes | None = None


class Watch:
    """A run that somebody follows: its last events, and who waits for more."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.readers = 0
        self.turn = 0
        self.touched = False
        self.seen: Cursor | None = None
        self._ring: list[StoredEvent] = []
        self._size = 0
        self._slices: dict[Cursor, Page] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._pages: dict[Cursor | None, asyncio.Task[Page]] = {}
        self._rested = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def message(self, data: bytes | None) -> None:
        """Something happened: events, or None when the subscription began and the past is uncertain."""
        self.touched = True
        if data is None:
            self._clear()
        else:
            self._take([StoredEvent.stored(*entry) for entry in from_json(data)])
        loop = asyncio.get_running_loop()
        if loop.time() >= self._rested:
            self.wake()
        elif self._timer is None:
            self._timer = loop.call_at(self._rested, self.wake)

    def wake(self) -> None:
        """Let every reader look."""
        self.close()
        self.turn += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if len(waiting) > 1:
            # Called when each of them has written, for they are called in their order.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._told, loop, loop.time())

    def close(self) -> None:
        """Nobody is to be woken any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _told(self, loop: asyncio.AbstractEventLoop, began: float) -> None:
        now = loop.time()
        self._rested = now + (now - began) * _REST

    def doubt(self) -> None:
        """What is in the ring may not be what is in Redis: every reader looks there."""
        self._clear()
        self.wake()

    async def changed(self, turn: int, patience: float | None = None) -> None:
        """Return once something happened after `turn`, or after `patience` seconds."""
        if patience is None:
            # A timer that never ends costs a fifth of what it takes to serve a reader.
            while self.turn == turn:
                await self._woken()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.changed(turn)

    async def _woken(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def since(self, position: Cursor | None) -> Page | None:
        """The events after a position, or None when the ring does not reach back to it."""
        ring = self._ring
        if not ring or position is None:
            return None
        page = self._slices.get(position)
        if page is None:
            first = ring[0].id
            if position < first and not first.follows(position):
                return None
            at = len(ring)
            while at and ring[at - 1].id > position:
                at -= 1
            page = self._slices[position] = Page(Told(ring[at:]), ring[-1].ended, False)
        return page

    async def page(self, reader: Reader, position: Cursor | None) -> Page:
        """Read from Redis; readers at one position share one read."""
        task = self._pages.get(position)
        if task is None:
            task = self._pages[position] = asyncio.create_task(reader.page(self.run_id, position))
            task.add_done_callback(lambda done: self._read(position, done))
        return await asyncio.shield(task)

    def _read(self, position: Cursor | None, done: asyncio.Task[Page]) -> None:
        self._pages.pop(position, None)
        if not done.cancelled() and done.exception() is None:
            events = done.result().events
            self._saw(events[-1].id if events else position)

    def _saw(self, position: Cursor | None) -> None:
        if position is not None:
            self.seen = max(self.seen or position, position)

    def _take(self, events: list[StoredEvent]) -> None:
        if not events:
            self._clear()
            return
        self._slices = {}
        ring = self._ring
        if ring and not (events[0].id.follows(ring[-1].id) and _dense(events)):
            events = [event for event in events if event.id > ring[-1].id]
            if not events:
                return
            self._clear()
        self._ring += events if _dense(events) else []
        self._saw(events[-1].id)
        self._size += sum(event.size for event in events)
        if len(self._ring) > _RING_EVENTS or self._size > _RING_SIZE:
            self._ring = self._ring[-(len(self._ring) // 2 or 1) :]
            self._size = sum(event.size for event in self._ring)

    def _clear(self) -> None:
        self._ring = []
        self._slices = {}
        self._size = 0


def _dense(events: Sequence[StoredEvent]) -> bool:
    return all(after.id.follows(before.id) for before, after in pairwise(events))


class Hub:
    """The readers of a process."""

    def __init__(self, channels: Channels, reader: Reader, *, sweep: float) -> None:
        self._channels = channels
        self._reader = reader
        self._sweep = sweep
        self._watches: dict[str, Watch] = {}
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def followed(self) -> int:
        """How many runs somebody follows here."""
        return len(self._watches)

    async def batches(self, run_id: str, after: Cursor | None) -> AsyncGenerator[Sequence[StoredEvent]]:
        """All that follows, as it comes, until the end; what is there at one moment comes at once. Raises `StreamLost`.

        An empty batch, once, says that what was there before is told: what follows happens from here on.
        """
        watch = self._enter(run_id)
        position = after
        caught_up = False
        try:
            while True:
                turn = watch.turn
                page = watch.since(position) or await self._page(watch, position)
                if page is not None and page.events:
                    position = page.events[-1].id
                    yield page.events
                if page is not None and page.ended and not page.full:
                    return
                if page is None:
                    # Of a server that is away somebody tells when it is back.
                    await watch.changed(turn, None if self._reader.away(run_id) else _RETRY)
                elif not caught_up and not page.full:
                    caught_up = True
                    yield ()
                elif not page.events:
                    await watch.changed(turn)
        finally:
            self._leave(watch)

    def back(self, _: float) -> None:
        """A server is back: every reader looks what is there now."""
        for watch in self._watches.values():
            watch.doubt()

    async def close(self) -> None:
        """Stop. Readers that are left must be cancelled by their owners."""
        if self._sweeper:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _page(self, watch: Watch, position: Cursor | None) -> Page | None:
        with contextlib.suppress(StreamUnavailable):
            return await watch.page(self._reader, position)
        return None

    def _enter(self, run_id: str) -> Watch:
        watch = self._watches.get(run_id)
        if watch is None:
            watch = self._watches[run_id] = Watch(run_id)
            self._channels.add(channel(run_id), watch.message)
            self._sweeper = self._sweeper or asyncio.create_task(self._sweeping(), name="agentflow-streams-sweep")
        watch.readers += 1
        return watch

    def _leave(self, watch: Watch) -> None:
        watch.readers -= 1
        if not watch.readers:
            del self._watches[watch.run_id]
            watch.close()
            self._channels.remove(channel(watch.run_id))

    async def _sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep)
            quiet = [watch for watch in self._watches.values() if not watch.touched]
            for watch in self._watches.values():
                watch.touched = False
            for start in range(0, len(quiet), PAGE):
                await self._look(quiet[start : start + PAGE])

    async def _look(self, watches: list[Watch]) -> None:
        try:
            tails = await self._reader.tails([watch.run_id for watch in watches])
        except StreamUnavailable:
            return
        for watch, tail in zip(watches, tails, strict=True):
            if tail != watch.seen:
                watch.doubt()
