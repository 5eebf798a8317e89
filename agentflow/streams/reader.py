"""Reading a stream: pages after a cursor, and whether that cursor still means anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentflow.errors import StreamError, StreamUnavailable
from agentflow.streams.codec import StoredEvent
from agentflow.streams.courier import script, stream_key
from agentflow.streams.cursor import RENUMBERED, Cursor
from agentflow.streams.link import Link
from agentflow.streams.wire import Job

PAGE = 500


class StreamLost(StreamError):
    """What follows the cursor is not known: Redis lost the stream, or it expired.

    Build the run's state from the journal, then go on after `tail`.
    `details["run_id"]`, and `details["tail"]`: where the stream is now as text, or an empty string.
    """

    code = "stream_lost"
    http_status = 410


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order. `ended`: there will be no more after them; `full`: there may be more at once."""

    events: Sequence[StoredEvent]
    ended: bool
    full: bool


class Reader:
    """Reads streams."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def away(self, run_id: str) -> bool:
        """Whether the server that has a run's stream is known to be away."""
        return self._link.health(self._link.place(run_id)).fault is not None

    async def page(self, run_id: str, after: Cursor | None, limit: int = PAGE) -> Page:
        """Up to `limit` events after a cursor. Raises `StreamLost` and `StreamUnavailable`."""
        # The event at the cursor is read too: if it is not there, what follows is not what the reader thinks.
        start, count = ("-", limit) if after is None else (str(after), limit + 1)
        entries = [_entry(*raw) for raw in await self._range("XRANGE", run_id, start, "+", count)]
        lost = bool(entries) and entries[0].id.seq >= RENUMBERED if after is None else not entries or entries[0].id != after
        if lost:
            raise await self._lost(run_id, after)
        ended = bool(entries) and entries[-1].ended
        full = len(entries) == count
        return Page(entries if after is None else entries[1:], ended, full)

    async def newest(self, run_id: str, limit: int = PAGE) -> list[StoredEvent]:
        """The last events, in order. Raises `StreamUnavailable`."""
        entries = [_entry(*raw) for raw in await self._range("XREVRANGE", run_id, "+", "-", limit)]
        return entries[::-1]

    async def tail(self, run_id: str) -> Cursor | None:
        """The id of the last event, or None where there is no stream. Raises `StreamUnavailable`."""
        return (await self.tails([run_id]))[0]

    async def tails(self, run_ids: Sequence[str]) -> list[Cursor | None]:
        """The ids of the last events, in one call."""
        return [tail for tail, _ in await self.ends(run_ids)]

    async def ends(self, run_ids: Sequence[str]) -> list[tuple[Cursor | None, bool]]:
        """The ids of the last events, and whether each is an `end`. Raises `StreamUnavailable` when any of them cannot be told."""
        places: dict[int | None, list[str]] = {}
        for run_id in run_ids:
            places.setdefault(self._link.place(run_id), []).append(run_id)
        jobs = [Job(place, [stream_key(run_id) for run_id in together], ()) for place, together in places.items()]
        found: dict[str, bytes] = {}
        for together, reply in zip(places.values(), await self._link.work(script("tails"), jobs), strict=True):
            if isinstance(reply, StreamUnavailable):
                raise reply
            found.update(zip(together, reply, strict=True))
        return [_tail(found[run_id].decode()) for run_id in run_ids]

    async def _range(self, command: str, run_id: str, start: str, end: str, count: int) -> list[Any]:
        return await self._link.ask(self._link.place(run_id), command, stream_key(run_id), start, end, "COUNT", count)

    async def _lost(self, run_id: str, after: Cursor | None) -> StreamLost:
        tail = await self.tail(run_id)
        where = f"after {after}" if after else "from its start"
        return StreamLost(
            f"The stream of {run_id} cannot be read {where}: that part is gone.",
            hint="Read the run's state, then follow from the tail.",
            run_id=run_id,
            tail=str(tail) if tail else "",
        )


def _entry(id: bytes, fields: list[bytes]) -> StoredEvent:
    # Always written in one order: name, value, name, value.
    return StoredEvent.stored(id.decode(), *(value.decode() for value in fields[1::2]))


def _tail(last: str) -> tuple[Cursor | None, bool]:
    id, _, kind = last.partition(" ")
    return (Cursor.parse(id), kind == "end") if id else (None, False)
