"""How a run leaves a state. Each is one transaction that locks the run's row first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agentflow.control import LeaseLost
from agentflow.database.port import Database, Transaction, transaction
from agentflow.errors import RunError
from agentflow.records import Failure, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState, may_become, new_id
from agentflow.serde import encode_failure
from agentflow.storage import asking, audit, blobs, inputs, outbox, rows, runs, showing, steering, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.runs import Lease, Lessee, NewRun
from agentflow.storage.showing import Sight
from agentflow.storage.statements import SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an epoch used: microseconds of work over the run's life, and the hash of the code that did it."""

    active: int
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, and the runs that this woke or leased. `unanswered`: its open questions, and where else they are shown."""

    run: RunRecord
    woken: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])
    leased: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])
    unanswered: Sequence[tuple[WaitpointRecord, Sequence[Sight]]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run is to end. `output` is JSON text of a completed run; `lessee` is a worker that could go on with the parent at once."""

    state: RunState
    output: str | None = None
    error: Failure | None = None
    lessee: Lessee | None = None


@transaction
def finish(lease: Lease, end: End, spent: Spent, now: int) -> Transaction[Ended]:
    """End a run that this worker holds. A run whose cancellation was asked for ends as cancelled, whatever its code returned."""
    run = yield from runs.held(lease)
    if run.cancel_reason is not None and end.state is not RunState.CANCELLED:
        end = End(state=RunState.CANCELLED, error=cancellation(run.cancel_reason), lessee=end.lessee)
    return (yield from _end(run, end, spent, now))


async def complete(database: Database, run: RunRecord, output: str, spent: Spent, now: int) -> Ended | None:
    """As `finish`, in one statement, for a run that simply completed. None when it is not that simple: then `finish` decides."""
    if len(output) > blobs.LIMIT or run.thread is not None:
        return None
    found = await database.execute(
        SQL.runs.complete(run=run.key, epoch=run.epoch, output=output, active=spent.active, code=spent.code, now=now)
    )
    if not found:
        return None
    done = replace(run, state=RunState.COMPLETED, worker=None, output=output, error=None, active=spent.active, finished_at=now, note=None)
    return Ended(done)


def cancellation(reason: str) -> Failure:
    """The error of a cancelled run."""
    return Failure(code="cancelled", type="RunCancelled", message=reason)


def _end(run: RunRecord, end: End, spent: Spent, now: int) -> Transaction[Ended]:
    if not may_become(run.state, end.state):
        raise RunError(f"{run.id} is {run.state.value}: it cannot become {end.state.value}.", hint="Read its state again.", run_id=run.id)
    output = None if end.output is None else (yield from blobs.stow(end.output, now))
    found = yield SQL.runs.finish(
        run=run.key,
        epoch=run.epoch,
        was=run.state.value,
        state=end.state.value,
        output=output,
        error=None if end.error is None else encode_failure(end.error),
        active=spent.active,
        code=spent.code,
        cancel_children=int(end.state in (RunState.FAILED, RunState.CANCELLED)),
        now=now,
    )
    if not found:
        raise LeaseLost(run.id)
    ended = rows.run(found[0])
    cancelled = (yield from _cancel_waits(run, now)) if run.epoch > 0 else _Cancelled()
    if run.idempotency_key is not None and end.state in (RunState.FAILED, RunState.EXPIRED):
        yield from _free_key(run)
    woken, leased = yield from waitpoints.end_targets(run.id, waitpoints.ending_of(ended), now, end.lessee)
    if run.thread is not None:
        woken = [*woken, *(yield from steering.go_on(run, now))]
    yield from asking.leave(cancelled.waits, now)
    return Ended(ended, [*woken, *cancelled.woken], leased, cancelled.unanswered)


@dataclass(frozen=True, slots=True)
class _Cancelled:
    """Waits that ended with their run, runs that this woke, and the approvals among the waits, each with where else it is shown."""

    waits: Sequence[WaitpointRecord] = ()
    woken: Sequence[RunRecord] = ()
    unanswered: Sequence[tuple[WaitpointRecord, Sequence[Sight]]] = ()


