"""Runs begin and are leased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

from agentflow.clock import SECOND
from agentflow.control import LeaseLost
from agentflow.database.port import Database, Row, Transaction, transaction
from agentflow.errors import IdempotencyConflict, RunError, RunNotFound
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
    """A worker with a free slot for one run; `version` is the one that it keeps in memory."""

    worker: str
    run_id: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be stored. `input` is JSON text; times are microseconds since 1970; `call_key` names the call of a run that asked for it.

    `turn` is the place that it was promised in the line of its thread, `follows` the message there that its own ones follow, None for the
    last. `started_by`: the person in whose name it is. `inherit_prompts`: it holds the versions that the runs above it hold.
    """

    id: str
    task: str
    queue: str
    input: str
    ready_at: int | None = None
    expires_at: int | None = None
    idempotency_key: str | None = None
    idempotency_scope: str = ""
    call_key: str | None = None
    tags: Sequence[str] = ()
    metadata: str = "{}"
    priority: int = 0
    concurrency_key: str | None = None
    on_parent_cancel: str = "cancel"
    version: str | None = None
    hooked: bool = False
    lessee: Lessee | None = None
    epoch: int = 0
    watched: bool = False
    weight: int = 1
    dedupe_key: str | None = None
    debounce: Debounced | None = None
    thread: str | None = None
    turn: int | None = None
    follows: int | None = None
    started_by: str | None = None
    inherit_prompts: bool = True


@dataclass(frozen=True, slots=True)
class Debounced:
    """A start that waits for quiet under `key`, until `until` at most; `trailing`: the last payload counts, not the first."""

    key: str
    until: int
    trailing: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A stored run, and whether a key led to one that was there before."""

    run: RunRecord
    existed: bool


@transaction
def start(new: NewRun, now: int, parent: Lease | None = None) -> Transaction[Started]:
    """Store a run; leased at once when `new.lessee` names a living worker, which has a slot free for it.

    A run that is active under the same dedupe or debounce key, or was started under the same idempotency key, counts for it.
    Whoever has a `parent` checks its lease. Raises `IdempotencyConflict` when the key belongs to another payload.
    """
    if new.idempotency_key is not None:
        known = yield from known_by_key(new, now)
        if known is not None:
            # Its own, when the connection broke after the commit.
            return Started(known, existed=known.id != new.id)
    text = yield from blobs.stow(new.input, now)
    if new.debounce is not None:
        return (yield from _debounce(new, new.debounce, text, now, parent))
    while True:
        found = yield SQL.runs.insert(**_columns(new, now, parent), input=text, dedupe_key=new.dedupe_key)
        if found:
            yield from _tag(new, found[0]["key"])
            yield from _part(new, found[0]["key"], parent, now)
            turn = yield from _join(new, found[0]["key"], now)
            return Started(replace(_stored(new, now, parent, found[0]), turn=turn), existed=False)
        # It is there, and the connection broke after it was committed; or another run is active under its key.
        found = yield SQL.runs.get(id=new.id)
        if found:
            return Started(rows.run(found[0]), existed=False)
        found = yield SQL.runs.deduped(task=new.task, dedupe_key=new.dedupe_key)
        if found:
            return Started(rows.run(found[0]), existed=True)


def _debounce(new: NewRun, how: Debounced, text: str, now: int, parent: Lease | None) -> Transaction[Started]:
    columns = _columns(new, now, parent)
    for name in ("state", "epoch", "worker", "idempotency_key"):
        del columns[name]
    found = yield SQL.runs.debounce(
        **columns, input=text, debounce_key=how.key, debounce_until=max(how.until, new.ready_at or now), trailing=int(how.trailing)
    )
    if found[0]["id"] == new.id:
        yield from _tag(new, found[0]["key"])
        yield from _part(new, found[0]["key"], parent, now)
        yield from _join(new, found[0]["key"], now)
        return Started(replace(rows.run(found[0]), thread=new.thread), existed=False)
    return Started(rows.run(found[0]), existed=True)


def _tag(new: NewRun, key: int) -> Transaction[None]:
    """Runs are listed by tag from a table of their own."""
    if new.tags:
        yield SQL.tags.put(run=key, tags=dumps(list(new.tags)))


def _part(new: NewRun, key: int, parent: Lease | None, now: int) -> Transaction[None]:
    """A run that holds nothing of those above it begins a family of its own, as far as prompts go."""
    if parent is not None and not new.inherit_prompts:
        yield SQL.pins.part(scope=f"run:{key}", run=key, now=now)


def _join(new: NewRun, key: int, now: int) -> Transaction[int | None]:
    """Take the last place in the line of the run's thread; one that is delayed does so when it begins."""
    if new.thread is None:
        return None
    turn = new.turn
    if turn is None and new.ready_at is None:
        turn = (yield SQL.threads.turn(id=new.thread, agent=new.task, now=now))[0]["turns"]
    yield SQL.threads.join(run=key, thread=new.thread, turn=turn, follows=new.follows)
    return turn


