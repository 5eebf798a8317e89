"""What a run says: one class per kind of event, `type` is its name on the wire.

A field that is `None` is left out. Readers must ignore types and fields that they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from agentflow.streams.parts import (
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalRequested,
    ApprovalResolved,
    Data,
    File,
    MessageStarted,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Record,
    Source,
    StreamItem,
    TextDelta,
    TextEnd,
    TextStart,
    ToolDenied,
    ToolError,
    ToolInput,
    ToolInputDelta,
    ToolInputStart,
    ToolOutput,
)

__all__ = [
    "KINDS",
    "ApprovalEscalated",
    "ApprovalReminded",
    "ApprovalRequested",
    "ApprovalResolved",
    "ChildFinished",
    "ChildStarted",
    "Data",
    "End",
    "Event",
    "File",
    "MessageStarted",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningStart",
    "Record",
    "RunAttempt",
    "RunCancelled",
    "RunCompleted",
    "RunExpired",
    "RunFailed",
    "RunProgress",
    "RunQueued",
    "RunStarted",
    "RunWaiting",
    "Source",
    "StepCompleted",
    "StepFailed",
    "StepRetrying",
    "StepStarted",
    "StreamItem",
    "TextDelta",
    "TextEnd",
    "TextStart",
    "ToolDenied",
    "ToolError",
    "ToolInput",
    "ToolInputDelta",
    "ToolInputStart",
    "ToolOutput",
    "UnknownEvent",
    "Usage",
]


@dataclass(frozen=True, slots=True)
class RunQueued:
    """The run waits for a worker."""

    type: ClassVar[str] = "run.queued"
    task: str
    agent: str | None = None
    parent: str | None = None
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A worker has the run; a higher epoch than before is a new lease."""

    type: ClassVar[str] = "run.started"
    task: str
    attempt: int = 1
    epoch: int = 1
    agent: str | None = None
    parent: str | None = None
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """A new epoch goes on; what the steps in `supersedes` said before is void. Reasons: worker_lost, retry, resume, deploy."""

    type: ClassVar[str] = "run.attempt"
    epoch: int
    reason: str
    attempt: int | None = None
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunWaiting:
    """The run waits on an approval, a timer, an event, a child or concurrency; `until` in milliseconds since 1970."""

    type: ClassVar[str] = "run.waiting"
    on: str
    ids: tuple[str, ...] = ()
    until: int | None = None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The run's metadata as it is now; the last one wins."""

    type: ClassVar[str] = "run.progress"
    data: Record


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began. Kinds: llm, tool, code, sleep, child."""

    type: ClassVar[str] = "step.started"
    step: str
    name: str
    kind: str = "code"
    attempt: int = 1
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class StepRetrying:
    """The step failed and will run as `attempt`; the parts and calls in `supersedes` are void."""

    type: ClassVar[str] = "step.retrying"
    step: str
    attempt: int
    error: Record | None = None
    delay_ms: int | None = None
    supersedes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """The step is recorded: nothing it said will be void. A short step says only this, so it repeats `step.started`."""

    type: ClassVar[str] = "step.completed"
    step: str
    name: str
    kind: str = "code"
    attempt: int = 1
    parent: str | None = None
    output: Any = None
    usage: Record | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The step has no tries left."""

    type: ClassVar[str] = "step.failed"
    step: str
    error: Record
    name: str | None = None
    kind: str | None = None
    attempt: int | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child run began; what it says is in its own stream."""

    type: ClassVar[str] = "child.started"
    run: str
    name: str
    call: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class ChildFinished:
    """A child run ended as `status`."""

    type: ClassVar[str] = "child.finished"
    run: str
    status: str
    call: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost (US dollars) of one model request; `prompt` is the version that it was made by, as `support@v3#9f2c1a`."""

    type: ClassVar[str] = "usage"
    step: str | None = None
    provider: str | None = None
    model: str | None = None
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    cost: float | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The run has its result."""

    type: ClassVar[str] = "run.completed"
    output: Any = None
    usage: Record | None = None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended without a result."""

    type: ClassVar[str] = "run.failed"
    error: Record


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """Somebody stopped the run."""

    type: ClassVar[str] = "run.cancelled"
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunExpired:
    """The run's time to live ended before it started."""

    type: ClassVar[str] = "run.expired"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The last event of a stream, always, once. `status` is the run's final state."""

    type: ClassVar[str] = "end"
    status: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a kind that this version does not know, or cannot read: its type, what it is about, and its data."""

    type: str
    about: str
    data: Any


KINDS = (
    RunQueued,
    RunStarted,
    RunAttempt,
    RunWaiting,
    RunProgress,
    StepStarted,
    StepRetrying,
    StepCompleted,
    StepFailed,
    MessageStarted,
    TextStart,
    TextDelta,
    TextEnd,
    ReasoningStart,
    ReasoningDelta,
    ReasoningEnd,
    ToolInputStart,
    ToolInputDelta,
    ToolInput,
    ToolOutput,
    ToolError,
    ToolDenied,
    ApprovalRequested,
    ApprovalReminded,
    ApprovalEscalated,
    ApprovalResolved,
    Data,
    StreamItem,
    Source,
    File,
    ChildStarted,
    ChildFinished,
    Usage,
    RunCompleted,
    RunFailed,
    RunCancelled,
    RunExpired,
    End,
)
"""Every kind of event that is known."""

Event = (
    RunQueued
    | RunStarted
    | RunAttempt
    | RunWaiting
    | RunProgress
    | StepStarted
    | StepRetrying
    | StepCompleted
    | StepFailed
    | MessageStarted
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | ToolInputStart
    | ToolInputDelta
    | ToolInput
    | ToolOutput
    | ToolError
    | ToolDenied
    | ApprovalRequested
    | ApprovalReminded
    | ApprovalEscalated
    | ApprovalResolved
    | Data
    | StreamItem
    | Source
    | File
    | ChildStarted
    | ChildFinished
    | Usage
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunExpired
    | End
    | UnknownEvent
)
"""Any event."""
