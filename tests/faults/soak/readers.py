"""Who follows runs over HTTP as a browser's `EventSource` does: cut off now and then, back with the last id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import Fold
from tests.faults.soak.workload import pause
from tests.server.site import Frame

KINDS: dict[str, type[Any]] = {kind.type: kind for kind in e.KINDS}
AGAIN = 0.2
READ_TIMEOUT = 40.0
OK, NOTHING_FOLLOWS = 200, 204


class Reader:
    """Follows one run to its `end`. `fold` is the run as it was told; `wrong` is what should not have been told."""

    def __init__(self, client: httpx.AsyncClient, run_id: str, *, patience: int | None = None) -> None:
        self.run_id = run_id
        self.fold = Fold()
        self.wrong: list[str] = []
        self.resets = self.cuts = self.ends = self.events = 0
        self.last: str | None = None
        self._client = client
        self._patience = patience
        """Frames, on average, after which it loses its connection; None for a reader that has luck."""

    async def read(self) -> Reader:
        """Read to the end, however often it takes."""
        while not self.ends:
            try:
                await self._connect()
            except httpx.TransportError:
                self.cuts += 1
            if not self.ends:
                await pause(AGAIN)
        return self

    async def _connect(self) -> None:
        luck = random.Random().expovariate(1 / self._patience) if self._patience else float("inf")
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                if frame.data is not None:
                    self._hear(frame, frame.data)
                luck -= 1
                if luck < 0 and not self.ends:
                    self.cuts += 1
                    return

    async def _frames(self) -> AsyncGenerator[Frame]:
        headers = {} if self.last is None else {"last-event-id": self.last}
        async with self._client.stream("GET", f"/v1/runs/{self.run_id}/stream", headers=headers) as answer:
            if answer.status_code == NOTHING_FOLLOWS:
                self.wrong.append(f"nothing follows {self.last}, and there was no end")
                self.ends = 1
            if answer.status_code != OK:
                return
            text = b""
            async for part in answer.aiter_raw():
                *whole, text = (text + part).split(b"\n\n")
                for one in whole:
                    yield Frame.of(one)

    def _hear(self, frame: Frame, data: dict[str, Any]) -> None:
        if frame.type == "sync.snapshot":
            self.resets += 1
            self.fold = Fold()
        elif not frame.type.startswith("sync."):
            self._apply(frame.id, data)
        if frame.id is not None:
            self.last = frame.id

    def _apply(self, id: str | None, data: dict[str, Any]) -> None:
        self.events += 1
        if self.ends:
            self.wrong.append(f"{data['type']} came after the end")
        if id is None:
            self.fold.cursor = None
        fields = {name: value for name, value in data.items() if name not in ("type", "ts")}
        kind = KINDS.get(data["type"])
        event = e.UnknownEvent(data["type"], "", fields) if kind is None else kind(**fields)
        before = self.fold.cursor
        if not self.fold.apply(StoredEvent(Cursor(0, 0) if id is None else Cursor.parse(id), data.get("ts", 0), event)):
            self.wrong.append(f"{data['type']} {id} came after {before}")
        elif id is not None and before is not None:
            self._check_gap(before, Cursor.parse(id), data)
        self.ends += data["type"] == "end"

    def _check_gap(self, before: Cursor, now: Cursor, data: dict[str, Any]) -> None:
        # Neighbouring deltas come as one, under the last one's id.
        dense = now.follows(before) or now.epoch != before.epoch or "delta" in data
        if not dense and before != Cursor(0, 0):
            self.wrong.append(f"{data['type']} {now} came right after {before}")


class Audience:
    """A reader for every run that is told of."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=READ_TIMEOUT, limits=httpx.Limits(max_connections=None))
        self.readers: dict[str, Reader] = {}
        self._tasks: dict[str, asyncio.Task[Reader]] = {}

    def follow(self, run_id: str) -> None:
        """Follow a run from its start."""
        reader = self.readers[run_id] = Reader(self._client, run_id, patience=60)
        self._tasks[run_id] = asyncio.create_task(reader.read())

    async def done(self, seconds: float) -> list[str]:
        """Wait for all readers; returns the runs whose end was not told in time."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        return [run_id for run_id, task in self._tasks.items() if not task.done()]

    async def again(self, run_id: str, seconds: float) -> Reader:
        """Read an ended run from its start."""
        reader = Reader(self._client, run_id)
        async with asyncio.timeout(seconds):
            return await reader.read()

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.aclose()
