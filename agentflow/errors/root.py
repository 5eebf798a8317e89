"""The root of all errors, and what user code raises."""

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


class ServerUnreachable(AgentflowError):
    """An agentflow server cannot be reached, or does not answer as one; what was asked may or may not have been done."""

    code = "server_unreachable"
    http_status = 503
