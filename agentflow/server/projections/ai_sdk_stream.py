"""A run's projection as an HTTP response: live, cut where it is not over, ended where the run waits for a person."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentflow.app import Agentflow
from agentflow.app.following import LAST
from agentflow.app.rebuild import load
from agentflow.errors import StreamError
from agentflow.records import RunState
from agentflow.server.frames import HEADERS, HEARTBEAT, merged
from agentflow.server.projections.ai_sdk import Projection
from agentflow.server.projections.ai_sdk_parts import Chunk
from agentflow.server.pulse import Pulse
from agentflow.server.stream import LONGEST
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.reader import StreamLost

_log = logging.getLogger("agentflow.server")
_DONE = b"data: [DONE]\n\n"
_AHEAD = 1_000
"""Events that are read before they are sent."""
LOST = "The stream of this answer was lost; load the conversation again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Where a response begins: at chunk `skip` of the run's projection, unmerged, or behind the event `after`, for a reader that has seen
    the message up to there. Without both it is the whole message, with what is said already in few pieces."""

    sdk: int = 7
    skip: int | None = None
    after: Cursor | None = None


class Telling:
    """The chunks of one response, in batches."""

    def __init__(self, app: Agentflow, run_id: str, begin: Begin) -> None:
        self.run_id = run_id
        self._app = app
        self._begin = begin
        self._projection = Projection(run_id, begin.sdk)
        self._skip = begin.skip or 0

    async def batches(self) -> AsyncGenerator[bytes]:
        """Frames, to the end of the run or to where it waits for a person. Raises `StreamError` when they cannot go on."""
        yield self._frames(self._projection.begin())
        async with aclosing(together(self._events())) as batches:
            async for batch in batches:
                if self._is_elsewhere(batch[0]):
                    yield self._frames([{"type": "error", "errorText": LOST}, {"type": "finish", "finishReason": "error"}]) + _DONE
                    return
                chunks = self._project(batch if self._begin.skip is not None else merged(batch))
                over = batch[-1].ended
                if self._projection.waits and await self._is_parked(batch[-1].id.epoch):
                    chunks += self._counted(self._projection.pause())
                    over = True
                yield self._encoded(chunks) + (_DONE if over else b"")
                if over:
                    return

    def _project(self, batch: Sequence[StoredEvent]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in batch:
            told = self._projection.apply(event)
            if self._begin.after is None or event.id > self._begin.after:
                chunks += self._counted(told)
        return chunks

    def _frames(self, chunks: list[Chunk]) -> bytes:
        return self._encoded(self._counted(chunks))

    def _counted(self, chunks: list[Chunk]) -> list[Chunk]:
        """Those chunks that the reader has not had."""
        had = min(self._skip, len(chunks))
        self._skip -= had
        return chunks[had:]

    def _encoded(self, chunks: Sequence[Chunk]) -> bytes:
        return b"".join(b"data: %b\n\n" % to_json(chunk, inf_nan_mode="null", fallback=str) for chunk in chunks)

    def _events(self) -> AsyncGenerator[StoredEvent]:
        return whole(self._app, self.run_id) if self._begin.after is None else _followed(self._app, self.run_id, None)

    def _is_elsewhere(self, event: StoredEvent) -> bool:
        """Whether this is the first event of a log that is not the one in which the reader has a place."""
        placed = self._begin.after is not None or bool(self._skip)
        return placed and event.type in ("run.queued", "run.started") and event.id.epoch > 1

    async def _is_parked(self, epoch: int) -> bool:
        """Whether the run waits still, as it said in that epoch: each time that it goes on is another one."""
        run = await self._app.runs.get(self.run_id)
        return run.state is RunState.WAITING and run.epoch == epoch


async def whole(app: Agentflow, run_id: str) -> AsyncGenerator[StoredEvent]:
    """All events of a run, live. What its stream has lost, while the run goes on, is taken from the database as far as it is recorded."""
    said = False
    try:
        async with aclosing(_followed(app, run_id, None)) as events:
            async for event in events:
                if not said and event.type == "run.attempt":
                    for known in await _recorded(app, run_id):
                        yield known
                said = True
                yield event
    except StreamLost as lost:
        if said:
            raise
        tail = lost.details["tail"]
    else:
        return
    async with aclosing(_rest(app, run_id, Cursor.parse(tail) if tail else None)) as events:
        async for event in events:
            yield event


async def _recorded(app: Agentflow, run_id: str) -> list[StoredEvent]:
    """What is recorded of a run, without its end."""
    return [event for event in (await app.database.read(load(run_id))).events if event.type not in LAST]


async def _rest(app: Agentflow, run_id: str, tail: Cursor | None) -> AsyncGenerator[StoredEvent]:
    """What is recorded of a run whose stream is gone, and what it says from here on."""
    rebuilt = await app.database.read(load(run_id))
    for event in rebuilt.events:
        yield event
    if not rebuilt.run.state.terminal:
        async with aclosing(_followed(app, run_id, tail)) as events:
            async for event in events:
                yield event


async def _followed(app: Agentflow, run_id: str, after: Cursor | None) -> AsyncGenerator[StoredEvent]:
    async for event in app.runs.events(run_id, after):
        yield event


async def together(events: AsyncGenerator[StoredEvent]) -> AsyncGenerator[Sequence[StoredEvent]]:
    """Events, all that are there at one moment at once."""
    here: asyncio.Queue[StoredEvent | None] = asyncio.Queue(_AHEAD)

    async def pump() -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    await here.put(event)
        except Exception:
            await here.put(None)
            raise
        await here.put(None)

    work = asyncio.get_running_loop().create_task(pump())
    try:
        batch: list[StoredEvent] = []
        while (event := await here.get()) is not None:
            batch.append(event)
            if here.empty():
                yield batch
                batch = []
        if batch:
            yield batch
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def counted(app: Agentflow, run_id: str, begin: Begin) -> int:
    """How many chunks a response has by now that begins there; 0 where the run's stream cannot tell."""
    projection, after = Projection(run_id, begin.sdk), begin.after
    chunks, position = len(projection.begin()), None
    try:
        while page := await app.streams.read(run_id, position):
            told = [(event.id, projection.apply(event)) for event in page]
            chunks += sum(len(one) for id, one in told if after is None or id > after)
            position = page[-1].id
    except StreamError:
        return 0
    return chunks


class ChatStream(Response):
    """Answers with a UI message stream."""

    def __init__(self, telling: Telling, pulse: Pulse, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [*HEADERS, *headers]
        self._telling = telling
        self._pulse = pulse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await _Connection(self._telling, send).serve(receive, self._pulse)


class _Connection:
    """One open response. It is ended only where the protocol's last chunk was sent: whatever else ends it cuts it, for a client takes a
    clean end to be the end of the answer, and comes back after a cut."""

    def __init__(self, telling: Telling, send: Send) -> None:
        self._telling = telling
        self._send = send
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._began = self._sent = self._loop.time()
        self._work: asyncio.Task[None] | None = None

    @property
    def run_id(self) -> str:
        return self._telling.run_id

    async def serve(self, receive: Receive, pulse: Pulse) -> None:
        work = self._work = self._loop.create_task(self._tell())
        leaving = self._loop.create_task(self._listen(receive))
        pulse.enter(self)
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pulse.leave(self)
            work.cancel()
            leaving.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.error("The chat stream of %s broke", self.run_id, exc_info=error)

    async def _tell(self) -> None:
        async with aclosing(self._telling.batches()) as batches:
            async for batch in batches:
                await self._write(batch)
        async with self._turn:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _write(self, chunk: bytes) -> None:
        async with self._turn:
            if chunk:
                self._began = self._loop.time()
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._sent = self._loop.time()

    def tick(self, now: float, heartbeat: float) -> Coroutine[Any, Any, None] | None:
        if self._turn.locked():
            if now - self._began > LONGEST:
                self.stop("slow")
        elif now - self._sent >= heartbeat:
            return self._write(HEARTBEAT)
        return None

    def doubts(self, now: float) -> bool:
        return False  # Its source looks by itself.

    def looked(self, *, ended: bool) -> None:
        """Nobody is asked to look for it."""

    def stop(self, reason: str) -> None:
        if self._work is not None:
            self._work.cancel()
