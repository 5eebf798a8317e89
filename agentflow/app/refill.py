"""Streams that lost their last words, because Redis or a worker was gone when a run ended: written anew from the database.

Readers do not depend on it: whoever comes to such a stream is told the rest from the database. It makes the stream whole for the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from agentflow.app.following import LAST
from agentflow.app.rebuild import load
from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.errors import RunNotFound, StorageError, StreamUnavailable
from agentflow.storage.statements import SQL
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import Fold
from agentflow.streams.log import Streams
from agentflow.streams.reader import StreamLost

_log = logging.getLogger("agentflow.app")

SETTLE = 2.0
"""Seconds that writers get to send what they still have, before anybody does it for them."""
SPAN = 5_000
"""How many runs back it looks for those that ended of late."""
BEFORE = 60 * SECOND
"""How long before a worker was known to be dead, or Redis to be away, it may have failed to send."""
_PAGE = 200
_SETTLED = ("completed", "failed")


class Refill:
    """Looks when there is reason to: a process began, a worker died, Redis is back."""

    def __init__(self, database: Database, streams: Streams, clock: Clock) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._since: int | None = None
        self._runs: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        streams.on_back(self._back)

    def look(self, since: int) -> None:
        """See to the runs that ended since `since`, in microseconds since 1970, or a little before it."""
        since -= BEFORE
        self._since = since if self._since is None else min(self._since, since)
        self._start()

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _back(self, away: float, lost: Sequence[str]) -> None:
        self._runs.update(lost)
        self.look(self._clock.now() - int(away * SECOND))

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="agentflow-refill")

    async def _work(self) -> None:
        while self._since is not None or self._runs:
            await asyncio.sleep(SETTLE)
            since, self._since = self._since, None
            wanted, self._runs = self._runs, set[str]()
            try:
                if since is not None:
                    found = await self._database.fetch(SQL.runs.ended_of_late(span=SPAN, since=since))
                    wanted.update(row["id"] for row in found)
                filled = await self._fill(sorted(wanted))
            except StreamUnavailable:
                # It goes on when Redis is back: then somebody calls.
                self._runs |= wanted
                return
            except StorageError as error:
                _log.debug("Streams are refilled later: %s", error)
                self._since, self._runs = since, self._runs | wanted
            else:
                if filled:
                    _log.info("%d streams that had no end were refilled from the database.", filled)

    async def _fill(self, run_ids: Sequence[str]) -> int:
        filled = 0
        for start in range(0, len(run_ids), _PAGE):
            page = run_ids[start : start + _PAGE]
            for run_id, (tail, ended) in zip(page, await self._streams.ends(page), strict=True):
                # Of a stream that is gone altogether nobody holds a place: it is rebuilt for whoever asks.
                if tail is not None and not ended:
                    filled += await self._fill_one(run_id, tail)
        return filled

    async def _fill_one(self, run_id: str, tail: Cursor) -> bool:
        try:
            rebuilt = await self._database.read(load(run_id))
        except RunNotFound:
            return False
        if not rebuilt.run.state.terminal:
            return False
        last = [event for event in rebuilt.events if event.type in LAST]
        if await self._lacks_only(run_id, tail, rebuilt.events[: -len(last)]):
            return await self._streams.refill(run_id, last, tail)
        return await self._streams.refill(run_id, rebuilt.events)

    async def _lacks_only(self, run_id: str, tail: Cursor, recorded: Sequence[StoredEvent]) -> bool:
        """Whether a stream says all that was recorded of its run and broke off nowhere, so that it only needs its last words."""
        fold = Fold()
        said: set[tuple[str, str]] = set()
        try:
            while fold.cursor is None or fold.cursor < tail:
                page = await self._streams.read(run_id, fold.cursor)
                if not page:
                    return False
                fold.apply_all(page)
                said.update((event.type, event.stored_fields[1]) for event in page)
        except StreamLost:
            return False
        whole = all(part.done for part in fold.parts.values()) and all(step.state in _SETTLED for step in fold.steps.values())
        # Of a short step only its end is said.
        wanted = [(event.type, event.stored_fields[1]) for event in recorded if event.type != "step.started"]
        return whole and said.issuperset(wanted)
