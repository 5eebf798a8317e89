"""The durable-streams protocol under `/v1/stream`: streams by name, and runs as streams that are only read."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentflow.server import needs
from agentflow.server.calls import Call, Operation, Service, read_body
from agentflow.server.errors import Forbidden, MethodNotAllowed, NoSuchRoute, RequestError, failed
from agentflow.server.frames import Framing, parse_types
from agentflow.server.needs import Need
from agentflow.server.projections.durable_streams_answers import CLOSED, NEXT, described, empty, polled, secured, told
from agentflow.server.projections.durable_streams_live import EventsOfStream, followed
from agentflow.server.projections.durable_streams_offsets import cursor, place_of, written
from agentflow.server.projections.durable_streams_requests import PREFIX, addition, draft, is_reserved
from agentflow.server.projections.durable_streams_runs import RunView
from agentflow.server.projections.durable_streams_source import Source
from agentflow.server.projections.durable_streams_user import UserStream, facts
from agentflow.server.requests import Nothing
from agentflow.streams.durable.records import JSON, Place, Producer, Standing, Verdict, kind

_Call = Call[Nothing, Nothing]
_MODES = (None, "long-poll", "sse")
_LONGEST_PATH = 1_024


class StreamConflict(RequestError):
    """The stream is not as the request takes it to be."""

    code = "stream_conflict"
    http_status = 409


class StaleProducer(RequestError):
    """The producer has written under a higher epoch since."""

    code = "stale_producer"
    http_status = 403


async def create_stream(call: _Call) -> Response:
    """201 with a new stream; 200 where there is one that is the same."""
    path = _path(call)
    wanted = draft(call.request, await read_body(call.request, call.service.max_body))
    standing, made = await call.app.streams.durable.create(path, wanted)
    if not made and not standing.fits(wanted):
        raise StreamConflict(f"There is another stream {path}.", hint="Delete that one, or ask for what it is.", path=path)
    url, headers = call.request.url, {"content-type": standing.media, **_end(standing), **dict(facts(standing))}
    if made:
        headers["location"] = f"{url.scheme}://{url.netloc}{quote(str(call.request.scope['path']))}"
    return empty(201 if made else 200, headers)


async def append_to_stream(call: _Call) -> Response:
    """204, or 200 for a producer; 409 when the stream is closed, of another type, or somebody wrote before."""
    path = _path(call)
    _unasked(call)
    wanted = addition(call.request, await read_body(call.request, call.service.max_body))
    verdict = await call.app.streams.durable.append(path, wanted)
    return _accepted(verdict, wanted.producer) or _refused(path, verdict, wanted.producer)


async def delete_stream(call: _Call) -> Response:
    """204 once it is gone."""
    await call.app.streams.durable.delete(_path(call))
    return empty(204, {})


async def read_stream(call: _Call) -> Response:
    """What follows an offset; with `live` also what comes."""
    return await _read(call, UserStream(call.app.streams.durable, _path(call)))


async def read_run(call: _Call) -> Response:
    """The events of a run after an offset; with `live` also those that come. `types` chooses some, as in the native stream."""
    return await _read(call, RunView(call.app, call.id, Framing(parse_types(call.request.query_params.get("types")), call.caller.thoughts)))


async def write_run(call: _Call) -> Response:
    """405: only the run itself writes its stream."""
    error = MethodNotAllowed("The stream of a run is only read.", hint="Send data to a stream of another name, or an input to the run.")
    return failed(error, {"allow": "GET, HEAD"})


async def _read(call: _Call, source: Source) -> Response:
    request = call.request
    place, live = _offset(request), request.query_params.get("live")
    if request.method == "HEAD":
        return described(await source.look())
    if live not in _MODES:
        raise RequestError(f"There is no mode {live!r}.", hint="Ask for live=long-poll or live=sse.")
    found = await source.slice(place)
    given = request.query_params.get("cursor")
    if live is not None:
        call.service.pulse.admit()
    if live == "sse":
        return EventsOfStream(source, found, call.service.pulse, call.app.clock, given)
    if live == "long-poll":
        if not found.messages and not found.closed:
            found = await followed(source, found, request, call.service.pulse)
        return polled(found, cursor(call.app.clock.now(), given))
    return told(request, found, now=place is None)


def _offset(request: Request) -> Place | None:
    offsets = request.query_params.getlist("offset")
    if len(offsets) > 1:
        raise RequestError("There are several offsets.", hint="Send one.")
    if not offsets and "live" in request.query_params:
        raise RequestError("A live read needs an offset.", hint="Send offset=-1 for the start, or offset=now.")
    return place_of(offsets[0] if offsets else None)


def _path(call: _Call) -> str:
    path = str(call.request.path_params["path"])
    if is_reserved(path):
        raise NoSuchRoute(f"There is no stream {path!r}.", hint="Streams of runs are at /v1/stream/runs/{id}; other names are free.")
    if len(path) > _LONGEST_PATH:
        raise RequestError("The path of the stream is too long.", hint=f"It may have {_LONGEST_PATH} characters.")
    return path


def _unasked(call: _Call) -> None:
    """Without a key, what a web page of others may send without asking first is refused."""
    origin = call.request.headers.get("origin")
    if call.service.keys or origin is None or kind(call.request.headers.get("content-type", "")) == JSON:
        return
    if urlsplit(origin).netloc != call.request.headers.get("host"):
        raise Forbidden("A page of another origin may not write here.", hint="Give the server an API key, and send it.")


def _accepted(verdict: Verdict, producer: Producer | None) -> Response | None:
    if verdict.outcome not in ("written", "closing", "already", "duplicate"):
        return None
    headers = _reached(verdict)
    if producer is not None:
        headers |= {"producer-epoch": str(producer.epoch), "producer-seq": str(verdict.detail)}
    return empty(200 if producer is not None and verdict.outcome == "written" else 204, headers)


def _refused(path: str, verdict: Verdict, producer: Producer | None) -> Response:
    if verdict.outcome == "stale":
        error = StaleProducer("A newer epoch of this producer has written.", hint="Stop, or go on with a higher epoch from 0.")
        return failed(error, {"producer-epoch": str(verdict.detail)})
    if verdict.outcome == "restart":
        raise RequestError("A new epoch of a producer begins at 0.", hint="Send Producer-Seq: 0 first.")
    message, hint = _CONFLICTS[verdict.outcome]
    headers = _reached(verdict)
    if verdict.outcome == "gap" and producer is not None:
        headers |= {"producer-expected-seq": str(verdict.detail), "producer-received-seq": str(producer.number)}
    return failed(StreamConflict(message, hint=hint, path=path), headers)


_CONFLICTS = {
    "closed": ("The stream is closed.", "Read it to its end; nothing can be added."),
    "media": ("The stream is of another content type.", "Send the one that HEAD tells."),
    "order": ("Stream-Seq is not above the last one.", "Somebody wrote before: read what, then send a higher one."),
    "gap": ("Something of this producer is missing.", "Send what comes before: Producer-Expected-Seq says which."),
}


def _reached(verdict: Verdict) -> dict[str, str]:
    return {NEXT: written(verdict.end), **({CLOSED: "true"} if verdict.closed else {})}


def _end(standing: Standing) -> dict[str, str]:
    return {NEXT: written(standing.end), **({CLOSED: "true"} if standing.closed else {})}


_RUN = f"{PREFIX}runs/{{id}}"
_STREAM = f"{PREFIX}{{path:path}}"


def _operation(method: str, path: str, handler: Any, summary: str, needed: Need = needs.KEY) -> Operation:
    return Operation(method=method, path=path, handler=handler, needs=needed, summary=summary, answer=None, raw=True)


OPERATIONS = (
    _operation("GET", _RUN, read_run, "Read a run as a durable stream", needs.READ_ONE),
    *(_operation(method, _RUN, write_run, "Refuse to write to a run") for method in ("PUT", "POST", "DELETE")),
    _operation("GET", _STREAM, read_stream, "Read a durable stream"),
    _operation("PUT", _STREAM, create_stream, "Create a durable stream"),
    _operation("POST", _STREAM, append_to_stream, "Append to a durable stream, or close it"),
    _operation("DELETE", _STREAM, delete_stream, "Delete a durable stream"),
)


def routes(service: Service) -> list[Route]:
    """The routes of the protocol; its own documents describe it, not ours."""
    return [_route(service, path) for path in (_RUN, _STREAM)]


def _route(service: Service, path: str) -> Route:
    methods = {one.method: one for one in OPERATIONS if one.path == path}

    async def endpoint(request: Request) -> Response:
        operation = methods["GET" if request.method == "HEAD" else request.method]
        return secured(await operation.answered(service, request))

    return Route(path, endpoint, methods=list(methods), name=path)
