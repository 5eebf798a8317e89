"""How a run is woken from outside of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from agentflow.database.port import Database, Transaction
from agentflow.engine.worker import Worker
from agentflow.records import RunRecord
from agentflow.storage.runs import Lessee


class Woke(Protocol):
    """What a transaction says of the runs that it woke: those to be told, and those leased at once to a worker."""

    @property
    def runs(self) -> Sequence[RunRecord]:
        """To be told."""
        ...

    @property
    def leased(self) -> Sequence[RunRecord]:
        """Leased."""
        ...


W = TypeVar("W", bound=Woke)


class Waking:
    """Runs transactions that wake a run. One that our worker keeps in memory, and has a slot for, goes on at once."""

    def __init__(self, database: Database, worker: Worker | None) -> None:
        self._database = database
        self._worker = worker

    async def transact(self, run_id: str | None, make: Callable[[Lessee | None], Transaction[W]], told: Callable[[W], None]) -> W:
        """Run what `make` makes for a worker that could go on with the run, and tell of it with `told`."""
        # Whoever is cancelled here, the work goes on: a run that it leased to this worker must be taken over.
        return await asyncio.shield(asyncio.ensure_future(self._transact(run_id, make, told)))

    async def _transact(self, run_id: str | None, make: Callable[[Lessee | None], Transaction[W]], told: Callable[[W], None]) -> W:
        lessee = self._lessee(run_id)
        try:
            woke = await self._database.transact(make(lessee))
        finally:
            self._retract(lessee)
        if self._worker is not None:
            for run in woke.leased:
                self._worker.adopt(run)
        told(woke)
        return woke

    def _lessee(self, run_id: str | None) -> Lessee | None:
        """Our worker, with a slot reserved, if it keeps the waiting run in memory."""
        if self._worker is None or run_id is None or run_id not in self._worker.hot:
            return None
        return self._worker.offer(run_id)

    def _retract(self, lessee: Lessee | None) -> None:
        if lessee is not None and self._worker is not None:
            self._worker.retract(lessee)
