"""A run's events for a caller of the library: live from its stream, and from the database where that cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agentflow.app.rebuild import Rebuilt, load
from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.errors import StreamError
from agentflow.records import RunRecord
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.log import Streams
from agentflow.streams.reader import StreamLost

SILENCE = 2.0
"""Seconds without an event after which a reader looks whether the run has ended: its last words may be lost."""

LATE = 5 * SECOND
"""How long after the end of a run its stream may still be told of it."""

LAST = {"run.completed", "run.failed", "run.cancelled", "run.expired", "end"}
"""The types of a run's last words."""


async def follow(streams: Streams, database: Database, clock: Clock, run_id: str, after: Cursor | None) -> AsyncGenerator[StoredEvent]:
    """Every event after a cursor, to the `end` and with it. Raises `RunNotFound`, and `StreamError` while the run still goes on."""
    rebuilt = await database.read(load(run_id))
    if await _is_gone(streams, clock, rebuilt.run):
        for event in rebuilt.events if after is None else rebuilt.after(after):
            yield event
        return
    async with aclosing(_Patience(streams.follow(run_id, after))) as source:
        suspected = False
        while True:
            event = await source.next()
            if event is not None:
                yield event
                if event.ended:
                    return
                suspected = False
                continue
            # The end may be on its way at this very moment: only the second look counts.
            last = await _last_words(database, run_id)
            if last and (suspected or source.lost is not None):
                for event in last:
                    yield event
                return
            source.check()
            suspected = bool(last)


class _Patience:
    """Asks a source for its next event, and stops waiting for it after a while without giving the source up."""

    def __init__(self, source: AsyncGenerator[StoredEvent]) -> None:
        self._source = source
        self._coming: asyncio.Task[StoredEvent | None] | None = None
        self.lost: StreamLost | None = None

    async def next(self) -> StoredEvent | None:
        """The next event, or None after a silence, and where the stream is `lost`."""
        coming = self._coming = self._coming or asyncio.ensure_future(self._ask())
        await asyncio.wait({coming}, timeout=SILENCE)
        if not coming.done():
            return None
        self._coming = None
        try:
            return coming.result()
        except StreamLost as lost:
            self.lost = lost
            return None

    def check(self) -> None:
        """Raise `StreamLost` if the source did."""
        if self.lost is not None:
            raise self.lost

    async def _ask(self) -> StoredEvent | None:
        return await anext(self._source, None)

    async def aclose(self) -> None:
        """Let go of the source."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait({self._coming})
        await self._source.aclose()


async def _last_words(database: Database, run_id: str) -> Sequence[StoredEvent]:
    rebuilt: Rebuilt = await database.read(load(run_id))
    return [event for event in rebuilt.events if event.type in LAST] if rebuilt.run.state.terminal else []


async def _is_gone(streams: Streams, clock: Clock, run: RunRecord) -> bool:
    if run.finished_at is None:
        return False
    try:
        [(tail, ended)] = await streams.ends([run.id])
    except StreamError:
        return True
    return tail is None or (not ended and clock.now() - run.finished_at > LATE)
