"""Threads: conversations of many runs, each with a line in which its runs wait for their turn, and a log of messages that outlives them.

A run takes its place in the transaction that starts it (`runs.start`), so the order of starts is the order of turns. Lock order: a run's
row before its thread's. Nothing is ever taken from a log: what is answered anew begins a new stretch of it, and a fork reads on in the log
of its source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentflow.control import LeaseLost
from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import DefinitionError, ThreadBusy, ThreadExists, ThreadNotFound
from agentflow.records import JournalEntry, MessageRecord, RunRecord, RunState, ThreadRecord
from agentflow.serde import dumps
from agentflow.storage import blobs, journal, requesters, rows, runs
from agentflow.storage.runs import Lease, NewRun, Started
from agentflow.storage.statements import SQL

LAST = 2**63 - 1
"""A number above all: the position behind the last message, the time after the latest."""


@transaction
def ahead(lease: Lease, thread: str, now: int) -> Transaction[str | None]:
    """The run that one of a thread has to wait for: the nearest before it in line that has not ended. Raises `LeaseLost`.

    A run without a place, whose delay has ended, takes the last one.
    """
    found = yield SQL.runs.lock_key(key=lease.run)
    if not found or found[0]["epoch"] != lease.epoch or found[0]["state"] != RunState.RUNNING:
        raise LeaseLost(lease.run_id)
    turn = found[0]["turn"]
    if turn is None:
        turn = (yield SQL.threads.turn(id=thread, agent=found[0]["task"], now=now))[0]["turns"]
        yield SQL.threads.join(run=lease.run, thread=thread, turn=turn, follows=found[0]["follows"])
    before = yield SQL.threads.ahead(thread=thread, turn=turn)
    return before[0]["id"] if before else None


@transaction
def append(lease: Lease, thread: str, messages: Sequence[str], entry: JournalEntry, follows: int | None = None) -> Transaction[None]:
    """Add messages to a thread, and record in the run's journal up to where; written before, they are not added again.

    They follow the last message, or number `follows`: then those in between are no part of the conversation any more. Raises `LeaseLost`.
    """
    yield from runs.hold(lease)
    if (yield SQL.journal.found(run=lease.run, seq=entry.seq)):
        return  # The connection broke after the commit.
    bodies: list[str] = []
    for text in messages:
        bodies.append((yield from blobs.stow(text, entry.ended_at)))
    [extended] = yield SQL.threads.extend(id=thread, count=len(bodies), now=entry.ended_at)
    last: int = extended["messages"]
    before = last - len(bodies)
    yield SQL.threads.say(thread=extended["key"], after=before, run_id=lease.run_id, bodies=dumps(bodies), now=entry.ended_at)
    yield from requesters.spoke(thread, lease.run)
    if bodies and follows is not None and follows != before:
        yield SQL.threads.stretch(thread=extended["key"], first=before + 1, follows=follows)
    yield from journal.record(lease, replace(entry, value=dumps(last)))


@transaction
def start_anew(new: NewRun, seen: int, now: int, asked_by: str | None = None) -> Transaction[Started]:
    """Start a run that answers anew the last question of its thread, as it was when that had `seen` messages.

    `asked_by` is who asked it in a run that has left nothing in the log.

    Raises `Outrun` when it has more by now, and `ThreadBusy` when another run is under way there, or waits for its turn.
    """
    started = yield from runs.start(new, now)
    if started.existed or new.thread is None:
        return started
    # The start has locked the thread.
    under_way = yield SQL.threads.active(thread=new.thread)
    if under_way[0]["id"] != new.id:
        raise busy(new.thread, under_way[0]["id"])
    found = yield SQL.threads.get(id=new.thread)
    if found[0]["messages"] != seen:
        raise Outrun
    if asked_by is not None:
        yield SQL.requesters.spoke(thread=new.thread, name=asked_by)
    return started


@transaction
def fork(thread: str, at: int | None, new: str, now: int) -> Transaction[ThreadRecord]:
    """Make thread `new`, which begins with what leads to message `at` of a thread, by default the last; again, it is the same.

    Raises `ThreadNotFound`, `DefinitionError` when there is no such message, `ThreadExists` when `new` began otherwise.
    """
    known = yield SQL.threads.get(id=thread)
    if not known:
        raise not_found(thread)
    last: int = known[0]["messages"]
    base = last if at is None else at
    if not 0 <= base <= last:
        raise DefinitionError(f"Thread {thread!r} has no message {base}.", hint=f"Its last one is {last}; 0 is before the first.")
    made = yield SQL.threads.fork(id=new, agent=known[0]["agent"], source=thread, base=base, now=now)
    found = rows.thread(made[0] if made else (yield SQL.threads.get(id=new))[0])
    if found.source != thread or (at is not None and found.base != at):
        hint = "Choose another id, or none: then the fork gets one."
        raise ThreadExists(f"There is a thread {new!r}.", hint=hint, thread=new)
    return found


def busy(thread: str, run_id: str) -> ThreadBusy:
    """The error that tells of a run that is under way in a thread."""
    return ThreadBusy(f"{run_id} is under way in thread {thread!r}.", hint="Stop it first, or wait until it has ended.", run_id=run_id)


def not_found(thread: str) -> ThreadNotFound:
    """The error that tells of a thread that is not there."""
    return ThreadNotFound(f"There is no thread {thread!r}.", hint="A thread begins with its first run.", thread=thread)


def length(thread: str) -> Transaction[int]:
    """The number of a thread's last message."""
    found = yield SQL.threads.get(id=thread)
    return found[0]["messages"] if found else 0


