"""What is answered over HTTP, as pydantic models. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentflow.records import DeliveryState, RunState, WaitKind, WaitState

Time = int
"""Milliseconds since 1970."""


class Problem(BaseModel):
    """What went wrong, and what to do next."""

    code: str
    message: str
    hint: str
    details: dict[str, Any]


class RunFailure(BaseModel):
    """Why a run failed."""

    code: str
    type: str
    message: str
    hint: str = ""
    details: dict[str, Any] | None = None


class Run(BaseModel):
    """A run. `note` says why it waits, where that is not plain."""

    id: str
    task: str
    queue: str
    status: RunState
    attempt: int
    recoveries: int
    worker: str | None
    parent: str | None
    tags: list[str]
    metadata: dict[str, Any]
    idempotency_key: str | None
    concurrency_key: str | None
    priority: int
    version: str | None
    started_by: str | None
    error: RunFailure | None
    cancel_reason: str | None
    note: str | None
    active_ms: int
    created_at: Time
    ready_at: Time | None
    expires_at: Time | None
    started_at: Time | None
    finished_at: Time | None


class Waitpoint(BaseModel):
    """Something that a run waits for.

    Of an open question: `times` is how many equal ones there are, with it, all of which one decision ends; `held` is why people are not
    asked it: an equal one is open (same), or as many of its family as they are asked at once (full).
    """

    id: str
    kind: WaitKind
    state: WaitState
    run: str | None
    step: str | None
    target: str | None
    subject: Any
    # Named like a method of BaseModel, so it goes by its alias.
    schema_: Any = Field(None, serialization_alias="schema")
    answer: Any
    answered_by: str | None
    due_at: Time | None
    created_at: Time
    ended_at: Time | None
    times: int = 1
    held: Literal["same", "full"] | None = None


class UsageTotal(BaseModel):
    """What model calls used. `usd` is decimal text, null where no price is known; `unpriced` and `unmetered` count the calls that told no
    price, or no tokens."""

    calls: int
    input: int
    output: int
    cached: int
    reasoning: int
    usd: str | None
    unpriced: int
    unmetered: int


class RunUsage(BaseModel):
    """What a run used itself, and with all the runs below it."""

    own: UsageTotal
    total: UsageTotal


class DecidedWaitpoint(Waitpoint):
    """A waitpoint after a decision: `resolved`, or `recorded` while it `have`s fewer people than it `need`s. `grant`
    is the id of the one that was given with it; `others` are the questions that ended with it: equal ones,
    and those of a run that it stopped."""

    outcome: Literal["resolved", "recorded"]
    need: int
    have: int
    grant: str | None
    others: list[str] = []


class Link(BaseModel):
    """A link that one person decides with. `path` is a secret that is told once; `url` is null where no public address is set."""

    id: str
    waitpoint: str
    actor: str
    choices: list[str]
    path: str
    url: str | None
    expires_at: Time


class DecidedOne(BaseModel):
    """What became of one decision among many; `waitpoint` is null, and `problem` says why, where it does not count (`refused`)."""

    id: str
    outcome: Literal["resolved", "recorded", "refused"]
    waitpoint: DecidedWaitpoint | None
    problem: Problem | None


class DecidedMany(BaseModel):
    """What became of each, in the order in which they were sent."""

    results: list[DecidedOne]


class VoteInfo(BaseModel):
    """What somebody said to a waitpoint; `why` it does not count."""

    actor: str
    choice: str
    said: Any
    counted: bool
    why: str | None
    at: Time


class VotePage(BaseModel):
    """All votes of a waitpoint, in order."""

    votes: list[VoteInfo]


class DeliveryInfo(BaseModel):
    """A message about a waitpoint: what it tells (`event`), where, and what became of it. `reference` is what the channel calls it."""

    id: str
    channel: str
    address: str
    person: str | None
    event: str
    state: DeliveryState
    attempts: int
    error: str | None
    reference: str | None
    created_at: Time
    ended_at: Time | None


class DeliveryPage(BaseModel):
    """All messages about a waitpoint, in order."""

    deliveries: list[DeliveryInfo]


class RunDetail(Run):
    """A run with its values, what it waits for and used, and the `cursor` that its stream goes on after."""

    input: Any
    output: Any
    waiting: list[Waitpoint]
    usage: RunUsage
    cursor: str | None


class MovedRun(RunDetail):
    """A run that was moved; `warning` says that no live worker takes it now."""

    warning: str | None


class RunPage(BaseModel):
    """Runs, newest first; `next` is the `cursor` of the next page."""

    runs: list[Run]
    next: str | None


class EventPage(BaseModel):
    """Events and their places, `{"id", "event"}`. `next` is the cursor to go on after, `ended` says that there will be no more.

    A page may be short, or empty, though more follows: what a caller may not see is left out.
    """

    events: list[dict[str, Any]]
    next: str | None
    ended: bool


class JournalRecord(BaseModel):
    """A recorded step or value of a run, and what it used where it asked a model."""

    seq: int
    kind: str
    step: str
    value: Any
    attempt: int
    tries: int
    started_at: Time
    ended_at: Time
    usage: UsageTotal | None = None


class Journal(BaseModel):
    """What a run has recorded, in order."""

    entries: list[JournalRecord]


class WaitpointPage(BaseModel):
    """Waitpoints, newest first; `next` is the `cursor` of the next page. A page may be short though more follows."""

    waitpoints: list[Waitpoint]
    next: str | None


class TaskInfo(BaseModel):
    """A task that some worker has served; `workers` counts those that serve it now. `version` is the one that starts by name get."""

    name: str
    kind: str
    queue: str
    version: str | None
    description: str
    payload_schema: dict[str, Any]
    workers: int


class TaskPage(BaseModel):
    """All known tasks."""

    tasks: list[TaskInfo]


class ServedTask(BaseModel):
    """A task that a worker has the code of, and the versions whose runs it takes beside those without one: its own first."""

    name: str
    versions: list[str]


class WorkerInfo(BaseModel):
    """A worker process; not `live` when its lease has ended. It holds `runs` of its `slots`, and asked for more at `claimed_at`."""

    id: str
    host: str
    pid: int
    slots: int
    runs: int
    state: str
    live: bool
    queues: list[str]
    tasks: list[ServedTask]
    started_at: Time
    claimed_at: Time
    expires_at: Time


class WorkerPage(BaseModel):
    """All workers on the list."""

    workers: list[WorkerInfo]


class QueueInfo(BaseModel):
    """How many runs a queue holds by state, since when the oldest of the queued waits, and how many live workers serve it.

    `concurrency` and `key_concurrency` are runs at once, over all and of one key; `rate` and `key_rate` starts, like "10/s". A queue with
    `paused_at` lets nothing begin or go on.
    """

    name: str
    workers: int
    queued: int = 0
    running: int = 0
    scheduled: int = 0
    waiting: int = 0
    paused: int = 0
    oldest_queued_at: Time | None = None
    concurrency: int | None = None
    key_concurrency: int | None = None
    rate: str | None = None
    key_rate: str | None = None
    paused_at: Time | None = None
    paused_by: str | None = None


class QueuePage(BaseModel):
    """All queues that hold runs, that a worker serves, or that are limited or paused."""

    queues: list[QueueInfo]


class Part(BaseModel):
    """Whether something works; `error` is the code of what it failed with."""

    ok: bool
    error: str | None = None


class Health(BaseModel):
    """`ok`; `degraded` without streams or without a live worker: runs are kept; `unavailable` without a database."""

    status: Literal["ok", "degraded", "unavailable"]
    database: Part
    streams: Part
    workers: int


class Document(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")
    openapi: str
