"""Runs that begin outside of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentflow.clock import Clock
from agentflow.database import Database
from agentflow.database.port import Transaction
from agentflow.engine.context import StartCall
from agentflow.engine.host import Host
from agentflow.engine.placing import new_run, place
from agentflow.errors import StorageError
from agentflow.storage import runs
from agentflow.storage.runs import NewRun, Started

Beginning = Callable[[NewRun, int], Transaction[Started]]
"""Makes the transaction that starts a run, or finds the one that counts for it, at a time."""


class Launching:
    """Starts runs, and gives each to the worker of this process if that was to have it."""

    def __init__(self, database: Database, host: Host, clock: Clock) -> None:
        self._database = database
        self._host = host
        self._clock = clock
        self._late: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        """Return once no start is under way any more."""
        await asyncio.gather(*self._late)

    async def launch(self, call: StartCall, begin: Beginning | None = None) -> str:
        """Start a run, by the transaction `begin` if it is given; returns its id."""
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
