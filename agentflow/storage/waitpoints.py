"""Waitpoints: created once, ended once, and their end wakes the run in the same transaction.

Lock order: what a waitpoint targets before the run that waits, a child before its parents, parents by key; a run before its own waitpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from agentflow.control import LeaseLost
from agentflow.database.port import Row, Rows, Transaction, transaction
from agentflow.errors import WaitpointAlreadyAnswered, WaitpointNotFound, WaitpointTimedOut
from agentflow.records import Failure, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState, new_id
from agentflow.serde import decode_failure, dumps, encode_failure, loads
from agentflow.storage import asking, audit, blobs, outbox, rows, runs, showing
from agentflow.storage.audit import Note
from agentflow.storage.runs import Lease, Lessee, NewRun, Started
from agentflow.storage.showing import Sight
from agentflow.storage.statements import SQL

_SILENCE = Failure(code="timeout", type="WaitpointTimedOut", message="Nobody answered in time.")
_TIMED_OUT = encode_failure(_SILENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWaitpoint:
    """A waitpoint of a run. `subject`, `schema` are JSON text; `due_at` is microseconds since 1970; `most` is how many questions of its
    family people see at once."""

    id: str
    key: str
    kind: WaitKind
    attempt: int
    subject: str = "{}"
    schema: str | None = None
    due_at: int | None = None
    target: str | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a waitpoint ends; `answer` is JSON text."""

    state: WaitState
    answer: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An idempotency key of a token, and until when it counts, in microseconds since 1970."""

    text: str
    until: int


@dataclass(frozen=True, slots=True)
class Woken:
    """Runs that an ended waitpoint woke: to be told (`runs`), and those leased at once to `lessee` (`leased`). `sights`: where else it is
    shown."""

    waitpoint: WaitpointRecord
    runs: Sequence[RunRecord]
    leased: Sequence[RunRecord]
    sights: Sequence[Sight] = ()


@transaction
def create(lease: Lease, new: NewWaitpoint, now: int) -> Transaction[WaitpointRecord]:
    """Create a waitpoint; when its target has ended already, it is born ended. Raises `LeaseLost`."""
    ending = None if new.target is None else (yield from _ended_target(new.target))
    made = yield from insert(lease, new, ending, now)
    if new.kind is WaitKind.CHILD and ending is None:
        yield from showing.show_below(new.target or "")
    return made


@transaction
def start_child(lease: Lease, child: NewRun, wait: NewWaitpoint, now: int) -> Transaction[tuple[Started, WaitpointRecord]]:
    """Start a child run, or find the one of its idempotency key, and the waitpoint that its parent waits on."""
    started = yield from runs.start(replace(child, watched=True), now, lease)
    ending = (yield from _end_of(started.run.id)) if started.existed else None
    if started.existed:
        wait = replace(wait, target=started.run.id, subject=dumps({**loads(wait.subject), "run": started.run.id}))
    waiting = yield from insert(lease, wait, ending, now)
    if started.existed and ending is None:
        yield from showing.show_below(started.run.id)
    return started, waiting


def insert(lease: Lease, new: NewWaitpoint, ending: Ending | None, now: int) -> Transaction[WaitpointRecord]:
    """Create a waitpoint, which may be born ended, as a part of a transaction. Raises `LeaseLost`."""
    found = yield SQL.waitpoints.create(
        id=new.id,
        run=lease.run,
        run_id=lease.run_id,
        epoch=lease.epoch,
        step=new.key,
        kind=new.kind.value,
        state=WaitState.PENDING.value if ending is None else ending.state.value,
        target=new.target,
        subject=new.subject,
        schema=new.schema,
        answer=None if ending is None else ending.answer,
        answered_by=None if ending is None else ending.by,
        due_at=new.due_at,
        attempt=new.attempt,
        now=now,
        ended_at=None if ending is None else now,
        wake=0,
    )
    if not found:
        # Either the lease is lost, or this very wait is there: the connection broke after it was committed.
        yield from runs.hold(lease)
        found = yield SQL.waitpoints.get(id=new.id)
    elif ending is None:
        found = yield from _tell_of(found, lease, new.most, now)
    if not found:
        raise LeaseLost(lease.run_id)
    if new.kind is WaitKind.APPROVAL:
        yield from showing.show(new.id, lease.run_id)
    return (yield from _whole(found))[0]


def _tell_of(found: Rows, lease: Lease, most: int | None, now: int) -> Transaction[Rows]:
    """Have people told of a new question, unless it is held back; of what is no question, at once. Returns it as it is then."""
    one = rows.waitpoint(found[0])
    if one.kind in asking.QUESTIONS:
        same = asking.equals(one.subject, one.schema, one.kind, lease.run_id)
        if not (yield from asking.enter(one, lease.run, same, most, now)):
            return (yield SQL.waitpoints.get(id=one.id))
    if outbox.is_told(one.subject):
        yield from outbox.begin(one, lease.run, now)
    return found


def _ended_target(target: str) -> Transaction[Ending | None]:
    if target.startswith("run_"):
        return (yield from _end_of(target))
    found = yield SQL.waitpoints.lock(id=target)
    if not found:
        raise not_found(target)
    one = rows.waitpoint(found[0])
    return None if one.state is WaitState.PENDING else Ending(one.state, one.answer, one.answered_by)


def not_found(waitpoint_id: str) -> WaitpointNotFound:
    """The error that tells of a waitpoint that is not there."""
    return WaitpointNotFound(f"There is no waitpoint {waitpoint_id!r}.", hint="Check the id; tokens are made with create_token().")


def _end_of(run_id: str) -> Transaction[Ending | None]:
    child = yield from runs.lock(run_id)
    if child.state.terminal:
        return ending_of(child)
    yield SQL.runs.watch(run=child.key)
    return None


def ending_of(child: RunRecord) -> Ending:
    """How a child's end looks to the waitpoint of its parent."""
    if child.state is RunState.COMPLETED:
        return Ending(WaitState.ANSWERED, child.output, child.id)
    return Ending(WaitState.FAILED, child.error, child.id)


