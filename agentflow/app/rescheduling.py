"""Runs that have not begun, put off or brought forward."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError
from agentflow.records import RunRecord
from agentflow.serde import check_keys, dumps
from agentflow.storage import runs, workers

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rescheduling:
    """What `app.runs.reschedule` does."""

    def __init__(self, database: Database, clock: Clock, maintenance: Maintenance, tasks: Mapping[str, Task[..., Any]]) -> None:
        self._database = database
        self._clock = clock
        self._maintenance = maintenance
        self._tasks = tasks

    async def one(self, run: RunRecord, delay: Duration | None, at: datetime | None, payload: Mapping[str, Any] | None) -> RunRecord:
        """The run, moved. Raises `DefinitionError`, `InvalidPayload`, and `RunError` when its delay has ended."""
        now = self._clock.now()
        ready_at = _moment(delay, at, now)
        text = None if payload is None else await self._checked(run.task, dumps(dict(payload)))
        moved = await self._database.transact(runs.reschedule(run.id, ready_at, text, now))
        self._maintenance.due(ready_at)
        return moved

    async def _checked(self, task: str, payload: str) -> str:
        known = self._tasks.get(task)
        if known is not None:
            return known.payload.check(payload)
        record = await self._database.read(workers.task(task))
        if record is not None:
            check_keys(task, record.schema, payload)
        return payload


def _moment(delay: Duration | None, at: datetime | None, now: int) -> int:
    if (delay is None) == (at is None):
        hint = 'Say delay="1h", counted from now, or at=datetime(2027, 1, 1, tzinfo=UTC).'
        raise DefinitionError("A run is rescheduled by a delay or to a time.", hint=hint)
    if delay is not None:
        return now + microseconds(delay)
    if at is None:
        return now
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0, (aware - EPOCH) // timedelta(microseconds=1))
