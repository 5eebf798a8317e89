"""What there is: tasks, workers, queues; and whether all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.errors import AgentflowError
from agentflow.records import TaskRecord, WorkerRecord
from agentflow.serde import loads
from agentflow.server.calls import Call, answer
from agentflow.server.models import Health, Nothing, Part, QueueInfo, QueuePage, TaskInfo, TaskPage, WorkerInfo, WorkerPage
from agentflow.storage import workers
from agentflow.storage.statements import SQL

T = TypeVar("T")
_PATIENCE = 2.0


async def list_tasks(call: Call[Nothing, Nothing]) -> Response:
    """All tasks that workers have served, or that this process knows."""
    living = await _living(call.app)
    known: dict[str, TaskRecord] = {name: task.record() for name, task in call.app.tasks.items()}
    known |= {task.name: task for task in await call.app.database.read(workers.tasks())}
    return answer(TaskPage(tasks=[_task(known[name], living) for name in sorted(known)]))


def _task(task: TaskRecord, living: Sequence[WorkerRecord]) -> TaskInfo:
    return TaskInfo(
        name=task.name,
        kind=task.kind,
        queue=task.queue,
        description=task.description,
        payload_schema=loads(task.schema),
        workers=sum(task.name in worker.tasks and task.queue in worker.queues for worker in living),
    )


async def list_workers(call: Call[Nothing, Nothing]) -> Response:
    """All workers on the list, and whether they live."""
    now = call.app.clock.now()
    return answer(WorkerPage(workers=[_worker(one, now) for one in await call.app.database.read(workers.everyone())]))


def _worker(one: WorkerRecord, now: int) -> WorkerInfo:
    return WorkerInfo(
        id=one.id,
        host=one.host,
        pid=one.pid,
        slots=one.slots,
        state=one.state,
        live=one.expires_at > now,
        queues=list(one.queues),
        tasks=list(one.tasks),
        started_at=one.started_at // 1_000,
        claimed_at=one.claimed_at // 1_000,
        expires_at=one.expires_at // 1_000,
    )


async def list_queues(call: Call[Nothing, Nothing]) -> Response:
    """All queues that hold runs, or that a worker serves."""
    living = await _living(call.app)
    queues = {name: _queue(name, living) for worker in living for name in worker.queues}
    for row in await call.app.database.fetch(SQL.runs.counts()):
        name, state = row["queue"], row["state"]
        queue = queues.setdefault(name, _queue(name, living))
        setattr(queue, state, row["runs"])
        if state == "queued":
            queue.oldest_queued_at = row["oldest"] // 1_000
    return answer(QueuePage(queues=[queues[name] for name in sorted(queues)]))


def _queue(name: str, living: Sequence[WorkerRecord]) -> QueueInfo:
    return QueueInfo(name=name, workers=sum(name in worker.queues for worker in living))


async def get_health(call: Call[Nothing, Nothing]) -> Response:
    """Whether the database and the stream server answer, and how many workers live; 503 without a database."""
    app = call.app
    (living, database), (_, streams) = await asyncio.gather(_tried(lambda: _living(app)), _tried(lambda: app.streams.tail("health")))
    count = len(living or ())
    status = "unavailable" if not database.ok else "ok" if streams.ok and count else "degraded"
    return answer(Health(status=status, database=database, streams=streams, workers=count), 200 if database.ok else 503)


async def _living(app: Agentflow) -> list[WorkerRecord]:
    now = app.clock.now()
    return [one for one in await app.database.read(workers.everyone()) if one.expires_at > now]


async def _tried(work: Callable[[], Awaitable[T]]) -> tuple[T | None, Part]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await work(), Part(ok=True)
    except AgentflowError as error:
        return None, Part(ok=False, error=error.code)
    except TimeoutError:
        return None, Part(ok=False, error="timeout")
