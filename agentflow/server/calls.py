"""A request on its way to its handler: who may come in, and what it brings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from agentflow.app import Agentflow
from agentflow.auth.keys import ApiKeys
from agentflow.errors import AgentflowError
from agentflow.server.callers import NOBODY, Caller, identified
from agentflow.server.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    NoSuchRoute,
    RequestError,
    UnsupportedMediaType,
    failed,
    unexpected,
)
from agentflow.server.index import Index
from agentflow.server.needs import Need
from agentflow.server.prompt_feed import PromptFeeds
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
    prompts: PromptFeeds
    keys: ApiKeys = field(default_factory=ApiKeys)
    hosts: frozenset[str] = frozenset()
    max_body: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call(Generic[Body, Query]):
    """A request that was let in and understood."""

    service: Service
    request: Request
    body: Body
    query: Query
    caller: Caller

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
    """A route, what it `needs` of its caller, and what the OpenAPI document says of it.

    `later` is what a 202 answers with; `problems` are the statuses it may fail with beside those all share. `raw`: the handler reads query
    and body itself, for a protocol that is not ours. `takes`: the media type of a body that is no JSON and that the handler reads itself.
    """

    method: str
    path: str
    handler: Handler
    needs: Need
    summary: str
    answer: type[BaseModel] | None
    later: type[BaseModel] | None = None
    body: type[BaseModel] = Nothing
    query: type[BaseModel] = Nothing
    statuses: tuple[int, ...] = (200,)
    problems: tuple[int, ...] = ()
    media: str = "application/json"
    headers: tuple[str, ...] = ()
    raw: bool = False
    takes: str | None = None

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document."""
        return self.handler.__name__

    async def answered(self, service: Service, request: Request) -> Response:
        """The answer to a request, whatever happens."""
        try:
            caller = await self._caller(service, request)
            if any("\x00" in str(one) for one in request.path_params.values()):
                # No database stores it in a text, so nothing has such a name.
                raise NoSuchRoute("There is nothing at this path.", hint="GET /v1/openapi.json lists what there is.")
            if self.raw:
                call = Call(service, request, Nothing(), Nothing(), caller)
                await self.needs.permit(call)
                return await self.handler(call)
            query = _query(request, self.query)
            body = await self._read(request, service.max_body)
            call = Call(service, request, body, query, caller)
            await self.needs.permit(call)
            return await self.handler(call)
        except AgentflowError as error:
            return failed(error)
        except Exception as error:  # noqa: BLE001 - a defect is told in the one shape, too
            return unexpected(error, request)

    async def _read(self, request: Request, limit: int) -> BaseModel:
        if self.takes is None:
            return await _body(request, self.body, limit)
        if _media_of(request) != self.takes:
            raise UnsupportedMediaType(f"The body is not said to be {self.takes}.", hint=f"Send `Content-Type: {self.takes}`.")
        return Nothing()

    async def _caller(self, service: Service, request: Request) -> Caller:
        check_host(service, request)
        if self.needs.open:
            return NOBODY
        return await identified(service.app, service.keys, request, by_ticket=self.needs.tickets)


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A model as JSON."""
    return Response(model.model_dump_json(by_alias=True), status, headers=headers, media_type="application/json")


def tagged(request: Request, model: BaseModel) -> Response:
    """A model as JSON with an ETag of all that it says; nothing, when the caller has it already."""
    body = model.model_dump_json(by_alias=True)
    tag = f'"{blake2b(body.encode("utf-8", "replace"), digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def check_host(service: Service, request: Request) -> None:
    """Raise `Forbidden` for a name that the server does not answer to."""
    if service.hosts and request.url.hostname not in service.hosts:
        raise Forbidden(
            f"This server does not answer to {request.url.hostname!r}.",
            hint=f"Use {', '.join(sorted(service.hosts))}, or give the server an API key.",
        )


def _query(request: Request, model: type[Model]) -> Model:
    named = [name for name, _ in request.query_params.multi_items()]
    if len(set(named)) < len(named):
        twice = sorted({name for name in named if named.count(name) > 1})
        problems = [{"at": name, "problem": "Should be there once"} for name in twice]
        raise InvalidRequest(f"The query has {', '.join(twice)} more than once.", hint="Send each parameter once.", problems=problems)
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise InvalidRequest.of(error, "query") from None


async def _body(request: Request, model: type[Model], limit: int) -> Model:
    if request.method != "POST":
        return model.model_construct()
    text = await read_body(request, limit)
    if not text.strip():
        text = b"{}"
    # What a web page of others may send without asking first is never said to be JSON.
    elif _media_of(request) != "application/json":
        raise UnsupportedMediaType("The body is not said to be JSON.", hint="Send `Content-Type: application/json`.")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise RequestError(f"The body is not JSON: {error.errors()[0]['msg']}.", hint="Send one JSON object.") from None
        raise InvalidRequest.of(error, "body") from None


def _media_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limit: int) -> bytes:
    """The bytes of a body. Raises `BodyTooLarge`."""
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
