"""What goes wrong with runs, their steps and their threads."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError, NonRetryable


class RunError(AgentflowError):
    """A run did not end with a result."""

    code = "run"

    @property
    def run_id(self) -> str:
        """The run that this error is about, or an empty string."""
        return str(self.details.get("run_id", ""))


class RunFailed(RunError):
    """The run ended as `failed`; `details["error"]` is the recorded error."""

    code = "run_failed"


class RunCancelled(RunError):
    """The run ended as `cancelled`; `details["reason"]` says why."""

    code = "run_cancelled"


class RunExpired(RunError):
    """The run's time to live ended before it started."""

    code = "run_expired"


class RunNotFound(RunError):
    """No run has that id."""

    code = "run_not_found"
    http_status = 404


class ThreadNotFound(RunError):
    """No thread has that id."""

    code = "thread_not_found"
    http_status = 404


class ThreadBusy(RunError):
    """A run of the thread is under way, or waits for its turn; `details["run_id"]` is its id."""

    code = "thread_busy"
    http_status = 409


class ThreadExists(RunError):
    """There is a thread of that id, which began otherwise."""

    code = "thread_exists"
    http_status = 409


class RunTimeout(RunError):
    """The caller stopped waiting; the run itself goes on."""

    code = "run_timeout"
    http_status = 504


class StepFailed(RunError):
    """A step raised and has no tries left; `details["error"]` is the recorded error."""

    code = "step_failed"


class StepTimeout(StepFailed):
    """A step ran longer than its timeout, or was silent longer than its idle timeout."""

    code = "step_timeout"


class BudgetExceeded(RunError):
    """A model call may not begin, for a limit is reached; `details["limits"]` says of each what was `spent` of which `limit`."""

    code = "budget"


class NotRecorded(RunError, NonRetryable):
    """A run of an experiment asked for something that the run which it repeats never did: nobody knows what it would have got."""

    code = "not_recorded"


class ProcessDied(RunError):
    """The process of an isolated run ended before the run did; `details` has its `signal` or `exit_code`."""

    code = "crashed"


class OutOfMemory(ProcessDied):
    """An isolated run needed more memory than it may take; `details` has the `limit` and what was `seen`, in bytes."""


class IdempotencyConflict(RunError):
    """The idempotency key belongs to a run with another payload."""

    code = "idempotency_conflict"
    http_status = 409
