"""Clients of others that follow streams, each kind a program of JavaScript that says line by line what it reads."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.foreign.npm import NODE, environment
from tests.server.site import PATIENCE


class Reader:
    """A client, following some streams in one process of Node.js: the `reader.js` of a package."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = count()
        self.items: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.cuts: dict[int, int] = defaultdict(int)
        self.open: set[int] = set()
        self.closed: set[int] = set()
        self._changed = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def running(cls, package: Path) -> AsyncGenerator[Reader]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            NODE, "reader.js", cwd=package, env=environment(), stdin=pipe, stdout=pipe, limit=16 * 1_024 * 1_024
        )
        reader = cls(process)
        hearing = asyncio.create_task(reader._hear())
        try:
            yield reader
        finally:
            hearing.cancel()
            process.kill()
            await process.wait()

    async def follow(self, url: str, **how: Any) -> int:
        """Begin to follow a stream, as its `reader.js` is told; returns its number."""
        id = next(self._ids)
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps({"id": id, "url": url, **how}).encode() + b"\n")
        await stdin.drain()
        return id

    async def until(self, happened: Callable[[], bool]) -> None:
        """Return once something was read that makes this so."""
        async with asyncio.timeout(PATIENCE):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    async def _hear(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while line := await stdout.readline():
            told = json.loads(line)
            self.items[told["id"]] += told.get("items", [])
            self.cuts[told["id"]] += "cut" in told
            for word, known in (("open", self.open), ("closed", self.closed)):
                if word in told:
                    known.add(told["id"])
            self._changed.set()


def kinds(messages: Sequence[Any]) -> list[str]:
    return [message["event"]["type"] for message in messages]