@transaction
def create_free(
    subject: str, schema: str | None, due_at: int | None, key: TokenKey | None, now: int
) -> Transaction[tuple[WaitpointRecord, bool]]:
    """A token that belongs to no run; the same `key` finds the same token while it is kept. Returns it and whether it existed."""
    new = new_id("wp", now)
    if key is not None:
        stored = runs.scoped("token", "", key.text)
        taken = yield SQL.idempotency.put(key=stored, owner=new, digest="", expires_at=key.until, now=now)
        if not taken:
            held = (yield SQL.idempotency.get(key=stored, now=now))[0]
            earlier = yield SQL.waitpoints.get(id=held["owner"])
            if earlier:
                return (yield from _whole(earlier))[0], True
            # It ended so long ago that it was swept: the key is free.
            yield SQL.idempotency.free(key=stored, owner=held["owner"])
            return (yield from create_free(subject, schema, due_at, key, now))
    found = yield SQL.waitpoints.create_free(id=new, subject=subject, schema=schema, due_at=due_at, now=now)
    return rows.waitpoint(found[0]), False


def get(waitpoint_id: str) -> Transaction[WaitpointRecord]:
    """A waitpoint. Raises `WaitpointNotFound`."""
    found = yield SQL.waitpoints.get(id=waitpoint_id)
    if not found:
        raise not_found(waitpoint_id)
    return (yield from _whole(found))[0]


def open_of_run(run_id: str) -> Transaction[list[WaitpointRecord]]:
    """What a run waits for now, newest first."""
    return [rows.waitpoint(row) for row in (yield SQL.waitpoints.open_of_run(run_id=run_id))]


@transaction
def end(waitpoint_id: str, ending: Ending, now: int, lessee: Lessee | None = None) -> Transaction[Woken]:
    """End a waitpoint and wake the runs that wait for it; `lessee` is a worker with a free slot for one of them, which it holds in memory.

    Raises `WaitpointAlreadyAnswered` or `WaitpointTimedOut` when it has ended before, with the answer that counts.
    """
    one = yield from get(waitpoint_id)
    if one.run_id is not None:
        yield SQL.runs.lock(id=one.run_id)
    locked = yield SQL.waitpoints.lock(id=waitpoint_id)
    done = yield from end_locked(one, ending, now, lessee)
    if is_question(locked[0]):
        yield from audit.tell(_told(one, ending), now)
    yield from asking.leave([one], now)
    return done


def is_question(row: Row) -> bool:
    """Whether somebody outside is to answer it: what ends it is audited. Neither a place in a thread nor a wait for a token is one."""
    kind = row["kind"]
    if kind in (WaitKind.APPROVAL, WaitKind.INPUT, WaitKind.TOKEN):
        return True
    return kind == WaitKind.CALLBACK and row["target"] is None and '"thread"' not in row["subject"]


def _told(one: WaitpointRecord, ending: Ending) -> Note:
    """What the audit tells of an end that is no vote of a person."""
    by = ending.by or "nobody"
    silent = ending.state is WaitState.TIMED_OUT
    via = "timeout" if silent else "callback" if one.kind is WaitKind.CALLBACK else "api"
    detail = {"state": ending.state.value, "answer": None if ending.answer is None else sha256(ending.answer.encode()).hexdigest()}
    return Note(type="timeout" if silent else "answer", waitpoint=one.id, run_id=one.run_id, actor=by, via=via, detail=detail)