def _cancel_waits(run: RunRecord, now: int) -> Transaction[_Cancelled]:
    """Nobody answers what the run has asked: runs that wait for the same answer are woken, to ask themselves."""
    waits: list[WaitpointRecord] = []
    woken: list[RunRecord] = []
    unanswered: list[tuple[WaitpointRecord, Sequence[Sight]]] = []
    for row in (yield SQL.waitpoints.cancel_of_run(run=run.key, now=now)):
        if waitpoints.is_question(row):
            detail = {"state": WaitState.CANCELLED.value, "why": "Its run has ended."}
            yield from audit.tell(
                Note(type="cancel", waitpoint=row["id"], run_id=run.id, actor="system:run", via="run", detail=detail), now
            )
        waits.append(rows.waitpoint(row))
        if outbox.is_told(row["subject"]):
            yield from outbox.end(row["id"], now)
        if row["kind"] == WaitKind.APPROVAL:
            more, _ = yield from waitpoints.end_targets(row["id"], waitpoints.Ending(WaitState.CANCELLED), now)
            woken += more
            unanswered.append((waits[-1], (yield from showing.sights(row["id"]))))
    return _Cancelled(waits, woken, unanswered)


def _free_key(run: RunRecord) -> Transaction[None]:
    for scope in ("", run.parent_id or ""):
        yield SQL.idempotency.free(key=runs.scoped(scope, run.task, run.idempotency_key or ""), owner=run.id)


