"""What requests of the durable-streams protocol say in their headers and bodies."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import unquote

from starlette.requests import Request

from agentflow.server.errors import RequestError
from agentflow.server.projections.durable_streams_offsets import place_of
from agentflow.streams.durable.records import JSON, Addition, Draft, Fork, Producer, kind

PREFIX = "/v1/stream/"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MOST = 2**53 - 1
_SPACE = b" \t\n\r"
_NAMES = ("producer-id", "producer-epoch", "producer-seq")


def draft(request: Request, body: bytes) -> Draft:
    """What a PUT is to make. Raises `RequestError`."""
    media = request.headers.get("content-type") or None
    fork = _fork(request)
    if fork is not None and body and media is None:
        raise RequestError("The body of a fork has no content type.", hint="Send that of its source.")
    ttl, expires = _ttl(request), request.headers.get("stream-expires-at", "")
    if ttl is not None and expires:
        raise RequestError("Stream-TTL and Stream-Expires-At exclude each other.", hint="Send one of them.")
    until = _until(expires) if expires else None
    payload = _payload(media or "", body, empty=True)
    return Draft(media=media, payload=payload, ttl=ttl, expires=expires, until=until, closed=_closes(request), fork=fork)


def addition(request: Request, body: bytes) -> Addition:
    """What a POST is to append. Raises `RequestError`."""
    close = _closes(request)
    media = request.headers.get("content-type", "")
    if not body and not close:
        raise RequestError("There is nothing to append.", hint="Send a body, or Stream-Closed: true to close the stream.")
    if body and not media:
        raise RequestError("The body has no content type.", hint="Send that of the stream.")
    return Addition(
        media=media,
        payload=_payload(media, body, empty=False) if body else b"",
        close=close,
        seq=request.headers.get("stream-seq", "").encode("latin-1"),
        producer=_producer(request),
    )


def _closes(request: Request) -> bool:
    return request.headers.get("stream-closed", "").strip().lower() == "true"


def _ttl(request: Request) -> int | None:
    text = request.headers.get("stream-ttl")
    return None if text is None else _whole(text, "Stream-TTL")


def _until(text: str) -> int:
    try:
        if _TIME.fullmatch(text):
            return int(datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp() * 1_000)
    except (ValueError, OverflowError):
        pass
    raise RequestError(f"Stream-Expires-At is no time: {text!r}.", hint="Write it like 2027-01-31T12:00:00Z.")


def _whole(text: str, name: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > _MOST:
        raise RequestError(f"{name} is not a whole number: {text!r}.", hint="Write digits only, without leading zeros.")
    return int(text)


def _producer(request: Request) -> Producer | None:
    given = [request.headers.get(name) for name in _NAMES]
    if given == [None, None, None]:
        return None
    id, epoch, number = given
    if not id or epoch is None or number is None:
        raise RequestError("A producer has an id, an epoch and a number.", hint="Send Producer-Id, Producer-Epoch and Producer-Seq.")
    return Producer(id, _whole(epoch, "Producer-Epoch"), _whole(number, "Producer-Seq"))


def _fork(request: Request) -> Fork | None:
    source, at, beyond = (request.headers.get(f"stream-{name}") for name in ("forked-from", "fork-offset", "fork-sub-offset"))
    if source is None:
        if at is not None or beyond is not None:
            raise RequestError("There is nothing to fork.", hint="Name the source: Stream-Forked-From: /v1/stream/path.")
        return None
    place = None if at is None else place_of(at)
    return Fork(_path(request, source), place, 0 if beyond is None else _whole(beyond, "Stream-Fork-Sub-Offset"))


def _path(request: Request, source: str) -> str:
    root = str(request.scope.get("root_path", ""))
    path = unquote(source).removeprefix(root)
    if not path.startswith(PREFIX) or is_reserved(path.removeprefix(PREFIX)):
        raise RequestError(f"{source!r} is not a stream that can be forked.", hint=f"Name one as {root}{PREFIX}path.")
    return path.removeprefix(PREFIX)


def is_reserved(path: str) -> bool:
    """Whether a path is nobody's to name: those of runs, and what the protocol keeps for itself."""
    return not path or path.partition("/")[0] in ("runs", "__ds")


def _payload(media: str, body: bytes, *, empty: bool) -> bytes:
    """What is stored: of JSON the messages, as they were written, with commas between them."""
    if kind(media) != JSON or not body:
        return body
    value = _json(body)
    if not isinstance(value, list):
        return body.strip(_SPACE)
    inner = body.strip(_SPACE)[1:-1].strip(_SPACE)
    if not inner and not empty:
        raise RequestError("An empty array appends nothing.", hint="Send at least one message.")
    return inner


def _json(body: bytes) -> Any:
    # Not pydantic's parser: it refuses halves of surrogate pairs, which JavaScript writes.
    try:
        return json.loads(body.decode(), parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError):
        raise RequestError("The body is not JSON.", hint="Send one value, or an array of messages.") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
