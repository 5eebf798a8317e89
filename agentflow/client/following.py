"""A run's stream over HTTP, followed to its end whatever happens to connections and servers on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx
from pydantic_core import from_json

from agentflow.client.answers import error_of
from agentflow.client.sse import Frame, FrameParser
from agentflow.streams.codec import StoredEvent, received
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import RESET

SILENCE = 30.0
"""Seconds without a byte after which a connection is dead: a server says something every ten."""
FIRST, LAST = 0.25, 5.0
"""Seconds between two tries, at first and at most; half of it is chance."""
_OK, _NOTHING, _TOO_MANY, _SERVER = 200, 204, 429, 500
_TIMEOUT = httpx.Timeout(SILENCE, connect=10.0)


class Following:
    """A reader of one run, with its place."""

    def __init__(self, http: httpx.AsyncClient, run_id: str, after: Cursor | None, types: str | None = None) -> None:
        self._http = http
        self._path = f"/v1/runs/{run_id}/stream"
        self._query = {} if types is None else {"types": types}
        self._after = None if after is None else str(after)
        self._unnumbered = 0
        self._failures = 0
        self._wait: float | None = None
        self._ended = False

    async def events(self) -> AsyncGenerator[StoredEvent]:
        """Every event to the `end` and with it; `sync.snapshot` where the run is told anew. Raises what the server refuses with."""
        while not self._ended:
            try:
                async with aclosing(self._connected()) as heard:
                    async for event in heard:
                        yield event
            except httpx.TransportError:
                pass
            if not self._ended:
                await self._pause()

    async def _connected(self) -> AsyncGenerator[StoredEvent]:
        headers = {"accept": "text/event-stream", **({} if self._after is None else {"last-event-id": self._after})}
        async with self._http.stream("GET", self._path, params=self._query, headers=headers, timeout=_TIMEOUT) as answer:
            await self._check(answer)
            if self._ended or answer.status_code != _OK:
                return
            parser = FrameParser()
            async for part in answer.aiter_bytes():
                for frame in parser.feed(part):
                    event = self._hear(frame) if frame.data else None
                    if event is not None:
                        yield event

    async def _check(self, answer: httpx.Response) -> None:
        """Whether there is something to hear. Raises for what another try does not cure."""
        status = answer.status_code
        if status == _NOTHING:
            self._ended = True
        elif status == _TOO_MANY:
            self._wait = float(answer.headers.get("retry-after", LAST))
        elif status != _OK and status < _SERVER:
            raise error_of(status, _read(await answer.aread()))

    def _hear(self, frame: Frame) -> StoredEvent | None:
        data: Mapping[str, Any] = from_json(frame.data)
        type = data["type"]
        self._failures = 0
        if frame.id is not None:
            self._after = frame.id
        if type == "sync.reconnect":
            self._wait = data["after_ms"] / 1_000
        if type.startswith("sync.") and type != RESET:
            return None
        self._ended = type == "end"
        return received(self._number(frame.id, type), data)

    def _number(self, id: str | None, type: str) -> Cursor:
        """What is told from the database while a run goes on has no id of its own, and comes before all that has."""
        if type == RESET:
            self._unnumbered = 0
            return Cursor(0, 0)
        if id is not None:
            return Cursor.parse(id)
        self._unnumbered += 1
        return Cursor(0, self._unnumbered)

    async def _pause(self) -> None:
        wait, self._wait = self._wait, None
        if wait is None:
            wait = min(LAST, FIRST * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311 (spreads readers)
            self._failures = min(self._failures + 1, 10)
        await asyncio.sleep(wait)


def _read(text: bytes) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
