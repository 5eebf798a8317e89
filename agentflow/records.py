"""What is stored, as frozen records, and the states they pass through."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """Where a run is.

    scheduled ──▶ queued ──▶ running ──▶ completed | failed | cancelled
        ▲  │        ▲ │       │ │  ▲
        │  ▼        │ ▼       │ │  └── (epoch + 1 at each lease)
        │ expired   │ expired │ └────▶ waiting ──▶ queued
        └───────────┼─────────┘        paused  ──▶ queued
                    └── lease lost, drained, woken, resumed
    """

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self in _TERMINAL


_TERMINAL = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.EXPIRED})
_ENDS = frozenset({RunState.FAILED, RunState.CANCELLED})
_NEXT: dict[RunState, frozenset[RunState]] = {
    RunState.SCHEDULED: _ENDS | {RunState.QUEUED, RunState.EXPIRED},
    RunState.QUEUED: _ENDS | {RunState.RUNNING, RunState.SCHEDULED, RunState.EXPIRED},
    RunState.RUNNING: _ENDS | {RunState.COMPLETED, RunState.WAITING, RunState.PAUSED, RunState.QUEUED, RunState.SCHEDULED},
    RunState.WAITING: _ENDS | {RunState.QUEUED, RunState.RUNNING},
    RunState.PAUSED: _ENDS | {RunState.QUEUED},
}


def may_become(now: RunState, then: RunState) -> bool:
    """Whether a run in state `now` may go to state `then`."""
    return then in _NEXT.get(now, frozenset())


class WaitState(StrEnum):
    """Where a waitpoint is; it leaves `pending` once."""

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class WaitKind(StrEnum):
    """What a waitpoint waits for."""

    TIMER = "timer"
    CHILD = "child"
    APPROVAL = "approval"
    INPUT = "input"
    CALLBACK = "callback"
    TOKEN = "token"  # noqa: S105
    SIGNAL = "signal"


class EntryKind(StrEnum):
    """What a journal entry records."""

    RESULT = "result"
    ERROR = "error"
    TRY = "try"
    VALUE = "value"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run, as stored. Times are microseconds since 1970, `active` is microseconds of work.

    `weight` is what its start counts in a rate. `thread` is the conversation that it belongs to, `turn` its place in the line there: None
    for a run whose delay has not ended; `follows` is the number of the message there that its own ones follow, None for the last.
    """

    key: int
    id: str
    task: str
    queue: str
    state: RunState
    epoch: int
    attempt: int
    recoveries: int
    worker: str | None
    ready_at: int | None
    expires_at: int | None
    input: str
    output: str | None
    error: str | None
    parent_id: str | None
    tags: tuple[str, ...]
    metadata: str
    idempotency_key: str | None
    concurrency_key: str | None
    priority: int
    version: str | None
    code: str | None
    cancel_reason: str | None
    wakes: int
    active: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    note: str | None
    weight: int = 1
    thread: str | None = None
    turn: int | None = None
    follows: int | None = None

    @property
    def code_name(self) -> str:
        """What a worker must serve to take it: its task, and the version that it has."""
        return self.task if self.version is None else f"{self.task}@{self.version}"

    @classmethod
    def ended(cls, run_id: str, task: str, state: RunState, *, output: str | None, error: str | None) -> RunRecord:
        """A record of which only the end is known, as a run sees the end of its child."""
        nothing = dict.fromkeys(("worker", "ready_at", "expires_at", "parent_id", "idempotency_key", "concurrency_key", "version", "code"))
        times = dict.fromkeys(("cancel_reason", "started_at", "finished_at", "note"))
        counts = dict.fromkeys(("key", "epoch", "attempt", "recoveries", "priority", "wakes", "active", "created_at"), 0)
        known: dict[str, Any] = {"id": run_id, "task": task, "state": state, "output": output, "error": error}
        return cls(queue="", input="{}", tags=(), metadata="{}", **known, **nothing, **times, **counts)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One record of a run's journal. `attempt` is the run's, `tries` the step's."""

    seq: int
    kind: EntryKind
    key: str
    value: str | None
    digest: str | None
    code: str | None
    attempt: int
    tries: int
    started_at: int
    ended_at: int
    epoch: int

    @property
    def begins(self) -> bool:
        """Whether it records that a try begins, of a step that people agreed to; other entries of its kind record how one failed."""
        return self.kind is EntryKind.TRY and self.digest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitpointRecord:
    """A waitpoint, as stored. `subject` and `answer` are JSON texts."""

    id: str
    kind: WaitKind
    state: WaitState
    run_id: str | None
    key: str | None
    target: str | None
    subject: str
    schema: str | None
    answer: str | None
    answered_by: str | None
    due_at: int | None
    attempt: int
    created_at: int
    ended_at: int | None
    wake: int


