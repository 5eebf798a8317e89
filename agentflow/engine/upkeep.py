"""Upkeep: what is old is deleted, by one worker at a time, a little at a time, and with rests in between.

It may be stopped at any moment: whoever does the next sweep goes on where this one was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database, T, Transaction
from agentflow.errors import StorageError, StreamError
from agentflow.storage import granting, upkeep
from agentflow.storage.upkeep import Place, Turn, TurnOver
from agentflow.streams.log import Streams

_log = logging.getLogger("agentflow.engine")

RETENTION = 30 * 86_400 * SECOND
"""For how long finished runs are kept, unless somebody says otherwise."""
FIRST = 60 * SECOND
"""How long after its start a worker thinks of upkeep."""
LEASE = 60 * SECOND
SELDOM = 6 * 3_600 * SECOND
OFTEN = 60 * SECOND
GOAL = 0.01
"""Seconds that a transaction may take: it takes less at a time when it took longer."""
REST = 4.0
"""How many times as long as it worked it rests."""
MOST, LEAST = 500, 20
BLOBS = 8
"""Blobs in one transaction: each may be of any size."""


class Upkeep:
    """Sweeps now and then. `retention` is microseconds to keep finished runs; None keeps them for ever."""

    def __init__(self, database: Database, streams: Streams, clock: Clock) -> None:
        self.retention: int | None = RETENTION
        self._database = database
        self._streams = streams
        self._clock = clock
        self._size = MOST

    @property
    def every(self) -> int:
        """Microseconds from one sweep to the next."""
        return SELDOM if self.retention is None else min(SELDOM, max(OFTEN, self.retention // 30))

    async def work(self, owner: Callable[[], str]) -> None:
        """Sweep for ever; `owner` is the id of this worker."""
        due = self._clock.now() + FIRST
        while True:
            await self._clock.sleep_until(due)
            due = self._clock.now() + FIRST
            try:
                due = await self.sweep(owner())
            except TurnOver:
                _log.info("another worker goes on with the upkeep")
            except StorageError as error:
                _log.warning("the upkeep broke off, it is tried again: %s", error)
            except Exception:  # noqa: BLE001 - an odd row must not end the upkeep of all others for good
                _log.exception("the upkeep broke off, it is tried again")

    async def sweep(self, owner: str) -> int:
        """Delete what is old, unless it is not time or another worker does; returns when to come again. Raises `TurnOver`."""
        now = self._clock.now()
        position = await self._database.transact(upkeep.elect(self._turn(owner), now))
        if position is None:
            return max(await self._database.read(upkeep.due()), now + SECOND)
        await self._rounds(owner, lambda: upkeep.clear(self._size))
        if self.retention is not None:
            before = now - self.retention
            await self._bury(owner, position, before)
            await self._rounds(owner, lambda: upkeep.forget_tokens(before, self._size))
            await self._rounds(owner, lambda: granting.forget(before, self._size))
        await self._rounds(owner, lambda: upkeep.forget_starts(now, self._size))
        await self._rounds(owner, lambda: upkeep.forget_tries(now, self._size))
        await self._rounds(owner, lambda: upkeep.expire_usage(now, self._size))
        await self._rounds(owner, lambda: upkeep.expire_generations(now, self._size))
        await self._blobs(owner, now)
        due = now + self.every
        await self._database.transact(upkeep.dismiss(owner, due, self._clock.now()))
        return due

    def _turn(self, owner: str) -> Turn:
        return Turn(owner=owner, until=self._clock.now() + LEASE, retention=self.retention)

    async def _bury(self, owner: str, position: int, before: int) -> None:
        more = True
        while more:
            buried = await self._round(owner, upkeep.bury(position, before, self._size))
            position, more = buried.position, buried.more
            if buried.runs:
                await self._forget_streams(buried.runs)
                await self._rounds(owner, lambda: upkeep.clear(self._size))

    async def _forget_streams(self, run_ids: Sequence[str]) -> None:
        # They would expire by themselves.
        with suppress(StreamError):
            await self._streams.forget(run_ids)

    async def _blobs(self, owner: str, now: int) -> None:
        place: Place | None = Place(0, "")
        while place is not None:
            looked = await self._database.read(upkeep.unused_blobs(place, now, LEAST))
            for start in range(0, len(looked.unused), BLOBS):
                await self._round(owner, upkeep.forget_blobs(looked.unused[start : start + BLOBS], now))
            place = looked.next
            await asyncio.sleep(0)

    async def _rounds(self, owner: str, part: Callable[[], Transaction[bool]]) -> None:
        while await self._round(owner, part()):
            pass

    async def _round(self, owner: str, part: Transaction[T]) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await self._database.transact(upkeep.in_turn(self._turn(owner), part))
        took = loop.time() - began
        self._size = max(LEAST, self._size // 2) if took > GOAL else min(MOST, self._size * 2)
        await asyncio.sleep(min(1.0, took * REST))
        return found
