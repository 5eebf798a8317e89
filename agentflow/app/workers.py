"""What can be done with workers from outside of them."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.database.port import Database
from agentflow.errors import WorkerNotFound
from agentflow.records import WorkerRecord
from agentflow.storage import workers
from agentflow.streams.log import Streams


@dataclass(frozen=True, slots=True)
class Listed:
    """A worker, and how many runs it holds."""

    worker: WorkerRecord
    runs: int


class Workers:
    """`app.workers`: see who works, and have a worker leave."""

    def __init__(self, database: Database, streams: Streams) -> None:
        self._database = database
        self._streams = streams

    async def list(self) -> list[Listed]:
        """All workers on the list, the dead ones that nobody has swept yet among them."""
        held = await self._database.read(workers.held())
        return [Listed(one, held.get(one.id, 0)) for one in await self._database.read(workers.everyone())]

    async def drain(self, worker_id: str) -> WorkerRecord:
        """Have a worker take no more runs, let go of those that wait, finish or hand back the rest, and leave.

        A process of `agentflow worker` then exits with 0; one that serves, too, goes on without a worker. It hears at once, or, where
        the word is lost, within seconds. Raises `WorkerNotFound`.
        """
        found = await self._database.transact(workers.drain(worker_id))
        if found is None:
            raise WorkerNotFound(f"There is no worker {worker_id!r}.", hint="`agentflow workers` shows those there are.", worker=worker_id)
        self._streams.signal("drain", worker_id)
        return found
