"""Threads: conversations of many runs, each with a line in which its runs wait for their turn, and a log of messages that outlives them.

A run takes its place in the transaction that starts it (`runs.start`), so the order of starts is the order of turns. Lock order: a run's
row before its thread's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentflow.database.port import Transaction, transaction
from agentflow.errors import LeaseLost
from agentflow.records import JournalEntry, MessageRecord, RunRecord, RunState, ThreadRecord
from agentflow.serde import dumps
from agentflow.storage import blobs, journal, rows, runs
from agentflow.storage.runs import Lease
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
        yield SQL.threads.join(run=lease.run, thread=thread, turn=turn)
    before = yield SQL.threads.ahead(thread=thread, turn=turn)
    return before[0]["id"] if before else None


@transaction
def append(lease: Lease, thread: str, messages: Sequence[str], entry: JournalEntry) -> Transaction[None]:
    """Add messages to a thread, and record in the run's journal up to where; written before, they are not added again.

    Raises `LeaseLost`.
    """
    yield from runs.hold(lease)
    if (yield SQL.journal.found(run=lease.run, seq=entry.seq)):
        return  # The connection broke after the commit.
    bodies: list[str] = []
    for text in messages:
        bodies.append((yield from blobs.stow(text, entry.ended_at)))
    [extended] = yield SQL.threads.extend(id=thread, count=len(bodies), now=entry.ended_at)
    last: int = extended["messages"]
    yield SQL.threads.say(thread=extended["key"], after=last - len(bodies), run_id=lease.run_id, bodies=dumps(bodies), now=entry.ended_at)
    yield from journal.record(lease, replace(entry, value=dumps(last)))


def length(thread: str) -> Transaction[int]:
    """How many messages a thread has."""
    found = yield SQL.threads.get(id=thread)
    return found[0]["messages"] if found else 0


def find(thread: str) -> Transaction[ThreadRecord | None]:
    """A thread, if it has had a run."""
    found = yield SQL.threads.get(id=thread)
    return rows.thread(found[0]) if found else None


def said(thread: str, after: int = 0, upto: int = LAST) -> Transaction[list[MessageRecord]]:
    """The messages of a thread behind number `after`, up to and with number `upto`."""
    found = yield SQL.threads.said(id=thread, after=after, upto=upto)
    large = yield from blobs.resolve(row["body"] for row in found)
    return [rows.message(row, large.get(str(row["body"]), str(row["body"]))) for row in found]


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