@transaction
def suspend(lease: Lease, seen: int, spent: Spent) -> Transaction[RunRecord | None]:
    """Let a run wait without a lease, unless it was woken since it saw wake number `seen`, or is to be cancelled.

    Returns None when it waits now, else the run as it is: there is something to read. Raises `LeaseLost`.
    """
    parked = yield SQL.runs.suspend(run=lease.run, epoch=lease.epoch, wakes=seen, active=spent.active, code=spent.code)
    if parked:
        return None
    return (yield from runs.held(lease))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How a run is handed back. `ready_at` delays it; `attempt` counts up for a retry; `note` says what it waits for."""

    attempt: int
    ready_at: int | None = None
    error: Failure | None = None
    note: str | None = None


@transaction
def release(lease: Lease, how: Release, spent: Spent, now: int) -> Transaction[RunRecord | Ended]:
    """Hand a run back to its queue: for a retry, a drain, or because this worker does not know its task."""
    run = yield from runs.held(lease)
    if run.cancel_reason is not None and how.attempt > run.attempt:
        return (yield from _end(run, End(state=RunState.CANCELLED, error=cancellation(run.cancel_reason)), spent, now))
    found = yield SQL.runs.release(
        run=lease.run,
        epoch=lease.epoch,
        state=RunState.QUEUED.value if how.ready_at is None else RunState.SCHEDULED.value,
        ready_at=how.ready_at,
        attempt=how.attempt,
        active=spent.active,
        error=None if how.error is None else encode_failure(how.error),
        note=how.note,
    )
    return rows.run(found[0])


@transaction
def pause(lease: Lease, difference: Failure, spent: Spent) -> Transaction[RunRecord]:
    """Set a run aside until an operator decides."""
    yield from runs.held(lease)
    found = yield SQL.runs.pause(
        run=lease.run, epoch=lease.epoch, active=spent.active, error=encode_failure(difference), note="paused: the code has changed"
    )
    return rows.run(found[0])


@transaction
def resume(run_id: str, code: str | None, rerun_from: int | None, now: int) -> Transaction[RunRecord]:
    """An operator lets a paused run go on: as recorded under code `code`, or again from journal entry `rerun_from` on."""
    run = yield from runs.lock(run_id)
    if run.state is not RunState.PAUSED:
        raise RunError(f"{run_id} is {run.state.value}, not paused.", hint="Only a paused run can be resumed.", run_id=run_id)
    last = (yield SQL.journal.last(run=run.key))[0]["seq"]
    yield SQL.journal.reset(
        run=run.key,
        seq=last + 1,
        value=str(rerun_from or last + 1),
        code=code if rerun_from is None else None,
        attempt=run.attempt,
        epoch=run.epoch,
        now=now,
    )
    if rerun_from is not None:
        yield from inputs.give_back_since(run.key, rerun_from)
    found = yield SQL.runs.resume(run=run.key, code=code)
    return rows.run(found[0])


@transaction
def revive(run_id: str, now: int) -> Transaction[RunRecord]:
    """Start a new run that takes over the input, the journal, the answers and the messages of a failed one.

    That one is not touched: terminal is final.
    """
    found = yield SQL.runs.lock(id=run_id)
    dead = rows.run(found[0]) if found else (yield from runs.lock(run_id))
    if dead.state is not RunState.FAILED:
        raise RunError(f"{run_id} is {dead.state.value}, not failed.", hint="Only a failed run can be taken up again.", run_id=run_id)
    if dead.follows is not None:
        hint = "Ask for another answer: thread.regenerate()."
        raise RunError(f"{run_id} would take the place of all that was said since.", hint=hint, run_id=run_id)
    new = NewRun(
        id=new_id("run", now),
        task=dead.task,
        queue=dead.queue,
        input=dead.input,
        tags=dead.tags,
        metadata=dead.metadata,
        priority=dead.priority,
        concurrency_key=dead.concurrency_key,
        weight=dead.weight,
        version=dead.version,
        hooked=found[0]["hooks"] != "none",
        thread=dead.thread,
        started_by=dead.started_by,
        # Above 0 says that there is a journal to be read.
        epoch=1,
    )
    started = yield from runs.start(new, now)
    yield SQL.journal.copy(source=dead.key, target=started.run.key)
    yield SQL.transcripts.copy(source=dead.key, target=started.run.key)
    yield SQL.joined.copy(source=dead.key, target=started.run.key)
    yield SQL.waitpoints.copy(source=dead.key, target=started.run.key, target_id=new.id)
    yield SQL.inputs.copy(source=dead.key, target=started.run.key)
    return started.run


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """What became of a request to cancel: `ended` at once, or `run` is told and has until its deadline to clean up."""

    run: RunRecord
    ended: Ended | None


@transaction
def ask_cancel(run_id: str, reason: str, by: int, now: int) -> Transaction[CancelAsked]:
    """Ask a run to stop. One that has no code under way ends at once; a second request changes nothing.

    `by` is when it is stopped by force, in microseconds since 1970.
    """
    run = yield from runs.lock(run_id)
    if run.state.terminal or run.cancel_reason is not None:
        return CancelAsked(run, None)
    found = yield SQL.runs.ask_cancel(run=run.key, reason=reason, by=by)
    asked = rows.run(found[0])
    if run.state in (RunState.SCHEDULED, RunState.PAUSED) or run.epoch == 0:
        return CancelAsked(asked, (yield from _cancelled(asked, now)))
    return CancelAsked(asked, None)


def _cancelled(run: RunRecord, now: int) -> Transaction[Ended]:
    end = End(state=RunState.CANCELLED, error=cancellation(run.cancel_reason or "cancelled"))
    return (yield from _end(run, end, Spent(active=run.active), now))


@transaction
def force_cancel(run_id: str, now: int) -> Transaction[Ended | None]:
    """End a run whose time to clean up is over, whoever holds it."""
    run = yield from runs.lock(run_id)
    if run.state.terminal or run.cancel_reason is None:
        return None
    return (yield from _cancelled(run, now))


@transaction
def expire(run_id: str, now: int) -> Transaction[Ended | None]:
    """End a run that did not start within its time to live."""
    run = yield from runs.lock(run_id)
    if run.epoch > 0 or run.expires_at is None or run.expires_at > now or run.state.terminal:
        return None
    gone = Failure(code="expired", type="RunExpired", message="The run's time to live ended before a worker started it.")
    return (yield from _end(run, End(state=RunState.EXPIRED, error=gone), Spent(active=0), now))


@transaction
def recover(
    run_id: str, worker: str, limit: int, died_at: int, now: int, epoch: int | None = None
) -> Transaction[RunRecord | Ended | None]:
    """Take a run from a worker whose lease has ended: queue it again, or after `limit` crashes in a row, between which it recorded nothing,
    fail it as crashed.

    None when the worker does not hold it any more, or under another `epoch` than that, so a late second sweep changes nothing.
    """
    found = yield SQL.runs.lock(id=run_id)
    if not found or found[0]["worker"] != worker or epoch not in (None, found[0]["epoch"]):
        return None
    run = rows.run(found[0])
    spent = max(0, died_at - (found[0]["leased_at"] or died_at))
    last = yield SQL.journal.last_epoch(run=run.key)
    # A run that has recorded something since its last crash goes on by itself: it is not what kills its workers.
    crashes = 1 if last and last[0]["epoch"] == run.epoch else run.recoveries + 1
    if crashes > limit:
        crashed = Failure(
            code="crashed",
            type="RunCrashed",
            message=f"Its worker died {crashes} times in a row while it ran and recorded nothing; the last was {worker}.",
            hint="Find what kills the process, then take the run up again with `agentflow runs revive`.",
            details={"recoveries": crashes, "worker": worker},
        )
        return (yield from _end(run, End(state=RunState.FAILED, error=crashed), Spent(active=run.active + spent), now))
    queued = yield SQL.runs.recover(run=run.key, worker=worker, recoveries=crashes, spent=spent, note=f"recovered from {worker}")
    return rows.run(queued[0])
