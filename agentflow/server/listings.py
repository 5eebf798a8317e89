"""What there is: tasks and workers; and whether all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.errors import AgentflowError
from agentflow.records import OURS, TaskRecord, WorkerRecord
from agentflow.serde import loads
from agentflow.server.calls import Call, answer
from agentflow.server.models import Health, Part, TaskInfo, TaskPage, WorkerPage
from agentflow.server.requests import Nothing
from agentflow.server.views import worker_view
from agentflow.storage import workers

T = TypeVar("T")
_PATIENCE = 2.0


async def list_tasks(call: Call[Nothing, Nothing]) -> Response:
    """All tasks that workers have served, or that this process knows."""
    living = await _living(call.app)
    known: dict[str, TaskRecord] = {name: task.record() for name, task in call.app.tasks.items()}
    known |= {task.name: task for task in await call.app.database.read(workers.tasks())}
    return answer(TaskPage(tasks=[_task(known[name], living) for name in sorted(known) if not name.startswith(OURS)]))


def _task(task: TaskRecord, living: Sequence[WorkerRecord]) -> TaskInfo:
    return TaskInfo(
        name=task.name,
        kind=task.kind,
        queue=task.queue,
        version=task.version,
        description=task.description,
        payload_schema=loads(task.schema),
        workers=sum(task.name in worker.tasks and task.queue in worker.queues for worker in living),
    )


async def list_workers(call: Call[Nothing, Nothing]) -> Response:
    """All workers on the list, and whether they live."""
    now = call.app.clock.now()
    return answer(WorkerPage(workers=[worker_view(one.worker, one.runs, now) for one in await call.app.workers.list()]))


async def drain_worker(call: Call[Nothing, Nothing]) -> Response:
    """Have a worker take no more runs, finish or hand back those it has, and leave."""
    asked = await call.app.workers.drain(call.id)
    held = {one.worker.id: one.runs for one in await call.app.workers.list()}
    return answer(worker_view(asked, held.get(asked.id, 0), call.app.clock.now()))


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
