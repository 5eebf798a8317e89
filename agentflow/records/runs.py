"""Runs, what they recorded, used and said."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from agentflow.records.states import EntryKind, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run, as stored. Times are microseconds since 1970, `active` is microseconds of work.

    `weight` is what its start counts in a rate. `thread` is the conversation that it belongs to, `turn` its place in the line there: None
    for a run whose delay has not ended; `follows` is the number of the message there that its own ones follow, None for the last.
    `started_by` is the person in whose name it was started; None where nobody said.
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
    started_by: str | None = None

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


def dollars(nano: int) -> str:
    """Nano-USD in US dollars, as exact decimal text.

    >>> dollars(1_250_000_000)
    '1.25'
    """
    return f"{nano // 10**9}.{nano % 10**9:09}".rstrip("0").rstrip(".")


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
        return dollars(self.cost)

    def __add__(self, other: UsageRecord) -> UsageRecord:
        return UsageRecord(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run used itself, and with all the runs below it."""

    own: UsageRecord = UsageRecord()
    total: UsageRecord = UsageRecord()


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
