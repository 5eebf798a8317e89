"""An event stream as an ASGI response of its own: one send per batch, and nothing is queued per reader."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentflow.errors import AgentflowError, RunNotFound
from agentflow.server.frames import HEADERS, HEARTBEAT, RETRY, notice
from agentflow.server.pulse import Pulse

_log = logging.getLogger("agentflow.server")

PATIENCE = 2.0
"""Seconds of silence until somebody looks whether the run has ended without a word; doubled at each look."""
LONGEST = 30.0
"""Seconds until a reader that does not read is let go, and the longest patience."""
_AGAIN = 2_000


class Source(Protocol):
    """What a reader is told. `run_id` is the run whose end is looked for when it falls silent."""

    @property
    def run_id(self) -> str: ...

    @property
    def ended(self) -> bool:
        """Whether nothing more will follow."""
        ...

    def chunks(self, *, live: bool) -> AsyncGenerator[bytes]:
        """Frames, as they come."""
        ...

    async def rest(self) -> bytes:
        """All that is left to say of a run that has ended."""
        ...


class EventStream(Response):
    """Answers with what a source tells until it ends, the reader leaves, or the server does."""

    def __init__(self, source: Source, pulse: Pulse, *, live: bool) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(HEADERS)
        self._source = source
        self._pulse = pulse
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await Connection(self._source, send, live=self._live).serve(receive, self._pulse)


class Connection:
    """One open stream."""

    def __init__(self, source: Source, send: Send, *, live: bool) -> None:
        self._source = source
        self._send = send
        self._live = live
        self._turn = asyncio.Lock()
        self._reason: str | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._began = self._sent = self._heard = self._loop.time()
        self._patience = PATIENCE
        self._suspected = False
        self._work: asyncio.Task[None] | None = None

    @property
    def run_id(self) -> str:
        return self._source.run_id

    async def serve(self, receive: Receive, pulse: Pulse) -> None:
        """Stream until somebody ends it; then say why, where there is somebody to hear it."""
        self._work = self._loop.create_task(self._follow())
        leaving = self._loop.create_task(self._listen(receive))
        pulse.enter(self)
        try:
            await asyncio.wait({self._work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pulse.leave(self)
            self._work.cancel()
            leaving.cancel()
            await asyncio.gather(self._work, leaving, return_exceptions=True)
        await self._finish(self._work)

    async def _follow(self) -> None:
        await self._write(RETRY)
        async with aclosing(self._source.chunks(live=self._live)) as chunks:
            async for chunk in chunks:
                await self._write(chunk)
                self._heard = self._sent
                self._patience, self._suspected = PATIENCE, False

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reason = "gone"

    async def _write(self, chunk: bytes) -> None:
        async with self._turn:
            if chunk and not self._closed:
                self._began = self._loop.time()
                try:
                    await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                except OSError:
                    # Some servers tell of a reader that left only here.
                    self.stop("gone")
                self._sent = self._loop.time()

    # -- what the pulse asks -------------------------------------------------------------------------------------------------------------

    def tick(self, now: float, heartbeat: float) -> Coroutine[Any, Any, None] | None:
        if self._turn.locked():
            if now - self._began > LONGEST:
                self.stop("slow")
        elif now - self._sent >= heartbeat:
            return self._write(HEARTBEAT)
        return None

    def doubts(self, now: float) -> bool:
        if not self._live or self._turn.locked() or now - self._heard < self._patience:
            return False
        self._heard = now
        self._patience = min(self._patience * 2, LONGEST)
        return True

    def looked(self, *, ended: bool) -> None:
        # Its `end` may be on its way at this very moment: only the second look counts.
        if ended and self._suspected:
            self.stop("ended")
        elif ended:
            self._suspected, self._patience = True, 1.0

    def stop(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._work is not None:
            self._work.cancel()

    # -- its end -------------------------------------------------------------------------------------------------------------------------

    async def _finish(self, work: asyncio.Task[None]) -> None:
        if self._reason in ("gone", "slow"):
            self._closed = True
            return
        error = None if work.cancelled() else work.exception()
        try:
            last = await self._last_words(error)
        except AgentflowError as fault:
            last = await self._last_words(fault)
        await self._write(last)
        async with self._turn:
            self._closed = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _last_words(self, error: BaseException | None) -> bytes:
        if self._reason == "deleted" or isinstance(error, RunNotFound):
            return notice({"type": "end", "status": "deleted"})
        if error is not None:
            _log.error("The stream of %s broke", self.run_id, exc_info=error)
            return notice({"type": "sync.reconnect", "reason": "error", "after_ms": _AGAIN})
        if self._source.ended:
            return b""
        if self._reason == "ended":
            return await self._source.rest()
        if self._reason == "drain":
            return notice({"type": "sync.reconnect", "reason": "drain", "after_ms": random.randrange(_AGAIN)})  # noqa: S311 (spreads readers)
        return b""
