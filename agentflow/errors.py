"""Every error agentflow raises.

    AgentflowError
      DefinitionError       NotInRun · DuplicateName · UnknownTask · InvalidPayload · UnserializableValue · ConfigurationError
                          InvalidScope
      TokenInvalid          TokenExpired
      RunError              RunFailed · RunCancelled · RunExpired · RunNotFound · RunTimeout · StepFailed · IdempotencyConflict
                          BudgetExceeded · ProcessDied > OutOfMemory
      WaitpointError        WaitpointNotFound · WaitpointAlreadyAnswered · WaitpointTimedOut · InvalidAnswer
      ServerUnreachable
      StreamError           CursorInvalid · StreamUnavailable · ItemTooLarge · InvalidMessage · InputFull
      PromptError           TemplateError · ContractError · PromptNotFound · VersionNotFound · BindingConflict · BindingProtected
                          VersionRevoked · ResumeIncompatible
      StorageError          DatabaseBusy · DatabaseUnreachable · DatabaseUnreadable · DatabaseFull · SchemaNewer · ConnectionLost
    NonRetryable > TellModel, RetryAfter    raised by user code
    ControlFlow (control.py)                the engine's own, never caught by users

An error has a `code` that machines can match, a message, a `hint` that says what to do next, and `details` that survive JSON.
"""

from __future__ import annotations

from typing import Any


class AgentflowError(Exception):
    """The root of all errors a caller may catch."""

    code = "error"
    http_status = 500

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.details)


def _rebuild(kind: type[AgentflowError], message: str, hint: str, details: dict[str, Any]) -> AgentflowError:
    return kind(message, hint=hint, **details)


class DefinitionError(AgentflowError):
    """A task, step, agent or setting is written in a way that cannot work."""

    code = "definition"
    http_status = 400


class NotInRun(DefinitionError):
    """Something that needs a run was called outside of one."""

    code = "not_in_run"


class DuplicateName(DefinitionError):
    """Two definitions, or two steps of one run, claim the same name."""

    code = "duplicate_name"


class UnknownTask(DefinitionError):
    """No task of that name is registered."""

    code = "unknown_task"
    http_status = 404


class UnknownQueue(DefinitionError):
    """No worker serves a queue of that name, and no run waits in it."""

    code = "unknown_queue"
    http_status = 404


class UnknownVersion(DefinitionError):
    """Nobody has ever had code of that version."""

    code = "unknown_version"
    http_status = 404


class WorkerNotFound(AgentflowError):
    """No worker of that id is on the list."""

    code = "worker_not_found"
    http_status = 404


class InvalidPayload(DefinitionError):
    """The payload does not fit the task's signature."""

    code = "invalid_payload"
    http_status = 422


class UnserializableValue(DefinitionError):
    """A value cannot be stored as JSON under its annotation."""

    code = "unserializable"


class ConfigurationError(DefinitionError):
    """A setting is missing, malformed or unsafe."""

    code = "configuration"


class InvalidScope(DefinitionError):
    """A browser token cannot have such a scope."""

    code = "invalid_scope"
    http_status = 422


class TokenInvalid(AgentflowError):
    """Neither an API key of the server nor a token that one of them has signed."""

    code = "unauthorized"
    http_status = 401


class TokenExpired(TokenInvalid):
    """The token was good, and its time has ended; `details["expired_at"]` in milliseconds since 1970."""

    code = "token_expired"


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


class ProcessDied(RunError):
    """The process of an isolated run ended before the run did; `details` has its `signal` or `exit_code`."""

    code = "crashed"


class OutOfMemory(ProcessDied):
    """An isolated run needed more memory than it may take; `details` has the `limit` and what was `seen`, in bytes."""


class IdempotencyConflict(RunError):
    """The idempotency key belongs to a run with another payload."""

    code = "idempotency_conflict"
    http_status = 409


class WaitpointError(AgentflowError):
    """A waitpoint cannot do what was asked."""

    code = "waitpoint"


class WaitpointNotFound(WaitpointError):
    """No waitpoint has that id."""

    code = "waitpoint_not_found"
    http_status = 404


class WaitpointAlreadyAnswered(WaitpointError):
    """Somebody else was first; `details["answer"]` is what counts."""

    code = "waitpoint_answered"
    http_status = 409


class WaitpointTimedOut(WaitpointError):
    """The waitpoint ended before the answer came."""

    code = "waitpoint_timed_out"
    http_status = 410


