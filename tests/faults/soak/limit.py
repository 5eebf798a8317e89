"""Whether a queue ever runs more than it may."""

from __future__ import annotations

from agentflow.database.port import Database
from agentflow.records import RunState
from agentflow.storage import listing
from agentflow.storage.listing import RunFilter
from tests.faults.soak.customers import insist
from tests.faults.soak.workload import LIMIT, narrow, pause

EVERY = 0.1


class Limit:
    """Looks at the narrow queue again and again. `most` is the most runs that were under way in it."""

    def __init__(self, database: Database) -> None:
        self.most = 0
        self._database = database

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            found = await insist(lambda: self._database.read(listing.page(RunFilter(task=narrow.name, state=RunState.RUNNING))))
            self.most = max(self.most, len(found.runs))
            await pause(EVERY)

    @property
    def wrong(self) -> list[str]:
        """What does not hold."""
        return [f"{self.most} runs at once, {LIMIT} are allowed"] if self.most > LIMIT else []
