"""Readers of durable streams that wait: long polls, and streams of server-sent events."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentflow.clock import Clock
from agentflow.errors import AgentflowError
from agentflow.server.frames import HEADERS, HEARTBEAT
from agentflow.server.projections.durable_streams_answers import secured
from agentflow.server.projections.durable_streams_offsets import cursor, written
from agentflow.server.projections.durable_streams_source import Slice, Source
from agentflow.server.pulse import Pulse

ROTATE = 60.0
"""Seconds until a stream of events ends, and its reader comes back: so caches in between can join readers."""
_SLOW = 30.0
_LINE = re.compile(rb"\r\n|\n|\r")


class Waiting:
    """A reader that waits, as the pulse sees it."""

    run_id = None

    def __init__(self, work: asyncio.Task[Any]) -> None:
        self._work = work

    def tick(self, now: float, heartbeat: float, rotation: float) -> Coroutine[Any, Any, None] | None:
        return None

    def doubts(self, now: float) -> bool:
        # Whoever comes back is told how the run ended: nobody waits for longer than a minute.
        return False

    def looked(self, *, ended: bool) -> None:
        return None

    def stop(self, reason: str) -> None:
        self._work.cancel()


async def followed(source: Source, last: Slice, request: Request, pulse: Pulse) -> Slice:
    """What follows a slice, or it again when nothing does for a while, the reader left, or the server stops. Raises as `slice` does."""
    work = asyncio.create_task(_next(source, last))
    leaving = asyncio.create_task(_gone(request.receive))
    waiting = Waiting(work)
    pulse.enter(waiting)
    try:
        await asyncio.wait({work, leaving}, timeout=pulse.pace.long_poll, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pulse.leave(waiting)
        work.cancel()
        leaving.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)
    return (None if work.cancelled() else work.result()) or last


async def _next(source: Source, last: Slice) -> Slice | None:
    async with aclosing(source.follow(last)) as slices:
        return await anext(slices, None)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventsOfStream(Response):
    """A slice and what follows it as server-sent events: each `data` with a `control` that says where the reader is then."""

    def __init__(self, source: Source, first: Slice, pulse: Pulse, clock: Clock, given: str | None) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(HEADERS)
        if not first.is_text:
            self.headers["stream-sse-data-encoding"] = "base64"
        secured(self)
        self._source = source
        self._first = first
        self._pulse = pulse
        self._clock = clock
        self._cursor = cursor(clock.now(), given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        loop = asyncio.get_running_loop()
        connection = _Connection(send)
        work = loop.create_task(self._tell(connection))
        leaving = loop.create_task(_gone(receive))
        connection.work = work
        self._pulse.enter(connection)
        try:
            # Not all at one moment: readers that came together do not come back together.
            patience = min(ROTATE, self._pulse.pace.rotation) * random.uniform(0.9, 1.1)  # noqa: S311  (spreads reconnects)
            await asyncio.wait({work, leaving}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pulse.leave(connection)
            work.cancel()
            left = leaving.done()
            leaving.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)
        if not left and not connection.slow:
            await connection.end()
        if not work.cancelled():
            _check(work.exception())

    async def _tell(self, connection: _Connection) -> None:
        await connection.write(self._frames(self._first))
        if self._first.closed:
            return
        async with aclosing(self._source.follow(self._first)) as slices:
            async for one in slices:
                await connection.write(self._frames(one))

    def _frames(self, one: Slice) -> bytes:
        control: dict[str, Any] = {"streamNextOffset": written(one.next)}
        if not one.closed:
            self._cursor = max(self._cursor, cursor(self._clock.now(), None))
            control["streamCursor"] = str(self._cursor)
        if one.caught_up:
            control["upToDate"] = True
        if one.closed:
            control["streamClosed"] = True
        data = b"event: data\n%b\n" % _lines(one) if one.messages else b""
        # In one send: a reader that is cut off between them would take the data for new when it comes back.
        return b"%bevent: control\ndata:%b\n\n" % (data, to_json(control))


class _Connection(Waiting):
    """An open stream of events: its writer, and its heartbeat."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._began = self._sent = self._loop.time()
        self.work: asyncio.Task[None] | None = None
        self.slow = False

    async def write(self, chunk: bytes) -> None:
        async with self._turn:
            self._began = self._loop.time()
            try:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            except OSError:
                # Some servers tell of a reader that left only here.
                self.stop("gone")
            self._sent = self._loop.time()

    async def end(self) -> None:
        # A reader that does not read must not keep us from letting go of it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_SLOW), self._turn:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def tick(self, now: float, heartbeat: float, rotation: float) -> Coroutine[Any, Any, None] | None:
        if self._turn.locked():
            self.slow = now - self._began > _SLOW
            if self.slow:
                self.stop("slow")
        elif now - self._sent >= heartbeat:
            return self.write(HEARTBEAT)
        return None

    def stop(self, reason: str) -> None:
        if self.work is not None:
            self.work.cancel()


def _lines(one: Slice) -> bytes:
    body = one.body if one.is_text else base64.b64encode(one.body)
    # A reader takes one space after the colon away, so a line that begins with one needs another.
    return b"".join(b"data:%b%b\n" % (b" " if line.startswith(b" ") else b"", line) for line in _LINE.split(body))


def _check(error: BaseException | None) -> None:
    """The reader comes back and is told then; what is no error of ours is a defect."""
    if error is not None and not isinstance(error, AgentflowError):
        raise error