class InvalidAnswer(WaitpointError):
    """The answer does not fit the waitpoint's schema; the run still waits."""

    code = "invalid_answer"
    http_status = 422


class ServerUnreachable(AgentflowError):
    """An agentflow server cannot be reached, or does not answer as one; what was asked may or may not have been done."""

    code = "server_unreachable"
    http_status = 503


class StreamError(AgentflowError):
    """A stream cannot be read, or does not take what it was given."""

    code = "stream"


class CursorInvalid(StreamError):
    """A cursor is not of the form `<epoch>-<seq>`."""

    code = "cursor_invalid"
    http_status = 400


class StreamUnavailable(StreamError):
    """The stream server cannot be reached or started."""

    code = "stream_unavailable"
    http_status = 503


class ItemTooLarge(StreamError):
    """An item or message is longer than a stream takes; `details` has its `size` and the `limit`, in bytes."""

    code = "item_too_large"
    http_status = 413


class InvalidMessage(StreamError):
    """A message does not fit the type of its input stream."""

    code = "invalid_message"
    http_status = 422


class InputFull(StreamError):
    """A run has not received what was sent to it before; `details` has its `run_id` and the `limit`."""

    code = "input_full"
    http_status = 429


class PromptError(AgentflowError):
    """A prompt cannot do what was asked."""

    code = "prompt"
    http_status = 400


class TemplateError(PromptError):
    """A template is no template, or its values do not fit it; `details` has the `line` and `column`, both from 1."""

    code = "template_error"
    http_status = 422


class ContractError(PromptError):
    """A template uses what its variables do not have, or what it must not; `details["problems"]` lists all of it."""

    code = "contract_violation"
    http_status = 422


class PromptNotFound(PromptError):
    """No prompt of that name is registered."""

    code = "prompt_not_found"
    http_status = 404


class VersionNotFound(PromptError):
    """The prompt has no such version."""

    code = "version_not_found"
    http_status = 404


class BindingConflict(PromptError):
    """Somebody moved the binding meanwhile; `details["binding"]` is how it is now."""

    code = "version_conflict"
    http_status = 409


class BindingProtected(PromptError):
    """The binding is protected, and whoever moves it has no leave to do so."""

    code = "binding_protected"
    http_status = 403


class VersionRevoked(PromptError):
    """The version was taken back, and what it was taken back with says that its runs fail."""

    code = "version_revoked"
    http_status = 409


class ResumeIncompatible(PromptError):
    """A prompt says something else than it said when the run began, under the same version."""

    code = "resume_incompatible"
    http_status = 409


class StorageError(AgentflowError):
    """The database refused or failed."""

    code = "storage"
    http_status = 503


class DatabaseBusy(StorageError):
    """Others kept a lock for too long, or got in each other's way too often; nothing was written."""

    code = "database_busy"


class DatabaseUnreachable(StorageError):
    """The database server cannot be reached, takes no connections or does not answer; nothing was written."""

    code = "database_unreachable"


class DatabaseUnreadable(StorageError):
    """There is no such database, or it is damaged, or may not be used by this user."""

    code = "database_unreadable"


class DatabaseFull(StorageError):
    """There is no room left to write."""

    code = "database_full"


class SchemaNewer(StorageError):
    """The database was migrated by a newer agentflow."""

    code = "schema_newer"


class ConnectionLost(StorageError):
    """The connection to the database broke; the transaction may or may not have been committed."""

    code = "connection_lost"


class NonRetryable(Exception):
    """Raise in a step or task to fail at once, whatever tries are left."""


class TellModel(NonRetryable):
    """Raise in a tool to tell the model why the call failed: it reads the message and goes on; nothing is tried again.

    What a tool raises otherwise is not for the model: `errors` of `ai.tool` says what becomes of it. In a task that is a tool the run fails
    with this error, and the model of the run that asked for it is told.

        raise TellModel("There is no order o-81. Ask the customer for the number.")
    """


class RetryAfter(Exception):
    """Raise in a step or task to be tried again no sooner than `delay`.

    `delay` is a duration: seconds, `"30s"`, or a `timedelta`.
    """

    def __init__(self, delay: Any, message: str = "") -> None:
        super().__init__(delay, message)
        self.delay = delay

    def __str__(self) -> str:
        return self.args[1] or f"retry after {self.delay}"
