"""What goes wrong with waitpoints."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError


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