def find(thread: str) -> Transaction[ThreadRecord | None]:
    """A thread, if it has had a run."""
    found = yield SQL.threads.get(id=thread)
    return rows.thread(found[0]) if found else None


class Outrun(Exception):
    """A thread has gone on since somebody looked at it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a conversation, as it stands in the log of a thread: the messages behind `after`, up to `upto`.

    `path` has the keys of the threads that lead there, from the one that was asked for to that one.
    """

    path: tuple[int, ...]
    after: int
    upto: int

    @property
    def thread(self) -> int:
        """The key of the thread in whose log it stands."""
        return self.path[-1]


def stretches(thread: str, head: int = LAST) -> Transaction[list[Stretch]]:
    """The parts that lead to message `head` of a thread, the last one first. Their numbers grow from the first part to the last."""
    found: list[Stretch] = []
    path: tuple[int, ...] = ()
    here: str | None = thread
    while here is not None and head > 0:
        known = [rows.thread(row) for row in (yield SQL.threads.get(id=here))]
        if not known:
            break
        head, path = min(head, known[0].messages), (*path, known[0].key)
        for row in (yield SQL.threads.stretches(thread=known[0].key, upto=head)):
            if row["first"] <= head:
                found.append(Stretch(path, row["first"] - 1, head))
                head = row["follows"]
        if head > known[0].base:
            found.append(Stretch(path, known[0].base, head))
            head = known[0].base
        here = known[0].source
    return found


def said(thread: str, after: int = 0, upto: int = LAST, head: int = LAST) -> Transaction[list[MessageRecord]]:
    """The messages that lead to number `head` of a thread: of them those behind number `after`, up to and with number `upto`."""
    found: list[Row] = []
    for part in reversed((yield from stretches(thread, head))):
        if part.upto > after and part.after < upto:
            found += yield SQL.threads.said(thread=part.thread, after=max(part.after, after), upto=min(part.upto, upto))
    large = yield from blobs.resolve(row["body"] for row in found)
    return [rows.message(row, large.get(str(row["body"]), str(row["body"]))) for row in found]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for all that leads to message `upto`, with it: a message as JSON text.

    `thread` is the key of who summed it up; `shared`: another thread may have summed up the same.
    """

    upto: int
    body: str
    thread: int = 0
    shared: bool = False


def summary(thread: str, head: int, by: int | None = None) -> Transaction[Summary | None]:
    """The summary that stands for most of what leads to message `head` of a thread, made there or in its sources, or `by` that one.

    What a fork sums up of what it shares with its source is no summary of the source.
    """
    for part in (yield from stretches(thread, head)):
        best: Summary | None = None
        for key in part.path if by is None else (by,):
            found = yield SQL.threads.summary(thread=key, after=part.after, upto=part.upto)
            if found and (best is None or found[0]["upto"] > best.upto):
                best = Summary(found[0]["upto"], found[0]["body"], key, shared=len(part.path) > 1)
        if best is not None:
            return best
    return None


@transaction
def sum_up(lease: Lease, thread: str, summed: Summary, now: int) -> Transaction[None]:
    """Keep a summary; the first one of a message counts. Raises `LeaseLost`."""
    yield from runs.hold(lease)
    [known] = yield SQL.threads.get(id=thread)
    yield SQL.threads.sum_up(thread=known["key"], upto=summed.upto, run_id=lease.run_id, body=summed.body, now=now)


def active(thread: str) -> Transaction[RunRecord | None]:
    """The run whose turn it is."""
    found = yield SQL.threads.active(thread=thread)
    return (yield from runs.whole(rows.run(found[0]))) if found else None


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Threads, and the last one's place as the `before` of the next page; None when this is the last."""

    threads: Sequence[ThreadRecord]
    next: tuple[int, int] | None


def page(limit: int, before: tuple[int, int] = (LAST, LAST)) -> Transaction[ThreadPage]:
    """Threads, the one that was touched last first."""
    found = [rows.thread(row) for row in (yield SQL.threads.newest(touched_at=before[0], key=before[1], limit=limit + 1))]
    more = len(found) > limit
    found = found[:limit]
    return ThreadPage(found, (found[-1].touched_at, found[-1].key) if more else None)
