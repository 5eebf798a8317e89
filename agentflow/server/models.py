"""What goes over HTTP, as pydantic models: bodies, queries and answers. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentflow.records import RunState, WaitKind, WaitState

Time = int
"""Milliseconds since 1970."""


class Strict(BaseModel):
    """A body or query: names that are not known are errors."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Strict):
    """No body, no query."""


class DebounceOptions(Strict):
    """Starts of one key become one run, which starts after so much quiet, or after `max_delay` at most. Durations as in `RunOptions`.

    `mode`: whether the run has the payload of the last start (`trailing`) or of the first (`leading`).
    """

    key: str = Field(min_length=1, max_length=512)
    delay: int | float | str
    max_delay: int | float | str = "1h"
    mode: Literal["trailing", "leading"] = "trailing"


class RunOptions(Strict):
    """How a run starts. Durations are seconds, or texts like "30s", "5m", "2h" and "3d"."""

    delay: int | float | str | None = None
    ttl: int | float | str | None = None
    idempotency_key: str | None = Field(None, min_length=1, max_length=512)
    idempotency_scope: Literal["run", "global"] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    priority: int | None = None
    weight: int | None = Field(None, ge=1)
    concurrency_key: str | None = None
    dedupe_key: str | None = Field(None, min_length=1, max_length=512)
    debounce: DebounceOptions | None = None
    thread: str | None = Field(None, min_length=1, max_length=255)


class StartRun(Strict):
    """Which task to start: its payload has an entry per argument."""

    task: str
    payload: dict[str, Any] = Field(default_factory=dict[str, Any])
    options: RunOptions = Field(default_factory=lambda: RunOptions.model_validate({}))


class CancelRun(Strict):
    """Why a run is to stop."""

    reason: str = "cancelled over HTTP"


class ResumeRun(Strict):
    """How a paused run goes on: with its record as it is, or again from the step that differs."""

    rerun: bool = False


class RescheduleRun(Strict):
    """When a run starts instead: `delay` from now, a duration, or `at`, milliseconds since 1970. `payload` takes the place of its own."""

    delay: int | float | str | None = None
    at: Time | None = None
    payload: dict[str, Any] | None = None


class PauseQueue(Strict):
    """Who pauses a queue; else the header X-Agentflow-By."""

    by: str | None = None


class MoveRun(Strict):
    """The version whose code is to take the run; null for whatever code its task has. `force`: also one that nobody has ever had."""

    to: str | None
    force: bool = False


class CreateWaitpoint(Strict):
    """A token that a run can wait for. `timeout` is a duration, and so is `idempotency_ttl`: for how long the key gives the same token."""

    timeout: int | float | str | None = None
    title: str = ""
    idempotency_key: str | None = Field(None, min_length=1, max_length=512)
    idempotency_ttl: int | float | str = "30d"


class Decide(Strict):
    """An answer: `approved` (with `reason`, `edits`) for an approval, `value` for a token.

    `by` says who; else the header X-Agentflow-By.
    """

    approved: bool | None = None
    reason: str | None = None
    edits: dict[str, Any] | None = None
    value: Any = None
    by: str | None = None


class RunQuery(Strict):
    """Which runs. `cursor` is the `next` of the page before."""

    task: str | None = None
    status: RunState | None = None
    tag: str | None = None
    parent: str | None = None
    cursor: int | None = None
    limit: int = Field(50, ge=1, le=500)


class StreamQuery(Strict):
    """From where: `after` is the id of the last event that was seen; the header Last-Event-ID counts before it.

    `live=0` ends when caught up.
    """

    after: str | None = None
    live: bool = True


class EventQuery(Strict):
    """From where, and how many events at most."""

    after: str | None = None
    limit: int = Field(500, ge=1, le=5_000)


class WaitpointQuery(Strict):
    """Which waitpoints; `state` is `pending` unless said otherwise, `any` for all."""

    kind: WaitKind | None = None
    state: WaitState | Literal["any"] = WaitState.PENDING
    run: str | None = None
    limit: int = Field(100, ge=1, le=500)


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
    """Something that a run waits for."""

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


class RunDetail(Run):
    """A run with its values, what it waits for, and the `cursor` that its stream goes on after."""

    input: Any
    output: Any
    waiting: list[Waitpoint]
    cursor: str | None


class MovedRun(RunDetail):
    """A run that was moved; `warning` says that no live worker takes it now."""

    warning: str | None


class RunPage(BaseModel):
    """Runs, newest first; `next` is the `cursor` of the next page."""

    runs: list[Run]
    next: str | None


class EventPage(BaseModel):
    """Events, each with its `id`. `next` is the cursor to go on after, `ended` says that there will be no more."""

    events: list[dict[str, Any]]
    next: str | None
    ended: bool


class JournalRecord(BaseModel):
    """A recorded step or value of a run."""

    seq: int
    kind: str
    step: str
    value: Any
    attempt: int
    tries: int
    started_at: Time
    ended_at: Time


class Journal(BaseModel):
    """What a run has recorded, in order."""

    entries: list[JournalRecord]


class WaitpointPage(BaseModel):
    """Waitpoints, newest first."""

    waitpoints: list[Waitpoint]


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
