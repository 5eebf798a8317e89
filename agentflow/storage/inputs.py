"""What others send into runs: kept until it is asked for, received once, in order.

A message is in one place at a time: in `inputs` until its run receives it, then in the run's journal. Who waits for one has a waitpoint
that targets the stream; it brings nothing but the news that there is something to take, so a wait that was given up costs no message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from agentflow.database.port import Transaction, transaction
from agentflow.errors import IdempotencyConflict, InputFull, RunError
from agentflow.records import EntryKind, JournalEntry, RunRecord, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import journal, runs, waitpoints
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import Ending, NewWaitpoint

MOST = 10_000
"""Messages of one stream that are kept for a run that does not ask for them."""

_LONGEST = 500
_NEWS = Ending(WaitState.ANSWERED, by="message")


def target(run_id: str, name: str) -> str:
    """What the waitpoint of whoever waits for a message targets: no run and no waitpoint has such an id."""
    return f"{run_id}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message for an input stream. `data` is JSON text; the same `key` again is the same message."""

    name: str
    data: str
    key: str | None = None
    sent_by: str | None = None

    @property
    def stored_key(self) -> str | None:
        """The key as an index bears it: a long one, as that of a step deep in a run, by its hash."""
        if self.key is None or len(self.key) <= _LONGEST:
            return self.key
        return f"#{blake2b(self.key.encode(), digest_size=32).hexdigest()}"

    @property
    def digest(self) -> str:
        """What tells it from another message under its key."""
        return blake2b(self.data.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Sent:
    """The number of a message in its stream, from 1; runs that it woke: to be told (`runs`), and leased at once to a worker (`leased`)."""

    seq: int
    runs: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])
    leased: Sequence[RunRecord] = field(default_factory=tuple[RunRecord, ...])


@transaction
def send(run_id: str, message: NewMessage, now: int, lessee: Lessee | None = None) -> Transaction[Sent]:
    """Store a message and wake the run if it waits for one; `lessee` is a worker with a free slot for it, which holds it in memory.

    Raises `RunNotFound`, `RunError` when the run has ended, `InputFull`, and `IdempotencyConflict` when the key belongs to another message.
    """
    run = yield from runs.lock(run_id)
    if message.key is not None:
        known = yield SQL.inputs.known(run=run.key, name=message.name, idempotency_key=message.stored_key)
        if known:
            return Sent(_same(message, known[0]["seq"], known[0]["digest"], run_id))
    if run.state.terminal:
        hint = "A run takes messages until it ends; start another."
        raise RunError(f"{run_id} is {run.state.value}: it takes no more messages.", hint=hint, run_id=run_id, state=run.state.value)
    seq = yield from put(run, message, now)
    woken, leased = yield from waitpoints.end_targets(target(run_id, message.name), _NEWS, now, lessee)
    return Sent(seq, woken, leased)


def put(run: RunRecord, message: NewMessage, now: int) -> Transaction[int]:
    """Add a message to those that a run, whose row is locked, has not received; returns its number. Raises `InputFull`."""
    [ends] = yield SQL.inputs.ends(run=run.key, name=message.name)
    last: int = ends["last"] or 0
    if ends["first"] is not None and last - ends["first"] >= MOST - 1:
        hint = "It has to receive them first: is its code still asking for them?"
        raise InputFull(f"{run.id} has {MOST} messages in {message.name!r} that it did not receive.", hint=hint, run_id=run.id, limit=MOST)
    yield SQL.inputs.put(
        run=run.key,
        name=message.name,
        seq=last + 1,
        data=message.data,
        idempotency_key=message.stored_key,
        digest=message.digest,
        sent_by=message.sent_by,
        now=now,
    )
    return last + 1


def _same(message: NewMessage, seq: int, digest: str, run_id: str) -> int:
    if digest != message.digest:
        raise IdempotencyConflict(
            f"The idempotency key {message.key!r} belongs to message {seq} in {message.name!r}, which says something else.",
            hint="Use another key for another message.",
            run_id=run_id,
            seq=seq,
        )
    return seq


@dataclass(frozen=True, slots=True)
class Message:
    """A received message: its number in its stream, and its JSON text."""

    seq: int
    data: str

    def recorded(self) -> str:
        """As the journal holds it."""
        return f'{{"message":{self.seq},"data":{self.data}}}'

    @classmethod
    def of(cls, value: str) -> Message:
        """From the journal."""
        found = loads(value)
        return cls(found["message"], dumps(found["data"]))


NOTHING = "null"
"""What the journal says of a receive that nothing came for in time."""


@transaction
def receive(lease: Lease, name: str, entry: JournalEntry, wait: NewWaitpoint, now: int) -> Transaction[Message | WaitpointRecord]:
    """Take the next message and record it as `entry`, or where there is none create `wait`, which ends with the next one.

    Raises `LeaseLost`. `entry` is given without a value.
    """
    yield from runs.held(lease)
    recorded = yield SQL.journal.value(run=lease.run, seq=entry.seq)
    if recorded:
        # The connection broke after this very transaction was committed.
        return Message.of(recorded[0]["value"])
    found = yield SQL.inputs.next(run=lease.run, name=name)
    if not found:
        return (yield from waitpoints.insert(lease, wait, None, now))
    message = Message(found[0]["seq"], found[0]["data"])
    yield SQL.inputs.take(run=lease.run, name=name, seq=message.seq, entry=entry.seq)
    yield from journal.record(lease, replace(entry, value=message.recorded()))
    return message


@transaction
def give_back(lease: Lease, name: str, entry: JournalEntry, message: Message, now: int) -> Transaction[Sent]:
    """A message that was taken for code which had just given up its wait: the next receive gets it. Raises `LeaseLost`."""
    yield from runs.held(lease)
    yield SQL.inputs.give_back(run=lease.run, name=name, seq=message.seq, data=message.data)
    if not (yield SQL.journal.value(run=lease.run, seq=entry.seq)):
        yield from journal.record(lease, entry)
    woken, leased = yield from waitpoints.end_targets(target(lease.run_id, name), _NEWS, now)
    return Sent(message.seq, woken, leased)


def give_back_since(run: int, entry: int) -> Transaction[None]:
    """What a run received as journal entry `entry` and later is to be received again, as a part of a transaction."""
    for row in (yield SQL.inputs.received(run=run, since=entry)):
        yield SQL.inputs.give_back(run=run, name=row["name"], seq=row["seq"], data=Message.of(row["value"]).data)


def is_given_back(entry: JournalEntry) -> bool:
    """Whether what a receive had recorded was given back: then it recorded nothing."""
    return entry.kind is EntryKind.VALUE and entry.value is None
