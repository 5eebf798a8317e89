"""Reading a stream: pages after a cursor, and whether that cursor still means anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentflow.errors import StreamError
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import RENUMBERED, Cursor
from agentflow.streams.wire import Wire
from agentflow.streams.writer import script, stream_key

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
    """Reads streams over one connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def page(self, run_id: str, after: Cursor | None, limit: int = PAGE) -> Page:
        """Up to `limit` events after a cursor. Raises `StreamLost` and `StreamUnavailable`."""
        # The event at the cursor is read too: if it is not there, what follows is not what the reader thinks.
        start, count = ("-", limit) if after is None else (str(after), limit + 1)
        entries = [_entry(*raw) for raw in await self._wire.call("XRANGE", stream_key(run_id), start, "+", "COUNT", count)]
        lost = bool(entries) and entries[0].id.seq >= RENUMBERED if after is None else not entries or entries[0].id != after
        if lost:
            raise await self._lost(run_id, after)
        ended = bool(entries) and entries[-1].ended
        full = len(entries) == count
        return Page(entries if after is None else entries[1:], ended, full)

    async def newest(self, run_id: str, limit: int = PAGE) -> list[StoredEvent]:
        """The last events, in order. Raises `StreamUnavailable`."""
        entries = [_entry(*raw) for raw in await self._wire.call("XREVRANGE", stream_key(run_id), "+", "-", "COUNT", limit)]
        return entries[::-1]

    async def tail(self, run_id: str) -> Cursor | None:
        """The id of the last event, or None where there is no stream. Raises `StreamUnavailable`."""
        return (await self.tails([run_id]))[0]

    async def tails(self, run_ids: Sequence[str]) -> list[Cursor | None]:
        """The ids of the last events, in one call."""
        found: list[bytes] = await self._wire.run(script("tails"), [stream_key(run_id) for run_id in run_ids], ())
        return [Cursor.parse(last.decode()) if last else None for last in found]

    async def _lost(self, run_id: str, after: Cursor | None) -> StreamLost:
        tail = await self.tail(run_id)
        where = f"after {after}" if after else "from its start"
        return StreamLost(
            f"The stream of {run_id} cannot be read {where}: that part is gone.",
            hint="Read the run's state, then follow from the tail.",
            run_id=run_id,
            tail=str(tail) if tail else "",
        )


def _entry(id: bytes, fields: Any) -> StoredEvent:
    return StoredEvent.stored(id.decode(), *(fields[name].decode() for name in (b"t", b"p", b"d", b"ts")))
