"""One shape for whatever goes wrong: `{code, message, hint, details}`."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agentflow.errors import AgentflowError, RunError
from agentflow.server.models import Problem

_log = logging.getLogger("agentflow.server")


class RequestError(AgentflowError):
    """The request cannot be served as it is."""

    code = "bad_request"
    http_status = 400


class Forbidden(RequestError):
    """The request came by a name that this server does not answer to, or asks for what its caller may not have."""

    code = "forbidden"
    http_status = 403


class ScopeMissing(Forbidden):
    """A browser token may not do this; `details["scopes"]` are those of which one would do."""

    code = "scope_missing"


class NoApiKey(RequestError):
    """The server has no API key, which this needs."""

    code = "no_api_key"
    http_status = 409


class NoSuchRoute(RequestError):
    """There is nothing at this path."""

    code = "not_found"
    http_status = 404


class MethodNotAllowed(RequestError):
    """This path knows other methods."""

    code = "method_not_allowed"
    http_status = 405


class BodyTooLarge(RequestError):
    """The body is longer than the server takes."""

    code = "body_too_large"
    http_status = 413


class UnsupportedMediaType(RequestError):
    """The body is not said to be JSON."""

    code = "unsupported_media_type"
    http_status = 415


class InvalidRequest(RequestError):
    """The body or the query does not fit; `details["problems"]` says where."""

    code = "invalid_request"
    http_status = 422

    @classmethod
    def of(cls, error: ValidationError, where: str) -> InvalidRequest:
        """What pydantic found, told by place."""
        problems = [{"at": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors(include_url=False)]
        told = "; ".join(f"{one['at'] or where}: {one['problem']}" for one in problems[:5])
        return cls(f"The {where} does not fit: {told}.", hint="GET /v1/openapi.json describes it.", problems=problems)


class TooManyStreams(RequestError):
    """No more streams can be opened here now."""

    code = "too_many_streams"
    http_status = 429


class NoSuchChannel(NoSuchRoute):
    """No channel of that kind has that name."""

    code = "channel_not_found"


class TryAgain(RequestError):
    """It could not be done in time; the same request again does it once."""

    code = "try_again"
    http_status = 503


class InternalError(RequestError):
    """The server has a defect; its log tells more."""

    code = "internal"
    http_status = 500


_HEADERS = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "5"}}
"""What an answer of some status says beside its body."""


def failed(error: AgentflowError, headers: dict[str, str] | None = None) -> Response:
    """The answer that tells of an error."""
    body = to_json(_shape(error), inf_nan_mode="null", fallback=str)
    status = status_of(error)
    return Response(body, status, headers=headers or _HEADERS.get(status), media_type="application/json")


def problem_of(error: AgentflowError) -> Problem:
    """An error among answers."""
    return Problem.model_validate_json(to_json(_shape(error), inf_nan_mode="null", fallback=str))


def _shape(error: AgentflowError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint, "details": error.details}


def status_of(error: AgentflowError) -> int:
    """The HTTP status of an error."""
    # A verb that does not fit the state of a run: nobody's fault, and another request may go through.
    return 409 if type(error) is RunError else error.http_status


def unexpected(error: Exception, request: Request, place: str | None = None) -> Response:
    """The answer for a defect of our own: the log has the details, the caller has not. `place` stands for a path that is a secret."""
    _log.error("%s %s failed", request.method, place or request.url.path, exc_info=error)
    return failed(InternalError("The server failed to answer.", hint="Its log says why."))


async def refused(request: Request, error: Exception) -> Response:
    """The answer for what routing itself refuses: unknown paths and methods."""
    allowed = error.headers.get("Allow", "") if isinstance(error, HTTPException) and error.headers else ""
    place = f"{request.method} {request.url.path}"
    if allowed:
        return failed(MethodNotAllowed(f"There is no {place}.", hint=f"This path knows {allowed}."), {"allow": allowed})
    return failed(NoSuchRoute(f"There is no {place}.", hint="GET /v1/openapi.json lists what there is."))
