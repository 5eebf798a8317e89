"""The states that things pass through."""

from __future__ import annotations

from enum import StrEnum


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
