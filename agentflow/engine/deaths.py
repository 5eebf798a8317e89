"""How an isolated run's process died, and what becomes of the run. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentflow.engine.isolation import Isolation
from agentflow.engine.outcome import OUT_OF_TIME, Cancelled, Failed, Outcome, Retrying
from agentflow.errors import OutOfMemory, ProcessDied
from agentflow.records import Failure, RunRecord
from agentflow.retry import Retry
from agentflow.serde import decode_failure, failure

CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a process that did not record how its run ended.

    `code` is its exit code, below 0 a signal. `killed` says what it was killed for by its worker, if it was: `memory`, `timeout` and so on.
    `words` are the last that it said, `limit` and `seen` are bytes of memory.
    """

    code: int
    killed: str | None = None
    words: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limit: int | None = None
    seen: int = 0
    cancelled: str | None = None


def limit_of(isolation: Isolation, run: RunRecord) -> int | None:
    """The memory that this attempt may take: more when the one before ran out of it."""
    return isolation.larger if isolation.larger is not None and _ran_out(run) else isolation.limit


def _ran_out(run: RunRecord) -> bool:
    if run.error is None:
        return False
    last = decode_failure(run.error)
    return (last.code, last.type) == (CRASHED, OutOfMemory.__name__)


def judge(death: Death, run: RunRecord, isolation: Isolation, retry: Retry, now: int) -> Outcome:
    """What becomes of the run: a death is a failed attempt, but for one that was asked for."""
    if death.cancelled is not None:
        return Cancelled(death.cancelled)
    if death.killed == "timeout":
        return OUT_OF_TIME
    error = _error(death)
    failed = _failure(error, death)
    delay = retry.delay(run.attempt, error, now)
    if isinstance(error, OutOfMemory) and isolation.larger is not None:
        if _ran_out(run):
            return Failed(failed)
        delay = delay or 0
    return Failed(failed) if delay is None else Retrying(failed, delay)


def _failure(error: ProcessDied, death: Death) -> Failure:
    told = failure(error, CRASHED)
    return replace(told, traceback=death.words.get("traceback", ""))


def _error(death: Death) -> ProcessDied:
    if death.killed == "memory":
        return _out_of_memory(f"The run took {_mb(death.seen)}, and may take {_mb(death.limit)}: its process was killed.", death)
    if "memory" in death.words:
        allowed = "there is" if death.limit is None else f"the {_mb(death.limit)} that it may take"
        return _out_of_memory(f"The run asked for more memory than {allowed}.", death)
    if "unloadable" in death.words:
        return ProcessDied(
            f"The run's process could not load its task: {death.words['unloadable']}.",
            hint="What another process imports must be importable without the rest of the program.",
            exit_code=death.code,
        )
    if death.killed is not None:
        return ProcessDied(f"The run's process was killed: {_KILLED.get(death.killed, death.killed)}.", signal="SIGKILL")
    return _died(death.code)


def _out_of_memory(message: str, death: Death) -> OutOfMemory:
    seen = max(death.seen, death.words.get("memory", 0))
    return OutOfMemory(
        message, hint="Let it take less at once, or give its Isolation more memory, or memory_after_oom.", limit=death.limit, seen=seen
    )


def _died(code: int) -> ProcessDied:
    if code >= 0:
        how = f"ended with exit code {code}" if code else "ended"
        return ProcessDied(
            f"The run's process {how} and did not record how the run ended.", hint="Its worker's stderr says more.", exit_code=code
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = "The kernel does that when the machine is out of memory." if name == "SIGKILL" else "Its worker's stderr may say more."
    return ProcessDied(f"The run's process was killed by {name}.", hint=hint, signal=name)


_KILLED = {"start": "it was not up in time", "left": "it had nothing left to do and did not end"}


def _mb(size: int | None) -> str:
    return f"{(size or 0) / 1024**2:,.0f} MB"
