"""Queues in which runs wait, and what for: a resume, a limit, a worker."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.app import Agentflow
from agentflow.app.finding import Finding, many
from agentflow.app.held import key_name
from agentflow.app.queues import QueueStatus
from agentflow.clock import SECOND
from agentflow.records import RunState
from agentflow.storage.pressure import full_keys

BACKLOG = 60 * SECOND
"""A queue whose oldest run waits for less is at work."""
KEYS = 20
"""Full keys of a queue that are named."""


async def backlogs(app: Agentflow, now: int) -> list[Finding]:
    """A finding for each queue that holds runs back, and for each full key of one."""
    found: list[Finding] = []
    for one in await app.queues.list():
        if one.count(RunState.QUEUED):
            keys = await app.database.read(full_keys(one.record, KEYS))
            found += _held(one, keys, now) or _waiting(one, now)
    return found


def _held(one: QueueStatus, keys: Sequence[tuple[str, int]], now: int) -> list[Finding]:
    queued, record, age = many(one.count(RunState.QUEUED), "run"), one.record, _age(one, now)
    details = {"queue": one.name, "queued": one.count(RunState.QUEUED), "oldest_seconds": age // SECOND}
    if record.paused_at is not None:
        message = f"Queue {one.name} is paused by {record.paused_by} since {(now - record.paused_at) // SECOND} s; it holds {queued}."
        return [Finding("warning", "queue_paused", message, f"Let it go on: `agentflow queues resume {one.name}`.", details)]
    if age < BACKLOG:
        return []
    if one.full:
        at_work = f"{one.count(RunState.RUNNING)} of {record.concurrency} run"
        message = f"Queue {one.name} is full ({at_work}) and holds {queued} more, the oldest since {age // SECOND} s."
        return [Finding("warning", "queue_full", message, "Raise its concurrency, if what it protects can take more.", details)]
    return [_full_key(one, lane, waiting) for lane, waiting in keys]


def _full_key(one: QueueStatus, lane: str, waiting: int) -> Finding:
    limit = one.record.key_concurrency
    message = f"In queue {one.name}, {key_name(lane)} is full ({limit} of {limit} run) and holds {many(waiting, 'run')} more."
    hint = "Raise its key_concurrency, if what it protects can take more."
    return Finding("warning", "key_full", message, hint, {"queue": one.name, "key": lane, "queued": waiting})


def _waiting(one: QueueStatus, now: int) -> list[Finding]:
    age = _age(one, now)
    if age < BACKLOG:
        return []
    message = f"Queue {one.name} holds {many(one.count(RunState.QUEUED), 'run')}, the oldest since {age // SECOND} s."
    hint = "Start more workers, or give them more slots (--concurrency)." if one.workers else f"Start a worker: --queues {one.name}."
    rate = one.rate or one.key_rate
    if rate is not None:
        hint = f"Its rate of {rate} may be what they wait for. {hint}"
    details = {
        "queue": one.name,
        "queued": one.count(RunState.QUEUED),
        "oldest_seconds": age // SECOND,
        "workers": len(one.workers),
    }
    return [Finding("warning" if one.workers else "problem", "backlog", message, hint, details)]


def _age(one: QueueStatus, now: int) -> int:
    return 0 if one.oldest_queued_at is None else now - one.oldest_queued_at