@transaction
def start_detached(new: NewRun, now: int, parent: Lease) -> Transaction[Started]:
    """As `start`, from inside of a run that does not wait for it. Raises `LeaseLost`."""
    yield from hold(parent)
    return (yield from start(new, now, parent))


async def start_simply(database: Database, new: NewRun, now: int) -> Started | None:
    """As `start`, in one statement, for a run without parent, key and tags. None when it is not that simple: then `start` decides."""
    if (
        new.tags
        or new.thread is not None
        or new.idempotency_key is not None
        or new.dedupe_key is not None
        or new.debounce is not None
        or len(new.input) > blobs.LIMIT
    ):
        return None
    found = await database.execute(SQL.runs.insert(**_columns(new, now, None), input=new.input, dedupe_key=None))
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
        idempotency_key=new.idempotency_key or new.call_key,
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
        weight=new.weight,
        thread=new.thread,
        follows=new.follows,
        started_by=new.started_by,
    )


@transaction
def find(run_id: str) -> Transaction[RunRecord | None]:
    """A run, if there is one."""
    found = yield SQL.runs.get(id=run_id)
    return (yield from whole(rows.run(found[0]))) if found else None


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
        "idempotency_key": new.idempotency_key or new.call_key,
        "concurrency_key": new.concurrency_key,
        "priority": new.priority,
        "version": new.version,
        "hooks": "wanted" if new.hooked else "none",
        "created_at": now,
        "watched": int(new.watched),
        "weight": new.weight,
        "started_by": new.started_by,
    }


def scoped(new_scope: str, task: str, key: str) -> str:
    """The stored form of an idempotency key: a key of one task never meets that of another."""
    return f"{new_scope}/{task}/{key}"


def known_by_key(new: NewRun, now: int, owner: str | None = None) -> Transaction[RunRecord | None]:
    """The run that the idempotency key of a new one leads to. None when it is free: from now on it leads to `owner`, or the new run.

    Raises `IdempotencyConflict` when the key belongs to another payload.
    """
    key = scoped(new.idempotency_scope, new.task, new.idempotency_key or "")
    digest = blake2b(new.input.encode(), digest_size=16).hexdigest()
    found = yield SQL.idempotency.put(key=key, owner=owner or new.id, digest=digest, expires_at=now + IDEMPOTENCY_TTL, now=now)
    if found:
        return None
    held = (yield SQL.idempotency.get(key=key, now=now))[0]
    earlier = yield SQL.runs.get(id=held["owner"])
    if not earlier:
        yield SQL.idempotency.free(key=key, owner=held["owner"])
        return (yield from known_by_key(new, now, owner))
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


def held(lease: Lease) -> Transaction[RunRecord]:
    """Lock the row of a run that the lease still holds; raises `LeaseLost`."""
    found = yield SQL.runs.lock_key(key=lease.run)
    if not found or found[0]["epoch"] != lease.epoch or found[0]["state"] != RunState.RUNNING:
        raise LeaseLost(lease.run_id)
    return rows.run(found[0])


def lock(run_id: str) -> Transaction[RunRecord]:
    """Lock a run's row, which every transition does first. Raises `RunNotFound`."""
    found = yield SQL.runs.lock(id=run_id)
    if not found:
        raise not_found(run_id)
    return rows.run(found[0])


def get(run_id: str) -> Transaction[RunRecord]:
    """A run with its whole input and output. Raises `RunNotFound`."""
    found = yield SQL.runs.get(id=run_id)
    if not found:
        raise not_found(run_id)
    return (yield from whole(rows.run(found[0])))


def not_found(run_id: str) -> RunNotFound:
    """The error that tells of a run that is not there."""
    return RunNotFound(f"There is no run {run_id!r}.", hint="`agentflow runs list` shows the runs of this database.", run_id=run_id)


def whole(run: RunRecord) -> Transaction[RunRecord]:
    """A run with its large values in place of the pointers to them."""
    found = yield from blobs.resolve([run.input, run.output])
    if not found:
        return run
    output = run.output
    return replace(run, input=found.get(run.input, run.input), output=None if output is None else found.get(output, output))


@transaction
def reschedule(run_id: str, ready_at: int, payload: str | None, now: int) -> Transaction[RunRecord]:
    """Put off a run that has not begun, or bring it forward, perhaps with another payload of JSON text.

    Raises `RunError` when its delay has ended.
    """
    run = yield from lock(run_id)
    text = None if payload is None else (yield from blobs.stow(payload, now))
    found = yield SQL.runs.reschedule(run=run.key, ready_at=ready_at, position=ready_at - run.priority * SECOND, input=text)
    if not found:
        hint = "Only a run whose delay has not ended can be rescheduled; cancel this one and start another."
        raise RunError(f"{run_id} is {run.state.value}: it cannot be rescheduled.", hint=hint, run_id=run_id)
    return (yield from whole(rows.run(found[0])))
