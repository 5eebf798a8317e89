"""A request on its way to its handler: who may come in, and what it brings."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.errors import AgentflowError
from agentflow.server.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    RequestError,
    Unauthorized,
    UnsupportedMediaType,
    failed,
    unexpected,
)
from agentflow.server.index import Index
from agentflow.server.pulse import Pulse
from agentflow.server.requests import Nothing

Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What every handler works with. `max_body` is in bytes; `hosts`, where given, are the only names the server answers to."""

    app: Agentflow
    pulse: Pulse
    index: Index
    api_key: str | None = None
    hosts: frozenset[str] = frozenset()
    max_body: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call(Generic[Body, Query]):
    """A request that was let in and understood."""

    service: Service
    request: Request
    body: Body
    query: Query

    @property
    def app(self) -> Agentflow:
        """The app that is served."""
        return self.service.app

    @property
    def id(self) -> str:
        """The id in the path."""
        return str(self.request.path_params["id"])


Handler = Callable[[Call[Any, Any]], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route and what the OpenAPI document says of it. `problems` are the statuses it may fail with beside those all share."""

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[BaseModel] | None
    body: type[BaseModel] = Nothing
    query: type[BaseModel] = Nothing
    statuses: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    open: bool = False

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document."""
        return self.handler.__name__

    async def answered(self, service: Service, request: Request) -> Response:
        """The answer to a request, whatever happens."""
        try:
            _admit(service, self, request)
            query = _query(request, self.query)
            body = await _body(request, self.body, service.max_body)
            return await self.handler(Call(service, request, body, query))
        except AgentflowError as error:
            return failed(error)
        except Exception as error:  # noqa: BLE001 - a defect is told in the one shape, too
            return unexpected(error, request)


def answer(model: BaseModel, status: int = 200) -> Response:
    """A model as JSON."""
    return Response(model.model_dump_json(by_alias=True), status, media_type="application/json")


def _admit(service: Service, operation: Operation, request: Request) -> None:
    if service.hosts and request.url.hostname not in service.hosts:
        raise Forbidden(
            f"This server does not answer to {request.url.hostname!r}.",
            hint=f"Use {', '.join(sorted(service.hosts))}, or give the server an API key.",
        )
    if service.api_key is None or operation.open:
        return
    # Headers come as latin-1: this gives back the bytes that were sent.
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), service.api_key.encode()):
        raise Unauthorized("The API key is missing or wrong.", hint="Send it as `Authorization: Bearer <key>`.")


def _query(request: Request, model: type[Model]) -> Model:
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise InvalidRequest.of(error, "query") from None


async def _body(request: Request, model: type[Model], limit: int) -> Model:
    if request.method != "POST":
        return model.model_construct()
    text = await _read(request, limit)
    if not text.strip():
        text = b"{}"
    # What a web page of others may send without asking first is never said to be JSON.
    elif request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("The body is not said to be JSON.", hint="Send `Content-Type: application/json`.")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise RequestError(f"The body is not JSON: {error.errors()[0]['msg']}.", hint="Send one JSON object.") from None
        raise InvalidRequest.of(error, "body") from None


async def _read(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(
                f"The body is longer than {limit} bytes.", hint="Store large values elsewhere and send a reference.", limit=limit
            )
        parts.append(part)
    return b"".join(parts)
