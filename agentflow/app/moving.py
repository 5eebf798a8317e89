"""Moving runs to another version of their code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.maintenance import Maintenance
from agentflow.errors import RunError, UnknownTask, UnknownVersion
from agentflow.records import RunRecord, WorkerRecord
from agentflow.storage import versions, workers
from agentflow.storage.versions import Those
from agentflow.streams.log import Streams


@dataclass(frozen=True, slots=True)
class Moved:
    """How many runs were moved; `warning` says that nobody takes them now, and what to do."""

    runs: int
    warning: str | None = None


class Moving:
    """Moves runs, and tells the workers."""

    def __init__(self, database: Database, streams: Streams, clock: Clock, maintenance: Maintenance) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._maintenance = maintenance

    async def one(self, run: RunRecord, to: str | None, *, force: bool) -> Moved:
        """Move one run."""
        warning = await self._check(run.task, to, force=force)
        self._maintenance.announce(await self._database.transact(versions.move(run.id, to)))
        return Moved(1, warning)

    async def all(self, task: str, version: str, to: str | None, *, force: bool) -> Moved:
        """Move the runs of one version, batch after batch: those that are active now."""
        warning = await self._check(task, to, force=force)
        if to == version:
            return Moved(0, warning)
        which = Those(task=task, version=version, until=self._clock.now())
        moved = 0
        while True:
            count, queues = await self._database.transact(versions.move_some(which, to))
            moved += count
            for queue in queues:
                self._streams.signal("queued", queue)
            if count == 0:
                held = await self._database.read(versions.left(which))
                if not held:
                    return Moved(moved, warning)
                moved += await self._one_by_one(held, to)

    async def _one_by_one(self, run_ids: Sequence[str], to: str | None) -> int:
        """Runs that somebody held a moment ago; some may have ended since."""
        moved = 0
        for run_id in run_ids:
            try:
                self._maintenance.announce(await self._database.transact(versions.move(run_id, to)))
            except RunError:
                continue
            moved += 1
        return moved

    async def _check(self, task: str, to: str | None, *, force: bool) -> str | None:
        """What to warn of; raises `UnknownTask` and `UnknownVersion`."""
        now = self._clock.now()
        listed = await self._database.read(workers.everyone())
        label = task if to is None else f"{task}@{to}"
        if any(one.takes(label, now) for one in listed):
            return None
        known = await self._database.read(workers.task(task))
        named = known is not None or any(task in one.tasks for one in listed)
        registered = known is not None and to in (None, known.version)
        if not (force or registered or any(label in one.tasks for one in listed)):
            raise (
                _unknown(task, to, listed)
                if named
                else UnknownTask(f"There is no task {task!r}.", hint="`agentflow workers` shows who serves what.", task=task)
            )
        return f"No live worker takes {_say(task, to)}: what was moved waits until one comes. Start a worker with that code."


def _unknown(task: str, to: str | None, listed: Sequence[WorkerRecord]) -> UnknownVersion:
    found = {one.partition("@")[2] for worker in listed for one in worker.tasks if one.startswith(f"{task}@")}
    served = ", ".join(sorted(found)) or "none"
    return UnknownVersion(
        f"No worker has ever had {_say(task, to)}.",
        hint=f"Versions that workers serve: {served}. Check the name, or force it when that code is still to come.",
        task=task,
        version=to,
    )


def _say(task: str, version: str | None) -> str:
    return task if version is None else f"{task} version {version}"
