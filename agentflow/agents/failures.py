"""Errors of model requests, as a step records them and as the loop around it knows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic_ai import exceptions
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_core import to_jsonable_python

from agentflow.errors import AgentflowError
from agentflow.retry import Retry

_FIELDS = ("body", "provider_error_code", "provider_error_type", "retry_after", "in_stream")
_OF_HTTP = ("status_code", "headers", "suggested_model_id", "hint")


class ModelFailed(AgentflowError):
    """How a model request failed, in a form that a journal keeps; `details` has the fields of pydantic-ai's error.

    Code around a request sees pydantic-ai's own error, live as on replay: a capability that falls back to another model asks for its type.
    """

    code = "model_failed"

    @classmethod
    def of(cls, error: ModelAPIError) -> ModelFailed:
        """The recorded form of `error`."""
        fields = {name: getattr(error, name, None) for name in _FIELDS}
        if isinstance(error, ModelHTTPError):
            fields |= {name: getattr(error, name) for name in _OF_HTTP}
        if isinstance(error, exceptions.ModelConnectionError):
            fields["phase"] = error.phase
        kept = {name: value for name, value in fields.items() if value not in (None, False)}
        plain: dict[str, Any] = to_jsonable_python(kept, fallback=str, bytes_mode="base64")
        return cls(f"{type(error).__name__}: {error}", error=_category(error), model=error.model_name, told=str(error), fields=plain)

    def restored(self) -> ModelAPIError:
        """The error that was raised."""
        fields, model = dict(self.details["fields"]), self.details["model"]
        kind: Any = getattr(exceptions, self.details["error"], ModelAPIError)
        if "status_code" not in fields:
            return kind(model, self.details["told"], **fields)
        return ModelHTTPError.for_category(None if kind is ModelHTTPError else kind, model_name=model, **fields)


def _category(error: ModelAPIError) -> str:
    """The public name that says what went wrong: an HTTP error is also of a category, in a class that is private."""
    public = [one for one in type(error).__mro__ if issubclass(one, ModelAPIError) and not one.__name__.startswith("_")]
    known = [one for one in public if getattr(exceptions, one.__name__, None) is one]
    return next((one for one in known if one is not ModelHTTPError and one is not ModelAPIError), known[0]).__name__


def of_requests(retry: Retry) -> Retry:
    """`retry`, asked about the error that the model raised and not about its recorded form."""

    def wants(error: BaseException) -> bool:
        return retry.wants(error.__cause__ or error if isinstance(error, ModelFailed) else error)

    return replace(retry, on=wants)


class ToolServerUnreachable(AgentflowError):
    """An MCP server did not take a connection: nothing was asked of it."""

    code = "tool_server_unreachable"


def unconnected(error: BaseException) -> bool:
    """Whether it failed before anything was sent; every transport of MCP says so in its own words."""
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, ConnectionRefusedError) or type(one).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        one = one.__cause__ or one.__context__
    return False