def end_locked(one: WaitpointRecord, ending: Ending, now: int, lessee: Lessee | None) -> Transaction[Woken]:
    """As `end`, for one whose run and row are locked, as a part of a transaction that goes on to `asking.leave`."""
    woken: list[RunRecord] = []
    leased: list[RunRecord] = []
    wake = 0
    if one.run_id is not None:
        roused, at_once = yield from _wake(one.run_id, now, lessee)
        wake = roused.wakes
        (leased if at_once else woken).append(roused)
    answer = None if ending.answer is None else (yield from blobs.stow(ending.answer, now))
    found = yield SQL.waitpoints.end(id=one.id, state=ending.state.value, answer=answer, by=ending.by, now=now, wake=wake)
    if not found:
        raise refusal(rows.waitpoint((yield SQL.waitpoints.get(id=one.id))[0]))
    if outbox.is_told(one.subject):
        yield from outbox.end(one.id, now)
    more_woken, more_leased = yield from end_targets(one.id, ending, now, lessee)
    sights = (yield from showing.sights(one.id)) if one.kind is WaitKind.APPROVAL else ()
    return Woken(replace(rows.waitpoint(found[0]), answer=ending.answer), [*woken, *more_woken], [*leased, *more_leased], sights)


def end_targets(
    target: str, ending: Ending, now: int, lessee: Lessee | None = None
) -> Transaction[tuple[list[RunRecord], list[RunRecord]]]:
    """End what waits for `target`, which has just ended; its row is locked. Returns the runs woken, and those leased."""
    woken: list[RunRecord] = []
    leased: list[RunRecord] = []
    for row in (yield SQL.waitpoints.of_target(target=target)):
        one = yield from get(row["id"])
        if one.run_id is not None:
            yield SQL.runs.lock(id=one.run_id)
        if (yield SQL.waitpoints.lock(id=one.id))[0]["state"] != WaitState.PENDING:
            # The run that waited was quicker to end, and ended its waits with it.
            continue
        ended = yield from end_locked(one, ending, now, lessee)
        woken.extend(ended.runs)
        leased.extend(ended.leased)
    return woken, leased


def _wake(run_id: str, now: int, lessee: Lessee | None) -> Transaction[tuple[RunRecord, bool]]:
    """The run, woken, and whether it was leased for that: one that runs already, on whatever worker, is not leased twice."""
    run = yield from runs.lock(run_id)
    if run.state.terminal:
        return run, False
    leased = False
    if run.state is RunState.WAITING and lessee is not None and lessee.run_id == run_id:
        leased = bool((yield SQL.runs.lease(run=run.key, worker=lessee.worker, version=lessee.version, now=now)))
    return rows.run((yield SQL.runs.wake(run=run.key))[0]), leased


def refusal(one: WaitpointRecord) -> WaitpointAlreadyAnswered | WaitpointTimedOut:
    """The error that tells of a waitpoint which has ended before, with the answer that counts."""
    answer = None if one.answer is None or one.answer.startswith("@") else loads(one.answer)
    details = {"waitpoint_id": one.id, "state": one.state.value, "answer": answer, "by": one.answered_by}
    if one.state in (WaitState.TIMED_OUT, WaitState.CANCELLED):
        why = f": {decode_failure(one.answer).message}" if answer is not None and one.answer else "."
        message = f"{one.id} ended as {one.state.value} before this answer came{why}"
        return WaitpointTimedOut(message, hint="It can no longer be answered.", **details)
    who = f" by {one.answered_by}" if one.answered_by else ""
    return WaitpointAlreadyAnswered(f"{one.id} was answered{who} before.", hint="The first answer counts; read it with get().", **details)


def of_run(run: int) -> Transaction[list[WaitpointRecord]]:
    """All waitpoints of a run, in the order of their creation."""
    return (yield from _whole((yield SQL.waitpoints.of_run(run=run))))


def ended_since(run: int, wake: int) -> Transaction[list[WaitpointRecord]]:
    """The waitpoints of a run that ended after its wake number `wake`."""
    return (yield from _whole((yield SQL.waitpoints.ended(run=run, wake=wake))))


def _whole(found: Rows) -> Transaction[list[WaitpointRecord]]:
    waiting = [rows.waitpoint(row) for row in found]
    large = yield from blobs.resolve(one.answer for one in waiting)
    return [replace(one, answer=large[one.answer]) if one.answer in large else one for one in waiting]


def due(now: int, limit: int) -> Transaction[list[tuple[str, Ending]]]:
    """Waitpoints whose time has come, and how each of them ends: a timer is answered, all else has timed out."""
    found = yield SQL.waitpoints.due(now=now, limit=limit)
    return [(row["id"], Ending(WaitState.ANSWERED) if row["kind"] == WaitKind.TIMER else _timed_out(row["subject"])) for row in found]


def _timed_out(subject: str) -> Ending:
    """What silence means is decided with the end, and by what was asked then: code that has changed since does not change it."""
    default = loads(subject).get("on_timeout") if '"on_timeout"' in subject else None
    answer = _TIMED_OUT if default is None else encode_failure(replace(_SILENCE, details={"on_timeout": default}))
    return Ending(WaitState.TIMED_OUT, answer, "system:timeout")
