"""A durable stream of its own as what the protocol reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentflow.server.projections.durable_streams_source import Slice
from agentflow.streams.durable.records import Part, Place, Standing
from agentflow.streams.durable.store import DurableStreams


class UserStream:
    """The stream at a path."""

    def __init__(self, streams: DurableStreams, path: str) -> None:
        self._streams = streams
        self._path = path

    async def look(self) -> Slice:
        return _slice(await self._streams.part(self._path, None))

    async def slice(self, after: Place | None) -> Slice:
        return _slice(await self._streams.part(self._path, after, keep=True))

    async def follow(self, last: Slice) -> AsyncGenerator[Slice]:
        async with aclosing(self._streams.follow(self._path, last.next)) as parts:
            async for part in parts:
                yield _slice(part)


def facts(standing: Standing) -> tuple[tuple[str, str], ...]:
    """How long a stream lives, as headers."""
    if standing.expires:
        return (("stream-expires-at", standing.expires),)
    return () if standing.ttl is None else (("stream-ttl", str(standing.ttl)),)


def _slice(part: Part) -> Slice:
    standing = part.standing
    return Slice(
        identity=standing.id,
        media=standing.media,
        start=part.begin,
        next=part.end,
        messages=[entry.payload for entry in part.entries],
        caught_up=part.caught_up,
        closed=part.caught_up and standing.closed,
        facts=facts(standing),
    )
