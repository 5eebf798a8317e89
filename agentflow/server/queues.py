"""Queues over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from agentflow.app.queues import QueueStatus
from agentflow.records import RunState
from agentflow.server.calls import Call, answer
from agentflow.server.models import QueueInfo, QueuePage
from agentflow.server.requests import Nothing, PauseQueue


async def list_queues(call: Call[Nothing, Nothing]) -> Response:
    """All queues that hold runs, that a worker serves, or that are limited or paused."""
    return answer(QueuePage(queues=[queue_view(one) for one in await call.app.queues.list()]))


async def pause_queue(call: Call[PauseQueue, Nothing]) -> Response:
    """Let no run of a queue begin or go on; what runs now runs on. Doing so again changes nothing."""
    by = call.body.by or call.request.headers.get("x-agentflow-by") or "http"
    return answer(queue_view(await call.app.queues.pause(_name(call), by=by)))


async def resume_queue(call: Call[Nothing, Nothing]) -> Response:
    """Let a paused queue go on, at once."""
    return answer(queue_view(await call.app.queues.resume(_name(call))))


def _name(call: Call[PauseQueue, Nothing] | Call[Nothing, Nothing]) -> str:
    return str(call.request.path_params["name"])


def queue_view(one: QueueStatus) -> QueueInfo:
    """A queue as it is shown over HTTP."""
    record = one.record
    return QueueInfo(
        name=one.name,
        workers=len(one.workers),
        queued=one.count(RunState.QUEUED),
        running=one.count(RunState.RUNNING),
        scheduled=one.count(RunState.SCHEDULED),
        waiting=one.count(RunState.WAITING),
        paused=one.count(RunState.PAUSED),
        oldest_queued_at=_millis(one.oldest_queued_at),
        concurrency=record.concurrency,
        key_concurrency=record.key_concurrency,
        rate=one.rate,
        key_rate=one.key_rate,
        paused_at=_millis(record.paused_at),
        paused_by=record.paused_by,
    )


def _millis(micros: int | None) -> int | None:
    return None if micros is None else micros // 1_000
