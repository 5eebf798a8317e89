"""Runs begin and are leased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

from agentflow.clock import SECOND
from agentflow.database.port import Database, Row, Transaction
from agentflow.errors import IdempotencyConflict, LeaseLost, RunNotFound
from agentflow.records import RunRecord, RunState
from agentflow.serde import dumps
from agentflow.storage import blobs, rows
from agentflow.storage.statements import SQL

IDEMPOTENCY_TTL = 30 * 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a run: every write of a worker is fenced by it."""

    run: int
    run_id: str
    epoch: int
    worker: str


class Lessee(NamedTuple):
    """A worker with a free slot for one run."""

    worker: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be stored. `input` is JSON text; times are microseconds since 1970."""

    id: str
    task: str
    queue: str
    input: str
    ready_at: int | None = None
    expires_at: int | None = None
    idempotency_key: str | None = None
    idempotency_scope: str = ""
    tags: Sequence[str] = ()
    metadata: str = "{}"
    priority: int = 0
    concurrency_key: str | None = None
    on_parent_cancel: str = "cancel"
    version: str | None = None
    hooked: bool = False
    lessee: Lessee | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """A stored run, and whether an idempotency key led to one that was there before."""

    run: RunRecord
    existed: bool


def start(new: NewRun, now: int, parent: Lease | None = None) -> Transaction[Started]:
    """Store a run; leased at once when `new.lessee` names a living worker, which has a slot free for it.

    Raises `IdempotencyConflict` when the key belongs to another payload, `LeaseLost` when `parent` lost its lease.
    """
    if parent is not None:
        yield from hold(parent)
    if new.idempotency_key is not None:
        known = yield from _known(new, now)
        if known is not None:
            # Its own, when the connection broke after the commit.
            return Started(known, existed=known.id != new.id)
    text = yield from blobs.stow(new.input, now)
    found = yield SQL.runs.insert(**_columns(new, now, parent), input=text)
    if not found:
        # It is there: the connection broke after it was committed.
        found = yield SQL.runs.get(id=new.id)
    return Started(_stored(new, now, parent, found[0]), existed=False)


async def start_simply(database: Database, new: NewRun, now: int) -> Started | None:
    """As `start`, in one statement, for a run without parent and key. None when it is not that simple: then `start` decides."""
    if new.idempotency_key is not None or len(new.input) > blobs.LIMIT:
        return None
    found = await database.execute(SQL.runs.insert(**_columns(new, now, None), input=new.input))
    return Started(_stored(new, now, None, found[0]), existed=False) if found else None


def _stored(new: NewRun, now: int, parent: Lease | None, row: Row) -> RunRecord:
    """A new run's record: only key and lease were decided by the database."""
    leased = row["worker"] is not None
    return RunRecord(
        key=row["key"],
        id=new.id,
        task=new.task,
        queue=new.queue,
        state=RunState(row["state"]),
        epoch=row["epoch"],
        attempt=1,
        recoveries=0,
        worker=row["worker"],
        ready_at=new.ready_at,
        expires_at=new.expires_at,
        input=new.input,
        output=None,
        error=None,
        parent_id=None if parent is None else parent.run_id,
        tags=tuple(new.tags),
        metadata=new.metadata,
        idempotency_key=new.idempotency_key,
        concurrency_key=new.concurrency_key,
        priority=new.priority,
        version=new.version,
        code=None,
        cancel_reason=None,
        wakes=0,
        active=0,
        created_at=now,
        started_at=now if leased else None,
        finished_at=None,
        note=None,
    )


def find(run_id: str) -> Transaction[RunRecord | None]:
    """A run, if there is one."""
    found = yield SQL.runs.get(id=run_id)
    return (yield from _whole(rows.run(found[0]))) if found else None


