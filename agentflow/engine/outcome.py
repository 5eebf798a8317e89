"""How an epoch of a run ended, decided in one place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentflow.control import ControlFlow, RunPaused
from agentflow.errors import BudgetExceeded
from agentflow.records import Failure
from agentflow.retry import Retry
from agentflow.serde import failure


@dataclass(frozen=True, slots=True)
class Completed:
    """The code returned `value`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Retrying:
    """The code failed and is tried again after `delay` microseconds."""

    error: Failure
    delay: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The code failed for good."""

    error: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The code stopped because somebody asked for it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The code no longer fits the record."""

    error: Failure


@dataclass(frozen=True, slots=True)
class Dropped:
    """The run left this process: it waits elsewhere, or another worker holds it. Nothing is to be written."""


OUT_OF_TIME = Failed(Failure(code="timeout", type="RunTimeout", message="The run worked longer than its max_duration."))
Outcome = Completed | Retrying | Failed | Cancelled | Paused | Dropped


@dataclass(frozen=True, slots=True)
class Ending:
    """What the engine knows when the code of a run has stopped."""

    value: Any
    error: BaseException | None
    latched: ControlFlow | None
    cancel_reason: str | None
    timed_out: bool


def decide(ending: Ending, retry: Retry, attempt: int, now: int) -> Outcome:
    """The outcome: what is latched counts before what the code made of it, for code can swallow anything."""
    if isinstance(ending.latched, RunPaused):
        return Paused(_divergence(ending.latched))
    if ending.latched is not None:
        return Dropped()
    if ending.timed_out:
        return OUT_OF_TIME
    if ending.cancel_reason is not None:
        return Cancelled(ending.cancel_reason)
    if ending.error is None:
        return Completed(ending.value)
    failed = failure(ending.error, "budget" if isinstance(ending.error, BudgetExceeded) else "error")
    delay = retry.delay(attempt, ending.error, now)
    return Failed(failed) if delay is None else Retrying(failed, delay)


def _divergence(paused: RunPaused) -> Failure:
    step = paused.difference["step"]
    return Failure(
        code=paused.difference.get("error", "divergence"),
        type="RunPaused",
        message=paused.difference.get("message")
        or f"The code has changed, and step {step} is now called with another input than the recorded one.",
        hint="Decide: `agentflow runs resume RUN --continue` keeps the record, `--rerun` runs on from that step, `runs cancel` ends it.",
        details=paused.difference,
    )
