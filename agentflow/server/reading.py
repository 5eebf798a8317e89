"""What one reader of a run gets: its stream, and where that is gone, the same from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Literal

from agentflow.app import Agentflow
from agentflow.app.following import LATE
from agentflow.app.rebuild import Rebuilt, holds, load
from agentflow.errors import StreamUnavailable
from agentflow.records import RunRecord
from agentflow.server.frames import EVERYTHING, Framing
from agentflow.server.views import run_view
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.reader import PAGE, StreamLost

Start = Literal["start", "latest", "snapshot"]
CURSOR_GAP = 1.0
"""Seconds between two words on where a reader is among events that it is not told."""


class Reading:
    """A reader's place in a run's stream. `ended`: it has been given the `end`."""

    def __init__(self, app: Agentflow, run_id: str, after: Cursor | None, framing: Framing = EVERYTHING, start: Start = "start") -> None:
        self._app = app
        self.run_id = run_id
        self.framing = framing
        self.position = after
        self.ended = False
        self._start: Start = start if after is None else "start"
        self._gone = False
        self._over = False
        self._started_over = False
        self._caught_up = False
        self._told_at = 0.0

    async def begin(self) -> bool:
        """Look where the stream is; False when nothing will follow. Raises `RunNotFound`."""
        run = await self._app.runs.get(self.run_id)
        if not run.state.terminal and self._start != "latest":
            return True
        tail, ended = await self._end()
        if self._start == "latest":
            self.position = tail
        if not run.state.terminal:
            return True
        self._over = True
        if holds(run, self.position):
            self._gone = True
            return bool(await self._rest_of_rebuilt())
        if self._start == "latest" and tail is None:
            return False
        # An `end` that is not there after a while does not come any more.
        self._gone = tail is None or (not ended and is_late(self._app, run))
        return not ended or tail != self.position

    async def chunks(self, *, live: bool) -> AsyncGenerator[bytes]:
        """Frames, as they come, to the `end` and with it; without `live`, to where the stream is now."""
        if self._start == "snapshot":
            tail, _ = await self._end()
            yield await self._reset("" if tail is None else str(tail))
        while not self.ended:
            if self._gone:
                yield await self.rest()
                return
            source = self._app.streams.follow_batches(self.run_id, self.position) if live else self._pages()
            try:
                async with aclosing(source) as batches:
                    async for batch in batches:
                        yield await self._told(batch) if batch else self._live()
                        if self.ended:
                            return
                if self._over and not self.ended:
                    yield await self.rest()
                return
            except StreamLost as lost:
                yield await self._reset(lost.details["tail"])

    async def rest(self) -> bytes:
        """All that follows in the rebuilt log of an ended run: from a cursor of it, or from its start with a reset."""
        rebuilt = await self._app.database.read(load(self.run_id))
        if holds(rebuilt.run, self.position) and self.position is not None:
            return self._finished(rebuilt, rebuilt.after(self.position))
        return self._snapshot(rebuilt.run, rebuilt.start) + self._finished(rebuilt, rebuilt.events)

    def _live(self) -> bytes:
        """Said once: what comes from here on happens now."""
        if self._caught_up:
            return b""
        self._caught_up = True
        return self.framing.notice({"type": "sync.live", **({} if self.position is None else {"cursor": str(self.position)})})

    async def _told(self, batch: Sequence[StoredEvent]) -> bytes:
        head = b""
        if self.position is None and not self._started_over and batch[0].type == "run.attempt":
            # The run spoke before, but its stream begins here: what was before is in the database.
            head = await self._reset("")
            if self.ended:
                return head
        self.position = batch[-1].id
        self.ended = batch[-1].ended
        shown = self.framing.chosen(batch)
        told = self.framing.frames(shown)
        if not shown or shown[-1] is not batch[-1]:
            told += self._passed(batch[-1].id)
        return head + told

    def _passed(self, id: Cursor) -> bytes:
        """Where the reader is though it was told nothing of it: when it comes back it need not begin before that."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at < CURSOR_GAP:
            return b""
        self._told_at = now
        return self.framing.notice({"type": "sync.cursor", "cursor": str(id)}, id)

    async def _reset(self, tail: str) -> bytes:
        """Start over from the database; the reader goes on after `tail`."""
        rebuilt = await self._app.database.read(load(self.run_id))
        if rebuilt.run.state.terminal:
            return self._snapshot(rebuilt.run, rebuilt.start) + self._finished(rebuilt, rebuilt.events)
        self.position = Cursor.parse(tail) if tail else None
        self._started_over = True
        # Only the last frame is a place to resume from: a reader that is cut off before it starts over.
        told = [self._snapshot(rebuilt.run, None), *(self.framing.untold(event) for event in self.framing.chosen(rebuilt.events))]
        if tail and self.framing.run is None:
            told[-1] = b"id: %b\n" % tail.encode() + told[-1]
        return b"".join(told)

    def _snapshot(self, run: RunRecord, id: Cursor | None) -> bytes:
        """The frame that says: forget all, this is the run now."""
        return self.framing.notice(snapshot_value(run), id)

    def _finished(self, rebuilt: Rebuilt, events: Sequence[StoredEvent]) -> bytes:
        self.position = rebuilt.events[-1].id
        self.ended = True
        return self.framing.frames(self.framing.chosen(events))

    async def _rest_of_rebuilt(self) -> Sequence[StoredEvent]:
        rebuilt = await self._app.database.read(load(self.run_id))
        return [] if self.position is None else rebuilt.after(self.position)

    async def _end(self) -> tuple[Cursor | None, bool]:
        with suppress(StreamUnavailable):
            return (await self._app.streams.ends([self.run_id]))[0]
        return None, False

    async def _pages(self) -> AsyncGenerator[Sequence[StoredEvent]]:
        position = self.position
        while page := await self._app.streams.read(self.run_id, position, PAGE):
            yield page
            position = page[-1].id
            if len(page) < PAGE:
                return


def is_late(app: Agentflow, run: RunRecord) -> bool:
    """Whether a run ended so long ago that its `end` must have come if it ever does."""
    return run.finished_at is not None and app.clock.now() - run.finished_at > LATE


def snapshot_value(run: RunRecord) -> dict[str, object]:
    """What the frame that makes a reader start over says."""
    return {"type": "sync.snapshot", "reset": True, "run": run_view(run).model_dump(mode="json")}
