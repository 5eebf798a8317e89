"""One task for all open streams of a process: heartbeats, readers that do not read, runs whose `end` got lost, and the farewell."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from agentflow.app import Agentflow
from agentflow.errors import RunNotFound, StorageError
from agentflow.server.errors import TooManyStreams

_TICK = 0.5


class Beating(Protocol):
    """An open stream."""

    @property
    def run_id(self) -> str | None:
        """Whose stream it is; None for one of several runs."""
        ...

    def tick(self, now: float, heartbeat: float, rotation: float) -> Coroutine[Any, Any, None] | None:
        """What is to be done now, if anything."""
        ...

    def doubts(self, now: float) -> bool:
        """Whether it has been silent for so long that somebody should look whether the run has ended."""
        ...

    def looked(self, *, ended: bool) -> None:
        """Somebody looked."""
        ...

    def stop(self, reason: str) -> None:
        """End it; the reader is told why."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How streams are kept. `heartbeat`: seconds without a byte until a comment is sent; `rotation`: seconds until a reader is asked to

    come back, so that load spreads over servers that joined; `streams`: how many may be open in one process; `long_poll`: seconds that a
    long poll of a durable stream waits.
    """

    heartbeat: float = 10.0
    rotation: float = 900.0
    streams: int = 5_000
    long_poll: float = 25.0


class Pulse:
    """Keeps the streams of a process alive."""

    def __init__(self, app: Agentflow, pace: Pace) -> None:
        self._app = app
        self.pace = pace
        self._open: set[Beating] = set()
        self._task: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._draining = False

    def admit(self) -> None:
        """Raise `TooManyStreams` when no more can be opened here."""
        if len(self._open) >= self.pace.streams:
            raise TooManyStreams(
                f"This server has {len(self._open)} open streams, and takes no more.",
                hint="Try again in some seconds, or start more server processes.",
            )

    def enter(self, stream: Beating) -> None:
        """A stream opened."""
        self._open.add(stream)
        if self._draining:
            stream.stop("drain")
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._beat(), name="agentflow-pulse")

    def leave(self, stream: Beating) -> None:
        """A stream closed."""
        self._open.discard(stream)
        if not self._open and self._task is not None:
            self._task.cancel()
            self._task = None

    def drain(self) -> None:
        """The server stops: every reader is told to come back, and no stream is opened any more."""
        self._draining = True
        for stream in tuple(self._open):
            stream.stop("drain")

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_TICK, self.pace.heartbeat / 4))
            if _leaving():
                self.drain()
            now = loop.time()
            silent: dict[str, list[Beating]] = {}
            for stream in tuple(self._open):
                work = stream.tick(now, self.pace.heartbeat, self.pace.rotation)
                if work is not None:
                    self._errand(work)
                if stream.run_id is not None and stream.doubts(now):
                    silent.setdefault(stream.run_id, []).append(stream)
            for run_id, streams in silent.items():
                self._errand(self._look(run_id, streams))

    async def _look(self, run_id: str, streams: list[Beating]) -> None:
        with suppress(StorageError):
            try:
                run = await self._app.runs.get(run_id)
            except RunNotFound:
                for stream in streams:
                    stream.stop("deleted")
                return
            for stream in streams:
                stream.looked(ended=run.state.terminal)

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def _leaving() -> bool:
    """Whether the uvicorn around us was asked to stop: it waits for open streams, but tells nobody."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True