def _columns(new: NewRun, now: int, parent: Lease | None) -> dict[str, object]:
    state = RunState.QUEUED if new.ready_at is None else RunState.SCHEDULED
    return {
        "id": new.id,
        "task": new.task,
        "queue": new.queue,
        "state": state.value,
        "epoch": new.epoch,
        "worker": new.lessee.worker if new.lessee is not None and new.ready_at is None else None,
        "position": (new.ready_at or now) - new.priority * SECOND,
        "ready_at": new.ready_at,
        "expires_at": new.expires_at,
        "parent": None if parent is None else parent.run,
        "parent_id": None if parent is None else parent.run_id,
        "on_parent_cancel": new.on_parent_cancel,
        "tags": dumps(list(new.tags)) if new.tags else "[]",
        "metadata": new.metadata,
        "idempotency_key": new.idempotency_key,
        "concurrency_key": new.concurrency_key,
        "priority": new.priority,
        "version": new.version,
        "hooks": "wanted" if new.hooked else "none",
        "created_at": now,
    }


def scoped(new_scope: str, task: str, key: str) -> str:
    """The stored form of an idempotency key: a key of one task never meets that of another."""
    return f"{new_scope}/{task}/{key}"


def _known(new: NewRun, now: int) -> Transaction[RunRecord | None]:
    key = scoped(new.idempotency_scope, new.task, new.idempotency_key or "")
    digest = blake2b(new.input.encode(), digest_size=16).hexdigest()
    found = yield SQL.idempotency.put(key=key, owner=new.id, digest=digest, expires_at=now + IDEMPOTENCY_TTL, now=now)
    if found:
        return None
    held = (yield SQL.idempotency.get(key=key, now=now))[0]
    earlier = yield SQL.runs.get(id=held["owner"])
    if not earlier:
        yield SQL.idempotency.free(key=key, owner=held["owner"])
        return (yield from _known(new, now))
    if held["digest"] != digest:
        raise IdempotencyConflict(
            f"The idempotency key {new.idempotency_key!r} belongs to {held['owner']}, which has another payload.",
            hint="Use another key for another payload.",
            run_id=held["owner"],
        )
    return rows.run(earlier[0])


def hold(lease: Lease) -> Transaction[None]:
    """Check that the lease still holds; raises `LeaseLost`."""
    held = yield SQL.runs.holds(run=lease.run, epoch=lease.epoch)
    if not held:
        raise LeaseLost(lease.run_id)


def lock(run_id: str) -> Transaction[RunRecord]:
    """Lock a run's row, which every transition does first. Raises `RunNotFound`."""
    found = yield SQL.runs.lock(id=run_id)
    if not found:
        raise _not_found(run_id)
    return rows.run(found[0])


def get(run_id: str) -> Transaction[RunRecord]:
    """A run with its whole input and output. Raises `RunNotFound`."""
    found = yield SQL.runs.get(id=run_id)
    if not found:
        raise _not_found(run_id)
    return (yield from _whole(rows.run(found[0])))


def _not_found(run_id: str) -> RunNotFound:
    return RunNotFound(f"There is no run {run_id!r}.", hint="`agentflow runs list` shows the runs of this database.", run_id=run_id)


def _whole(run: RunRecord) -> Transaction[RunRecord]:
    found = yield from blobs.resolve([run.input, run.output])
    if not found:
        return run
    output = run.output
    return replace(run, input=found.get(run.input, run.input), output=None if output is None else found.get(output, output))


def claim(worker: str, queues: Sequence[str], limit: int, now: int) -> Transaction[list[RunRecord]]:
    """Lease up to `limit` queued runs to a worker, in the order of their positions."""
    found = yield SQL.runs.claim(worker=worker, queues=dumps(list(queues)), limit=limit, now=now)
    claimed: list[RunRecord] = []
    for row in found:
        claimed.append((yield from _whole(rows.run(row))))
    return claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list, newest first. `before` is the `key` of the last run of the page before."""

    task: str | None = None
    state: RunState | None = None
    tag: str | None = None
    parent: str | None = None
    before: int | None = None
    limit: int = 50


def page(wanted: RunFilter) -> Transaction[list[RunRecord]]:
    """A page of runs; large inputs and outputs stay pointers."""
    found = yield SQL.runs.list(
        task=wanted.task,
        state=None if wanted.state is None else wanted.state.value,
        tag=wanted.tag,
        parent=wanted.parent,
        before=wanted.before,
        limit=wanted.limit,
    )
    return [rows.run(row) for row in found]
