"""A run's projection as an HTTP response: live, cut where it is not over, ended where the run waits for a person."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentflow.app import Agentflow
from agentflow.app.following import LAST, SILENCE
from agentflow.app.rebuild import Rebuilt, load
from agentflow.errors import StreamError, StreamUnavailable
from agentflow.records import RunState
from agentflow.server.frames import HEADERS, HEARTBEAT
from agentflow.server.projections.ai_sdk import Projection
from agentflow.server.projections.ai_sdk_parts import Chunk
from agentflow.server.projections.ai_sdk_reply import DONE, Begin, Reply, encoded
from agentflow.server.pulse import Pulse
from agentflow.server.stream import LONGEST
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.reader import StreamLost

_log = logging.getLogger("agentflow.server")
_AHEAD = 1_000
"""Events that are read before they are sent."""


class Telling:
    """A response in batches, as its run goes on."""

    def __init__(self, app: Agentflow, run_id: str, begin: Begin) -> None:
        self.run_id = run_id
        self._app = app
        self._begin = begin
        self._reply = Reply(run_id, begin)
        self._epoch: int | None = None

    async def batches(self) -> AsyncGenerator[bytes]:
        """Frames, to the end of the run or to where it waits for a person. Raises `StreamError` when they cannot go on."""
        yield encoded(self._reply.first())
        async with aclosing(together(whole(self._app, self.run_id))) as batches:
            async for batch in batches:
                chunks, over = await self._told(batch)
                yield encoded(chunks) + (DONE if over else b"")
                if over:
                    return

    async def _told(self, batch: Sequence[StoredEvent]) -> tuple[list[Chunk], bool]:
        """The chunks of a batch, or after a silence, and whether the response is over with them."""
        reply, chunks = self._reply, list[Chunk]()
        if batch:
            if self._epoch is None and reply.strays(batch[0]):
                return reply.lost(), True
            chunks, self._epoch = reply.more(batch), batch[-1].id.epoch
            if batch[-1].ended:
                return chunks, True
        # A worker that dies at this very moment does not say that its run waits.
        if (reply.waits if batch else reply.asks) and await self._is_parked():
            return [*chunks, *reply.pause()], True
        return chunks, False

    async def _is_parked(self) -> bool:
        """Whether the run waits still for an answer, as it said in that epoch: each time that it goes on is another one."""
        run = await self._app.runs.get(self.run_id)
        # Its log from the database is told in an epoch of its own.
        if run.state is not RunState.WAITING or self._epoch not in (run.epoch, Rebuilt(run, ()).start.epoch):
            return False
        # Of a run that it waits for the answer may be given, and not told yet.
        return any(one.id in self._reply.asks for one in await self._app.runs.asked_of(self.run_id))


async def whole(app: Agentflow, run_id: str) -> AsyncGenerator[StoredEvent]:
    """All events of a run, live. Where its stream has lost its beginning, what is recorded takes its place."""
    try:
        async with aclosing(_streamed(app, run_id)) as events:
            async for event in events:
                yield event
    except _Gone as gone:
        async with aclosing(_recorded(app, run_id, gone.tail)) as events:
            async for event in events:
                yield event


class _Gone(Exception):
    """The beginning of a stream is lost; it goes on after `tail`."""

    def __init__(self, tail: str) -> None:
        super().__init__()
        self.tail = tail


async def _streamed(app: Agentflow, run_id: str) -> AsyncGenerator[StoredEvent]:
    said = False
    if await _is_silent(app, run_id):
        raise _Gone("")
    try:
        async with aclosing(_followed(app, run_id, None)) as events:
            async for event in events:
                if not said and event.type in LAST and event.id.epoch > 0:
                    raise _Gone("")
                if not said and event.type == "run.attempt":
                    for known in await _before(app, run_id, event):
                        yield known
                said = True
                yield event
    except StreamLost as lost:
        if said:
            raise
        raise _Gone(lost.details["tail"]) from lost


async def _is_silent(app: Agentflow, run_id: str) -> bool:
    """Whether a run waits of which Redis knows nothing: it will say nothing before it goes on."""
    with suppress(StreamUnavailable):
        return await app.streams.tail(run_id) is None and (await app.runs.get(run_id)).state is RunState.WAITING
    return False


async def _recorded(app: Agentflow, run_id: str, tail: str) -> AsyncGenerator[StoredEvent]:
    rebuilt = await app.database.read(load(run_id))
    for event in rebuilt.events:
        yield event
    if not rebuilt.run.state.terminal:
        async with aclosing(_followed(app, run_id, Cursor.parse(tail) if tail else None)) as events:
            async for event in events:
                yield event


async def _before(app: Agentflow, run_id: str, first: StoredEvent) -> list[StoredEvent]:
    """What is recorded of a run from before the first event that its stream still has, in an epoch before all others."""
    known = (await app.database.read(load(run_id))).events
    earlier = [one for one in known if one.ts < first.ts and one.type not in LAST]
    return [StoredEvent(Cursor(0, number), one.ts, one.event) for number, one in enumerate(earlier, start=1)]


async def _followed(app: Agentflow, run_id: str, after: Cursor | None) -> AsyncGenerator[StoredEvent]:
    async for event in app.runs.events(run_id, after):
        yield event


async def together(events: AsyncGenerator[StoredEvent]) -> AsyncGenerator[Sequence[StoredEvent]]:
    """Events, all that are there at one moment at once; none after a silence."""
    here: asyncio.Queue[StoredEvent | None] = asyncio.Queue(_AHEAD)

    async def pump() -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    await here.put(event)
        except Exception:
            await here.put(None)
            raise
        # Not in a `finally`: when it is cancelled nobody takes any more, and it would wait for room.
        await here.put(None)

    work = asyncio.get_running_loop().create_task(pump())
    try:
        batch: list[StoredEvent] = []
        while True:
            if here.empty():
                yield batch
                batch = []
            with suppress(TimeoutError):
                event = await asyncio.wait_for(here.get(), SILENCE) if here.empty() else here.get_nowait()
                if event is None:
                    break
                batch.append(event)
        if batch:
            yield batch
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def counted(app: Agentflow, run_id: str, begin: Begin) -> int:
    """How many chunks a response has by now that begins there; 0 where the run's stream cannot tell."""
    projection, after = Projection(run_id, begin.sdk, thoughts=begin.thoughts), begin.after
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

    def tick(self, now: float, heartbeat: float, rotation: float = 0.0) -> Coroutine[Any, Any, None] | None:
        # Nobody is asked to come back elsewhere: for these clients that is a broken connection.
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
