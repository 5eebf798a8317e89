"""Answers of the durable-streams protocol: their headers, and a slice as a body."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from agentflow.server.projections.durable_streams_offsets import written
from agentflow.server.projections.durable_streams_source import Slice

NEXT = "stream-next-offset"
CLOSED = "stream-closed"
UP_TO_DATE = "stream-up-to-date"
CURSOR = "stream-cursor"

ASKED = (
    "If-None-Match",
    "Producer-Epoch",
    "Producer-Id",
    "Producer-Seq",
    "Stream-Closed",
    "Stream-Expires-At",
    "Stream-Fork-Offset",
    "Stream-Fork-Sub-Offset",
    "Stream-Forked-From",
    "Stream-Seq",
    "Stream-TTL",
)
"""Headers that a web page may send."""

TOLD = (
    "ETag",
    "Location",
    "Producer-Epoch",
    "Producer-Expected-Seq",
    "Producer-Received-Seq",
    "Producer-Seq",
    "Stream-Closed",
    "Stream-Cursor",
    "Stream-Expires-At",
    "Stream-Next-Offset",
    "Stream-SSE-Data-Encoding",
    "Stream-TTL",
    "Stream-Up-To-Date",
)
"""Headers that a web page may read."""

_HISTORY = "private, max-age=60, stale-while-revalidate=300"
_TAIL = "private, no-cache"
_NEVER = "no-store"


def secured(response: Response) -> Response:
    """An answer that no browser takes for what it is not."""
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["cross-origin-resource-policy"] = "cross-origin"
    return response


def empty(status: int, headers: dict[str, str]) -> Response:
    """An answer without a body."""
    return Response(status_code=status, headers=headers)


def described(found: Slice) -> Response:
    """The answer to HEAD."""
    headers = {"content-type": found.media, NEXT: written(found.next), "cache-control": _NEVER, **dict(found.facts)}
    if found.closed:
        headers[CLOSED] = "true"
    return empty(200, headers)


def told(request: Request, found: Slice, *, now: bool) -> Response:
    """The answer to a plain GET; `now`: of one that asked for the tail, wherever that is."""
    headers = _position(found)
    if now or found.fleeting:
        headers["cache-control"] = _NEVER
        return _whole(found, headers)
    headers["cache-control"] = _TAIL if found.caught_up else _HISTORY
    headers["etag"] = tag = _tag(found)
    if tag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
        return empty(304, headers)
    return _whole(found, headers)


def polled(found: Slice, cursor: int) -> Response:
    """The answer to a long poll: 204 when nothing came."""
    headers = _position(found)
    if not found.closed:
        headers[CURSOR] = str(cursor)
    headers["cache-control"] = _NEVER if found.fleeting or not found.messages else _HISTORY
    if not found.messages:
        return empty(204, headers)
    if not found.fleeting:
        headers["etag"] = _tag(found)
    return _whole(found, headers)


def _position(found: Slice) -> dict[str, str]:
    headers = {NEXT: written(found.next)}
    if found.caught_up:
        headers[UP_TO_DATE] = "true"
    if found.closed:
        headers[CLOSED] = "true"
    return headers


def _tag(found: Slice) -> str:
    # Not the same once the stream is closed: whoever has all the data must learn that there is no more.
    return f'"{found.identity}:{written(found.start)}:{written(found.next)}{":c" if found.closed else ""}"'


def _whole(found: Slice, headers: dict[str, str]) -> Response:
    return Response(found.body, headers={"content-type": found.media, **headers})
