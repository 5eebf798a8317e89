"""A run as a durable stream that is only read: JSON messages, each an event with its `id`, closed once its `end` is in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pydantic_core import to_json

from agentflow.app import Agentflow
from agentflow.app.rebuild import Rebuilt, holds, load
from agentflow.errors import StreamUnavailable
from agentflow.records import RunRecord
from agentflow.server.errors import RequestError
from agentflow.server.frames import EVERYTHING, Framing, entry
from agentflow.server.projections.durable_streams_source import Slice
from agentflow.server.reading import is_late, snapshot_value
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.durable.records import JSON, START, Place
from agentflow.streams.reader import PAGE, StreamLost


class RunView:
    """The events of a run. Where its stream is gone they come from the database, after a `sync.snapshot` that tells to start over.

    An offset is an event's id with its number raised by one, so that the place before the first event has an offset of its own. `framing`
    says which events the reader is told of; its offset passes over the others.
    """

    def __init__(self, app: Agentflow, run_id: str, framing: Framing = EVERYTHING) -> None:
        self._app = app
        self._run_id = run_id
        self._framing = framing

    async def look(self) -> Slice:
        run = await self._app.runs.get(self._run_id)
        tail, ended = await self._end(run)
        if self._is_gone(run, tail, ended=ended):
            return self._slice(_end_of(await self._load()), (), closed=True)
        return self._slice(_place(tail), (), closed=ended)

    async def slice(self, after: Place | None) -> Slice:
        if after is None:
            return await self.look()
        position = _cursor(after)
        run = await self._app.runs.get(self._run_id)
        if holds(run, position):
            return self._rest(await self._load(), after)
        try:
            events = await self._app.streams.read(self._run_id, position, PAGE)
        except StreamLost as lost:
            return await self._reset(after, lost.details["tail"])
        except StreamUnavailable:
            if not run.state.terminal:
                raise
            return self._rest(await self._load(), after)
        if events:
            return await self._read(after, events)
        tail, ended = await self._end(run)
        if self._is_gone(run, tail, ended=ended):
            return self._rest(await self._load(), after)
        return self._slice(after, (), closed=ended and tail == position)

    async def follow(self, last: Slice) -> AsyncGenerator[Slice]:
        place, started_over = last.next, last.fleeting
        while True:
            try:
                async with aclosing(self._app.streams.follow_batches(self._run_id, _cursor(place))) as batches:
                    async for batch in batches:
                        if not batch:
                            continue
                        found = await self._read(place, batch, started_over=started_over)
                        if found.messages or found.closed:
                            yield found
                        place = found.next
                        if found.closed:
                            return
                yield self._slice(place, (), closed=True)
                return
            except StreamLost as lost:
                found = await self._reset(place, lost.details["tail"])
                yield found
                place, started_over = found.next, True
                if found.closed:
                    return

    async def _read(self, after: Place, events: Sequence[StoredEvent], *, started_over: bool = False) -> Slice:
        messages = self._messages(events)
        ended = events[-1].ended
        # Alone at the beginning it means that the run spoke before, and that this is lost: what was before is in the database.
        late = after == START and events[0].type == "run.attempt" and not started_over
        if late:
            head = await self._reset(after, "")
            if head.closed:
                return head
            messages = [*head.messages, *messages]
        full = len(events) >= PAGE and not ended
        return self._slice(place_after(events[-1].id), messages, start=after, closed=ended, caught_up=not full, fleeting=late)

    async def _reset(self, after: Place, tail: str) -> Slice:
        """Start over from the database, and go on after `tail`. The events have no ids, for nobody can resume from them."""
        rebuilt = await self._load()
        if rebuilt.run.state.terminal:
            return self._rest(rebuilt, after)
        told = [entry(to_json(snapshot_value(rebuilt.run))), *(entry(event.json()) for event in self._framing.chosen(rebuilt.events))]
        place = _place(Cursor.parse(tail) if tail else None)
        return self._slice(place, told, start=after, caught_up=not tail, fleeting=True)

    def _rest(self, rebuilt: Rebuilt, after: Place) -> Slice:
        """What follows in the rebuilt log of an ended run: from a place of it, or from its start with a reset."""
        position, end = _cursor(after), _end_of(rebuilt)
        if position is not None and holds(rebuilt.run, position):
            return self._slice(end, self._messages(rebuilt.after(position)), start=after, closed=True)
        head = entry(to_json(snapshot_value(rebuilt.run)), rebuilt.start)
        return self._slice(end, [head, *self._messages(rebuilt.events)], start=after, closed=True)

    def _slice(
        self,
        next: Place,
        messages: Sequence[bytes],
        *,
        start: Place | None = None,
        closed: bool = False,
        caught_up: bool = True,
        fleeting: bool = False,
    ) -> Slice:
        return Slice(
            identity=self._run_id,
            media=JSON,
            start=next if start is None else start,
            next=next,
            messages=messages,
            caught_up=caught_up,
            closed=closed,
            fleeting=fleeting,
        )

    def _messages(self, events: Sequence[StoredEvent]) -> list[bytes]:
        return [entry(event.json(), event.id) for event in self._framing.chosen(events)]

    def _is_gone(self, run: RunRecord, tail: Cursor | None, *, ended: bool) -> bool:
        """Whether the run ended and its stream does not say so: an `end` that is not there after a while does not come any more."""
        return run.state.terminal and (tail is None or (not ended and is_late(self._app, run)))

    async def _load(self) -> Rebuilt:
        return await self._app.database.read(load(self._run_id))

    async def _end(self, run: RunRecord) -> tuple[Cursor | None, bool]:
        try:
            return (await self._app.streams.ends([self._run_id]))[0]
        except StreamUnavailable:
            if not run.state.terminal:
                raise
            return None, False


def place_after(id: Cursor) -> Place:
    """The place after an event."""
    return Place(id.epoch, id.seq + 1)


def _end_of(rebuilt: Rebuilt) -> Place:
    return place_after(rebuilt.events[-1].id)


def _place(position: Cursor | None) -> Place:
    return START if position is None else place_after(position)


def _cursor(place: Place) -> Cursor | None:
    if place == START:
        return None
    if not place.position:
        raise RequestError("There is no such offset in a run.", hint="Send back a Stream-Next-Offset as it came, or -1 for the start.")
    return Cursor(place.epoch, place.position - 1)
