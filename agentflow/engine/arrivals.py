"""Leases on their way to a worker: which of its runs may not be in its memory yet, and which never will be."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from agentflow.database.port import Database
from agentflow.storage import workers
from agentflow.storage.workers import Leased

_log = logging.getLogger("agentflow.engine")


class Epoch(Protocol):
    """What works under a lease."""

    @property
    def epoch(self) -> int:
        """That lease."""
        ...


class Runs:
    """Ids of runs, each as often as it was added."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def add(self, run_id: str) -> None:
        """Once more."""
        self._times[run_id] += 1

    def remove(self, run_id: str) -> None:
        """Once less."""
        self._times[run_id] -= 1
        if not self._times[run_id]:
            del self._times[run_id]

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._times

    def __len__(self) -> int:
        return len(self._times)


class Arrivals:
    """What may be leased to a worker: `expected` from before that is asked for until the run is in memory, or known not to come.

    `slots` are those expected runs that have a slot reserved. `claiming` is held by whoever claims until what it claimed is in memory, for
    nobody knows before which runs that will be.
    """

    def __init__(self, database: Database, claiming: asyncio.Lock) -> None:
        self.expected = Runs()
        self.slots = Runs()
        self._database = database
        self._claiming = claiming

    async def strays(self, worker: str, limit: int, active: Mapping[str, Epoch]) -> Sequence[Leased]:
        """What is leased to a worker and will not be worked on: the word of it was lost, or the engine failed.

        Whatever was under way when this looked has come to an end when it judges, so no time that passes makes a run a stray.
        """
        async with self._claiming:
            held = await self._database.read(workers.leased_to(worker, limit))
            found = [one for one in held if one.run_id not in self.expected and not _works_on(active, one)]
        for one in found:
            _log.warning("%s: is leased to this worker, which does not work on it, and is recovered", one.run_id)
        return found


def _works_on(active: Mapping[str, Epoch], leased: Leased) -> bool:
    execution = active.get(leased.run_id)
    return execution is not None and execution.epoch == leased.epoch
