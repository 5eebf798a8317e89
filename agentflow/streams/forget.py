"""Deleting the streams of runs that are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.errors import StreamUnavailable
from agentflow.streams.courier import channel, script, stream_key
from agentflow.streams.link import Link
from agentflow.streams.wire import Job


async def forget(link: Link, run_ids: Sequence[str]) -> None:
    """Delete the streams of these runs; whoever reads one finds that it is gone. Raises `StreamUnavailable`."""
    places: dict[int | None, list[str]] = {}
    for run_id in run_ids:
        places.setdefault(link.place(run_id), []).append(run_id)
    how = "s" if link.sharded else ""
    jobs = [Job(place, [stream_key(one) for one in some], [how, *(channel(one) for one in some)]) for place, some in places.items()]
    for reply in await link.work(script("forget"), jobs):
        if isinstance(reply, StreamUnavailable):
            raise reply
