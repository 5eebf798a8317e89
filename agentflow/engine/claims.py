"""What a worker takes next: it goes round its queues, and round the keys of each, so that none keeps the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.task import Task
from agentflow.errors import StorageError
from agentflow.records import QueueRecord, RunRecord
from agentflow.storage import queues
from agentflow.storage.queues import Claimant, Claimed

_log = logging.getLogger("agentflow.engine")
SIFTED = 1_000
"""Runs at the head of a queue that are looked through for such as nobody has the code for."""


def serves(tasks: Mapping[str, Task[Any, Any]]) -> list[str]:
    """What a process has the code for: task names, each also with the versions that it takes."""
    return [name for _, task in tasks.items() for name in task.serves]


class Claims:
    """Claims runs for one worker. Which queues are limited is a hint here: the database decides."""

    lanes = queues.LOOK

    def __init__(self, database: Database, clock: Clock, tasks: Mapping[str, Task[Any, Any]]) -> None:
        self._database = database
        self._clock = clock
        self._tasks = tasks
        self._limited: dict[str, QueueRecord] = {}
        self._after: dict[str, str] = {}
        self._circles: dict[str, Circle] = {}
        self._turn = 0

    def limits(self, queue: str) -> bool:
        """Whether a queue is limited or paused."""
        return queue in self._limited

    async def look(self) -> None:
        """Read which queues are limited or paused."""
        self._limited = {one.name: one for one in await self._database.read(queues.everything())}

    async def look_again(self) -> None:
        """As `look`; what was known stays where the database does not answer."""
        try:
            await self.look()
        except StorageError as error:
            _log.error("cannot look which queues are limited, trying on: %s", error)

    async def sift(self, served: Sequence[str]) -> bool:
        """Set aside what no live worker has the code for. Whether something was put back: set aside while this worker joined, or moved."""
        known = serves(self._tasks)
        await self._database.transact(queues.sift(served, known, SIFTED, self._clock.now()))
        return bool(await self._database.transact(queues.serve(served, known)))

    async def take(self, worker: str, served: Sequence[str], limit: int) -> Claimed:
        """Lease up to `limit` runs. `more` of what is returned says that another look may bring others at once."""
        self._turn += 1
        turned = [*served[self._turn % len(served) :], *served[: self._turn % len(served)]]
        limited = [one for one in turned if one in self._limited]
        open_queues = [one for one in turned if one not in self._limited]
        # Neither kind may keep the other waiting.
        groups = [open_queues, *([one] for one in limited)] if self._turn % 2 else [*([one] for one in limited), open_queues]
        taken = Claimed()
        for group in groups:
            left = limit - len(taken.runs)
            if left > 0 and group:
                self._add(taken, await self._claim(Claimant(worker=worker, serves=serves(self._tasks), limit=left, look=self.lanes), group))
        taken.more = taken.more or len(taken.runs) == limit
        return taken

    async def _claim(self, claimant: Claimant, group: Sequence[str]) -> Claimed:
        now = self._clock.now()
        if group[0] in self._limited:
            claimed = await self._database.transact(queues.claim_limited(claimant, group[0], now))
            if claimed.unlimited:
                self._limited.pop(group[0], None)
        else:
            claimed = await self._database.transact(queues.claim_open(claimant, [(one, self._after.get(one)) for one in group], now))
            self._remember(claimed.runs)
        self._round(group, claimed)
        return claimed

    def _add(self, taken: Claimed, claimed: Claimed) -> None:
        taken.runs.extend(claimed.runs)
        taken.more = taken.more or claimed.more
        taken.held_back = taken.held_back or claimed.held_back
        times = [when for when in (taken.retry_at, claimed.retry_at) if when is not None]
        taken.retry_at = min(times, default=None)

    def _remember(self, claimed: Sequence[RunRecord]) -> None:
        """The next claim begins after the last key that had its turn."""
        lanes: dict[str, set[str]] = {}
        for run in claimed:
            lanes.setdefault(run.queue, set()).add(run.concurrency_key or "")
        for queue, keys in lanes.items():
            begin = self._after.get(queue)
            before = {key for key in keys if begin is not None and key <= begin}
            self._after[queue] = max(before or keys)

    def _round(self, group: Sequence[str], claimed: Claimed) -> None:
        """Looks that bring nothing, but did not reach all keys, go on until they have been round."""
        self._after.update({} if claimed.runs else claimed.cut)
        rounds = [self._circles.setdefault(queue, Circle()).closes(lane) for queue, lane in claimed.cut.items()]
        if claimed.runs or all(rounds):
            for queue in group:
                self._circles.pop(queue, None)
        if rounds and all(rounds):
            claimed.more = bool(claimed.runs)


class Circle:
    """Whether looks that go from key to key have come round to where they began."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._last = ""
        self._over = False

    def closes(self, lane: str) -> bool:
        """A look came to this key: whether all have been looked at since the first look of this circle ended."""
        if self._first is None:
            self._first = self._last = lane
            return False
        self._over = self._over or lane <= self._last
        self._last = lane
        return self._over and lane >= self._first
