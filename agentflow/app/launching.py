"""Runs that are started from outside of a run: with a free slot here they begin without a trip through the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentflow.clock import Clock
from agentflow.database.port import Database, Transaction
from agentflow.engine.context import StartCall
from agentflow.engine.host import Host
from agentflow.engine.placing import new_run, place
from agentflow.errors import StorageError
from agentflow.storage import runs
from agentflow.storage.runs import NewRun, Started

Beginning = Callable[[NewRun, int], Transaction[Started]]
"""Makes the transaction that starts a run, or finds the one that counts for it, at a time."""


class Launching:
    """Stores runs while an app is open."""

    def __init__(self, database: Database, clock: Clock, host: Host) -> None:
        self._database = database
        self._clock = clock
        self._host = host
        self._late: set[asyncio.Task[None]] = set()

    async def launch(self, call: StartCall, begin: Beginning | None = None) -> str:
        """Store a run; returns its id. `begin` is the transaction that does it, where it is another."""
        now = self._clock.now()
        new = new_run(call, now, scope="", host=self._host)
        try:
            started = await self._begun(new, now, begin)
        except asyncio.CancelledError:
            # It may be stored all the same, leased to this worker: nobody else would ever run it.
            late = asyncio.ensure_future(self._place_late(new))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
            raise
        except BaseException:
            place(self._host, new, None)
            raise
        place(self._host, new, started)
        return started.run.id

    async def done(self) -> None:
        """Return once it is known of every start whether it is stored."""
        await asyncio.gather(*self._late)

    async def _begun(self, new: NewRun, now: int, begin: Beginning | None) -> Started:
        if begin is not None:
            return await self._database.transact(begin(new, now))
        return await runs.start_simply(self._database, new, now) or await self._database.transact(runs.start(new, now))

    async def _place_late(self, new: NewRun) -> None:
        try:
            found = await self._database.transact(runs.find(new.id))
        except StorageError:
            found = None
        place(self._host, new, None if found is None else Started(found, existed=False))
