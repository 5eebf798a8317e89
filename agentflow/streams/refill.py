"""Writing the stream of an ended run anew, where Redis lost its last words."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.errors import StreamUnavailable
from agentflow.streams.codec import StoredEvent
from agentflow.streams.courier import channel, script, stream_key
from agentflow.streams.cursor import Cursor
from agentflow.streams.link import Link
from agentflow.streams.wire import Job

_PART = 500


async def refill(link: Link, run_id: str, events: Sequence[StoredEvent], after: Cursor | None, life: float) -> bool:
    """Put these events in place of a stream that has no `end`, or after its last one, and keep it for `life` seconds.

    False when there was nothing to do. The ids must be above all that the stream ever had: then Redis refuses whoever still has
    something to say. In parts, so that a long log does not keep the server from its other work. Raises `StreamUnavailable`.
    """
    before = str(after or "")
    for start in range(0, len(events), _PART):
        part = events[start : start + _PART]
        arguments: list[str | int] = [int(life * 1_000), "s" if link.sharded else "", channel(run_id), before, len(part)]
        for event in part:
            arguments += (str(event.id), *event.stored_fields, event.ts)
        place = link.place(run_id)
        [written] = await link.work(script("refill"), [Job(place, [stream_key(run_id)], arguments)])
        if isinstance(written, StreamUnavailable):
            raise written
        if not written:
            return False
        before = str(part[-1].id)
    return bool(events)