class DeliveryState(StrEnum):
    """What became of a message: it waits to be sent, was taken by its channel, became one for each of many people, was not worth telling
    any more, or could not be sent however often it was tried."""

    PENDING = "pending"
    SENT = "sent"
    SPREAD = "spread"
    DROPPED = "dropped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A message about a waitpoint on its way to an address of a channel; `person` alone reads it there, if anybody alone does.

    `event` is requested, reminded, escalated, reassigned or resolved; `reference` what the channel calls the message; `due_at` when it is
    tried next, in microseconds since 1970 as all times.
    """

    waitpoint: str
    seq: int
    channel: str
    address: str
    person: str | None
    event: str
    state: DeliveryState
    attempts: int
    due_at: int
    reference: str | None
    error: str | None
    created_at: int
    ended_at: int | None

    @property
    def id(self) -> str:
        """The same each time that it is told again."""
        return f"{self.waitpoint}.{self.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A worker process, as it last told of itself."""

    id: str
    host: str
    pid: int
    slots: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    state: str
    started_at: int
    expires_at: int
    claimed_at: int

    def takes(self, served: str, now: int, queue: str | None = None) -> bool:
        """Whether it lives, and takes runs of `task` or `task@version`, of that queue."""
        return self.state == "live" and self.expires_at > now and served in self.tasks and (queue is None or queue in self.queues)

    @property
    def served(self) -> dict[str, list[str]]:
        """Its tasks by name, each with the versions whose runs it takes, its own first."""
        found: dict[str, list[str]] = {}
        for one in self.tasks:
            name, _, version = one.partition("@")
            found.setdefault(name, [])
            if version:
                found[name].append(version)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task that some worker has served. `schema` is the JSON schema of its payload, `kind` is task or agent.

    `hooked`: whether it has hooks that hear of the end of its runs.
    """

    name: str
    queue: str
    description: str
    schema: str
    kind: str
    hooked: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """A queue that is limited or paused; None is no limit.

    `concurrency`, `key_concurrency`: runs at once, over all and of one key. `rate`, `key_rate`: starts, by weight, in any window of
    `rate_period`, `key_rate_period` microseconds.
    """

    name: str
    concurrency: int | None = None
    key_concurrency: int | None = None
    rate: int | None = None
    rate_period: int | None = None
    key_rate: int | None = None
    key_rate_period: int | None = None
    paused_at: int | None = None
    paused_by: str | None = None

    @property
    def limited(self) -> bool:
        """Whether it has any limit."""
        return any(limit is not None for limit in (self.concurrency, self.key_concurrency, self.rate, self.key_rate))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRecord:
    """A conversation of many runs: how many places in its line were given, the number of its last message, and whose run came last.

    A fork has the messages of `source` up to and with number `base`.
    """

    key: int
    id: str
    agent: str
    turns: int
    messages: int
    created_at: int
    touched_at: int
    source: str | None = None
    base: int = 0


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """A message of a thread: its number there from 1, the run that said it, and the message as JSON text."""

    seq: int
    run_id: str
    body: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """What model calls used. `cost` is nano-USD of the calls whose price is known, `unpriced` counts the others, `unmetered` those that
    told no tokens."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cost: int = 0
    unpriced: int = 0
    unmetered: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, in and out."""
        return self.input + self.output

    @property
    def usd(self) -> str | None:
        """The cost in US dollars as decimal text, exact; None when no call's price is known."""
        if self.calls and self.unpriced == self.calls:
            return None
        return f"{self.cost // 10**9}.{self.cost % 10**9:09}".rstrip("0").rstrip(".")

    def __add__(self, other: UsageRecord) -> UsageRecord:
        return UsageRecord(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run used itself, and with all the runs below it."""

    own: UsageRecord = UsageRecord()
    total: UsageRecord = UsageRecord()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run or step failed, in a form that survives the journal. `module` and `args` let the exception be raised again as itself."""

    code: str
    type: str
    message: str
    module: str = ""
    args: list[Any] | None = None
    traceback: str = ""
    hint: str = ""
    details: dict[str, Any] | None = None


def new_id(prefix: str, now: int) -> str:
    """A UUIDv7 (RFC 9562) for time `now`, behind a prefix: `run_0192…`."""
    millis = now // 1000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (millis & (1 << 48) - 1) << 80 | 7 << 76 | (tail >> 64 & 0xFFF) << 64 | 2 << 62 | tail & (1 << 62) - 1
    return f"{prefix}_{value:032x}"
