"""Messages for the run of a thread that is at work: it hears them between its turns, and what it did not hear becomes the next run.

They are messages like those of any input stream (`inputs`), each with the run that it becomes: who sent it was promised a place in the
line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentflow.database.port import Transaction, transaction
from agentflow.records import JournalEntry, RunRecord
from agentflow.serde import dumps, loads
from agentflow.storage import inputs, journal, rows, runs
from agentflow.storage.inputs import Message, NewMessage
from agentflow.storage.runs import Lease, NewRun, Started
from agentflow.storage.statements import SQL

STEER = "thread:steer"
"""The input stream of these messages. No stream of the user's own can have that name."""

LONGEST = 64 * 1024
"""Characters of JSON of a message that is heard; a longer one is the next run."""


@transaction
def steer(new: NewRun, now: int) -> Transaction[Started]:
    """Have the run that is at work in the thread of `new` hear what `new` was to answer; start `new` where none is, or one of another task.

    Raises `IdempotencyConflict` when the key of `new` belongs to another payload, and `InputFull`.
    """
    run = (yield from _at_work(new)) if len(new.input) <= LONGEST else None
    if run is None:
        return (yield from runs.start(new, now))
    if new.idempotency_key is not None:
        known = yield from runs.known_by_key(new, now, run.id)
        if known is not None:
            return Started(known, existed=True)
    if not (yield SQL.inputs.known(run=run.key, name=STEER, idempotency_key=new.id)):
        turn = (yield SQL.threads.turn(id=new.thread, agent=new.task, now=now))[0]["turns"]
        yield from inputs.put(run, _message(replace(new, turn=turn)), now)
    return Started(run, existed=True)


def _at_work(new: NewRun) -> Transaction[RunRecord | None]:
    """The run of a thread that would hear a message, locked. One that is about to stop hears nothing more."""
    while True:
        found = yield SQL.threads.active(thread=new.thread)
        if not found or found[0]["task"] != new.task:
            return None
        run = rows.run((yield SQL.runs.lock(id=found[0]["id"]))[0])
        if not run.state.terminal:
            return run if run.cancel_reason is None else None


def waits(run: int) -> Transaction[bool]:
    """Whether there is something that a run has not heard."""
    return bool((yield SQL.inputs.next(run=run, name=STEER)))


@transaction
def hear(lease: Lease, entry: JournalEntry) -> Transaction[Message | None]:
    """Take the next message and record it as `entry`, which is given without a value. Raises `LeaseLost`."""
    yield from runs.held(lease)
    recorded = yield SQL.journal.value(run=lease.run, seq=entry.seq)
    if recorded:
        # The connection broke after this very transaction was committed.
        return Message.of(recorded[0]["value"])
    found = yield SQL.inputs.next(run=lease.run, name=STEER)
    if not found:
        return None
    message = Message(found[0]["seq"], found[0]["data"])
    yield SQL.inputs.take(run=lease.run, name=STEER, seq=message.seq, entry=entry.seq)
    yield from journal.record(lease, replace(entry, value=message.recorded()))
    return message


def go_on(ended: RunRecord, now: int) -> Transaction[list[RunRecord]]:
    """Start what a run that ends did not hear, as a part of the transaction that ends it."""
    started: list[RunRecord] = []
    while found := (yield SQL.inputs.next(run=ended.key, name=STEER)):
        yield SQL.inputs.take(run=ended.key, name=STEER, seq=found[0]["seq"], entry=None)
        begun = yield from runs.start(_read(found[0]["data"], ended.thread), now)
        started.append(begun.run)
    return started


def said(message: Message) -> Any:
    """The payload that a message brings: what its run would have been started with."""
    return loads(message.data)["input"]


def _message(new: NewRun) -> NewMessage:
    return NewMessage(name=STEER, data=_written(new), key=new.id, sent_by=new.started_by)


def _written(new: NewRun) -> str:
    then = {"id": new.id, "task": new.task, "queue": new.queue, "version": new.version, "hooked": new.hooked, "turn": new.turn}
    return dumps({"input": loads(new.input), "then": {**then, "tags": list(new.tags)}, "started_by": new.started_by})


def _read(data: str, thread: str | None) -> NewRun:
    found = loads(data)
    return NewRun(input=dumps(found["input"]), thread=thread, started_by=found.get("started_by"), **found["then"])
