"""What one AG-UI reader gets: a run's stream, projected, and where that is gone, the same from the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from pydantic_core import to_json

from agentflow.app import Agentflow
from agentflow.app.rebuild import Rebuilt, holds, load
from agentflow.engine.telling import waits_for
from agentflow.errors import CursorInvalid, StreamUnavailable
from agentflow.records import RunState
from agentflow.server.frames import EVERYTHING, Framing, merged
from agentflow.server.projections.agui_brackets import Said
from agentflow.server.projections.agui_projection import Projection
from agentflow.server.reading import is_late
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.reader import PAGE, StreamLost

_Log = tuple[Sequence[StoredEvent], Cursor | None]
"""The events of a run so far, and the cursor in its stream that they go to; from the database their ids are above those of the stream."""


class AguiReading:
    """A reader's place in a run, of which it is told what `framing` shows. `ended`: it was given an event that nothing may follow."""

    def __init__(self, app: Agentflow, projection: Projection, framing: Framing = EVERYTHING) -> None:
        self._app = app
        self._projection = projection
        self._framing = framing
        self._position: Cursor | None = None
        self._opening = b""
        self._gone = False
        self._recorded: set[tuple[str, str]] = set()
        self.ended = False

    @property
    def run_id(self) -> str:
        return self._projection.names.ours

    def begin(self) -> None:
        """From the start of the run, event by event."""
        self._opening = self._encoded(self._projection.begin())

    async def join(self) -> None:
        """From where the run is now: the reader is told how things stand, and forgets what it knew of them. Raises `StreamUnavailable`."""
        events, self._position = await self._known()
        await self._take(events)
        self._opening = self._encoded(self._projection.begin(), self._position)

    async def resume(self, after: Cursor) -> bool:
        """From just behind an event that the reader had; False when nothing follows. Raises `StreamLost` where nobody knows what does."""
        run = await self._app.runs.get(self.run_id)
        self._gone = holds(run, after)
        events = (await self._rebuilt()).events if self._gone else await self._stream()
        known = [event for event in events if event.id <= after]
        if not known or known[-1].id != after or known[0].type == "run.attempt":
            raise _lost(self.run_id, after)
        self._position = after
        self._projection.absorb(self._framing.chosen(known), after)
        if self._projection.fold.ended:
            return False
        if self._projection.finished:
            # The run of the client ended with a question: what follows is another one, which begins with how things stand.
            self._position = events[-1].id
            await self._take(events[len(known) :])
            if self._projection.questions():
                return False
            self._opening = self._encoded(self._projection.begin(), self._position)
        return True

    async def chunks(self, *, live: bool = True) -> AsyncGenerator[bytes]:
        """Frames, as they come, to the end of the client's run and with it."""
        if self._opening:
            yield self._opening
        while not self.ended:
            if self._gone:
                yield self._told((await self._rebuilt()).after(self._position or Cursor(0, 0)))
                return
            try:
                async with aclosing(self._app.streams.follow_batches(self.run_id, self._position)) as batches:
                    async for batch in batches:
                        yield await self._heard(batch)
                        if self.ended:
                            return
                yield await self.rest()
                return
            except StreamLost as lost:
                tail = lost.details["tail"]
                yield await self._start_over(Cursor.parse(tail) if tail else None)

    async def rest(self) -> bytes:
        """What is left to say of a run that has ended, though its stream does not say so."""
        return await self._start_over(None)

    # -- how -----------------------------------------------------------------------------------------------------------------------------

    async def _take(self, events: Sequence[StoredEvent]) -> None:
        self._projection.absorb(merged(self._framing.chosen(events)), self._position)
        if asked := self._projection.questions():
            # An answer is in the database before the stream tells of it.
            open_still = {one.id for one in await self._app.runs.asked_of(self.run_id)}
            self._projection.answered = {one.approval for one in asked} - open_still

    async def _heard(self, batch: Sequence[StoredEvent]) -> bytes:
        head = b""
        if self._position is None and batch and batch[0].type == "run.attempt":
            # The run spoke before, but its stream begins here: what was before is in the database.
            head = await self._start_over(None)
            batch = [one for one in batch if self._position is None or one.id > self._position]
        return head if self.ended else head + self._told([one for one in batch if _name(one) not in self._recorded])

    def _told(self, batch: Sequence[StoredEvent]) -> bytes:
        told: list[bytes] = []
        for event in merged(self._framing.chosen(batch)):
            told.append(self._encoded(self._projection.apply(event), event.id))
            self._position = event.id
            if self.ended:
                return b"".join(told)
        self._position = batch[-1].id if batch else self._position
        return b"".join(told)

    async def _start_over(self, tail: Cursor | None) -> bytes:
        kept: list[StoredEvent] = []
        with suppress(StreamLost, StreamUnavailable):
            kept = await self._stream()
        events, self._position = await self._from_database(kept, tail)
        return self._encoded(self._projection.restart(self._framing.chosen(events), self._position), self._position)

    def _encoded(self, told: Sequence[Said], id: Cursor | None = None) -> bytes:
        self.ended = self._projection.finished
        return frames(told, None if id is None else f"{self.run_id}:{id}")

    async def _known(self) -> _Log:
        run = await self._app.runs.get(self.run_id)
        tail: Cursor | None = None
        try:
            events = await self._stream()
        except (StreamLost, StreamUnavailable) as error:
            if isinstance(error, StreamUnavailable) and not run.state.terminal:
                raise
            with suppress(CursorInvalid):
                tail = Cursor.parse(error.details.get("tail") or "")
            return await self._from_database([], tail)
        tail = events[-1].id if events else None
        begins = events[0].type != "run.attempt" if events else run.started_at is None
        over = run.state.terminal and not (events and events[-1].ended) and is_late(self._app, run)
        return (events, tail) if begins and not over else await self._from_database(events, tail)

    async def _stream(self) -> list[StoredEvent]:
        events: list[StoredEvent] = []
        while True:
            page = await self._app.streams.read(self.run_id, events[-1].id if events else None, PAGE)
            events += page
            if len(page) < PAGE:
                return events

    async def _rebuilt(self) -> Rebuilt:
        return await self._app.database.read(load(self.run_id))

    async def _from_database(self, kept: Sequence[StoredEvent], tail: Cursor | None) -> _Log:
        """What is recorded, and what else a stream without its beginning has: read before, so what was recorded meanwhile is in both."""
        rebuilt = await self._rebuilt()
        if rebuilt.run.state.terminal:
            return rebuilt.events, rebuilt.events[-1].id
        events = list(rebuilt.events)
        self._recorded = {name for one in events if (name := _name(one)) is not None}
        if rebuilt.run.state is RunState.WAITING:
            waits = await self._app.runs.waiting_for(self.run_id)
            last = events[-1].id if events else rebuilt.start
            events.append(StoredEvent(Cursor(last.epoch, last.seq + 1), 0, waits_for(waits)))
        else:
            events += [one for one in kept if (name := _name(one)) is not None and name not in self._recorded]
        return events, kept[-1].id if kept else tail


def frames(told: Sequence[Said], id: str | None = None) -> bytes:
    """Events that belong together: the place to resume from stands on the last."""
    texts = [b"data: %b\n\n" % to_json(event) for event in told]
    if texts and id is not None:
        texts[-1] = b"id: %b\n%b" % (id.encode(), texts[-1])
    return b"".join(texts)


def _name(one: StoredEvent) -> tuple[str, str] | None:
    """What an event tells of: a record has the parts and calls of its step as a whole, a stream piece by piece."""
    told = one.event
    for kind in ("part", "call", "approval", "message", "step"):
        if found := getattr(told, kind, None):
            return one.type.removesuffix(".delta").removesuffix(".start") if kind != "part" else kind, found
    return None


def _lost(run_id: str, after: Cursor) -> StreamLost:
    return StreamLost(
        f"The stream of {run_id} cannot be read after {after}: that part is gone.",
        hint="Connect without Last-Event-ID to be told where things stand.",
        run_id=run_id,
        tail="",
    )
