"""Worker processes: registered, kept alive by their lease, swept when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentflow.database.port import Transaction, transaction
from agentflow.records import TaskRecord, WorkerRecord
from agentflow.serde import dumps
from agentflow.storage import rows
from agentflow.storage.statements import SQL


@transaction
def register(worker: WorkerRecord, known: Sequence[TaskRecord], now: int) -> Transaction[None]:
    """Enter a worker into the list of the living, and what it knows into the list of tasks."""
    for task in known:
        yield SQL.tasks.put(
            name=task.name,
            queue=task.queue,
            description=task.description,
            schema=task.schema,
            kind=task.kind,
            hooked=int(task.hooked),
            version=task.version,
            now=now,
        )
    yield SQL.workers.register(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        slots=worker.slots,
        queues=dumps(list(worker.queues)),
        tasks=dumps(list(worker.tasks)),
        expires_at=worker.expires_at,
        now=now,
    )


@transaction
def renew(worker_id: str, expires_at: int, claimed_at: int) -> Transaction[bool]:
    """Keep a worker's lease until `expires_at`; False when the worker was declared dead, which cannot be undone."""
    found = yield SQL.workers.renew(id=worker_id, expires_at=expires_at, claimed_at=claimed_at)
    return bool(found)


@transaction
def drain(worker_id: str) -> Transaction[WorkerRecord | None]:
    """Have a worker take no more runs; None when it is on no list."""
    found = yield SQL.workers.drain(id=worker_id)
    return rows.worker(found[0]) if found else None


def drains(worker_id: str) -> Transaction[bool]:
    """Whether a worker is to take no more runs."""
    found = yield SQL.workers.state(id=worker_id)
    return bool(found) and found[0]["state"] == "draining"


def held() -> Transaction[dict[str, int]]:
    """How many runs each worker holds."""
    return {row["worker"]: row["runs"] for row in (yield SQL.workers.held())}


@transaction
def remove(worker_id: str) -> Transaction[bool]:
    """Take a worker that holds no run off the list; whether it is off."""
    yield SQL.workers.lock(id=worker_id)
    yield SQL.workers.remove(id=worker_id)
    return not (yield SQL.workers.state(id=worker_id))


def dead(now: int, limit: int) -> Transaction[list[tuple[str, int]]]:
    """Workers whose lease has ended, and when."""
    found = yield SQL.workers.dead(now=now, limit=limit)
    return [(row["id"], row["expires_at"]) for row in found]


def held_by(worker_id: str, limit: int) -> Transaction[list[str]]:
    """Ids of runs that a worker holds."""
    found = yield SQL.runs.of_worker(worker=worker_id, limit=limit)
    return [row["id"] for row in found]


class Leased(NamedTuple):
    """A run that is leased, and the epoch of that lease."""

    run_id: str
    epoch: int


def leased_to(worker_id: str, limit: int) -> Transaction[list[Leased]]:
    """The runs that a worker holds."""
    found = yield SQL.runs.of_worker(worker=worker_id, limit=limit)
    return [Leased(row["id"], row["epoch"]) for row in found]


def orphans(limit: int) -> Transaction[list[tuple[str, str]]]:
    """Runs leased to workers that are on no list, and to whom."""
    found = yield SQL.runs.orphans(limit=limit)
    return [(row["id"], row["worker"]) for row in found]


def cancelled_here(worker_id: str) -> Transaction[list[tuple[str, str]]]:
    """Runs that a worker holds and somebody asked to cancel, each with the reason."""
    found = yield SQL.runs.cancelled_here(worker=worker_id)
    return [(row["id"], row["cancel_reason"]) for row in found]


def everyone() -> Transaction[Sequence[WorkerRecord]]:
    """All workers on the list."""
    found = yield SQL.workers.list()
    return [rows.worker(row) for row in found]


def task(name: str) -> Transaction[TaskRecord | None]:
    """A task by its name, whether or not a worker serves it now."""
    found = yield SQL.tasks.get(name=name)
    return rows.task(found[0]) if found else None


def tasks() -> Transaction[list[TaskRecord]]:
    """All tasks that workers have served."""
    found = yield SQL.tasks.list()
    return [rows.task(row) for row in found]
