"""The loopback server: HTTP/1.1 by hand, so that a test decides when each chunk leaves and where the socket breaks."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.traffic.answers import Answer, as_stream, failed

PATIENCE = 10.0
"""Seconds until a test that waits for the provider gives up."""


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any

    @property
    def streaming(self) -> bool:
        """Whether it asks for a stream."""
        return bool(self.body and self.body.get("stream"))


class Gate:
    """Lets chunks of answers pass: all of them, unless a test holds it."""

    def __init__(self) -> None:
        self.passed = 0
        self._limit = math.inf
        self._moved = asyncio.Condition()

    def hold(self, after: int = 0) -> None:
        """Let `after` more chunks pass, then none until `release` or `open`."""
        self._limit = self.passed + after

    async def release(self, chunks: float = 1) -> None:
        """Let so many more chunks pass."""
        async with self._moved:
            self._limit = max(self._limit, self.passed) + chunks
            self._moved.notify_all()

    async def open(self) -> None:
        """Let everything pass from now on."""
        await self.release(math.inf)

    async def wait_passed(self, chunks: int) -> None:
        """Return once so many chunks were sent, counted over all answers."""
        async with asyncio.timeout(PATIENCE), self._moved:
            await self._moved.wait_for(lambda: self.passed >= chunks)

    async def go(self) -> None:
        """Wait for leave to send one chunk."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.passed < self._limit)
            self.passed += 1
            self._moved.notify_all()


@dataclass
class Provider:
    """A running provider. `requests` are the requests in the order of their arrival, `url` is `http://127.0.0.1:<port>`."""

    answers: list[Answer] = field(default_factory=list[Answer])
    requests: list[Received] = field(default_factory=list[Received])
    gate: Gate = field(default_factory=Gate)
    port: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """The base URL for the anthropic client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL for the openai client, which does not add the version itself."""
        return f"{self.url}/v1"

    def then(self, *answers: Answer) -> None:
        """Answer so after what was planned before."""
        self.answers.extend(answers)

    async def wait_requests(self, count: int) -> None:
        """Return once so many requests arrived."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (request := await _read(reader)) is not None:
                async with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                if not await self._send(writer, self._choose(request)):
                    break
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    def choose(self, request: Received) -> Answer | None:
        """The answer to a request: the first that fits of those that were planned."""
        for answer in self.answers:
            if answer.fits(request.method, request.path):
                self.answers.remove(answer)
                return answer
        return None

    def _choose(self, request: Received) -> Answer:
        answer = self.choose(request)
        if answer is None:
            return failed(404, f"no answer is left for {request.method} {request.path}", kind="not_found_error")
        return as_stream(answer) if request.streaming and not answer.stream and not answer.failed else answer

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> bool:
        head = [f"HTTP/1.1 {answer.status} Recorded", *(f"{name}: {value}" for name, value in answer.headers.items())]
        writer.write("\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode())
        for sent, chunk in enumerate(answer.chunks):
            if sent == answer.cut_after:
                return False
            await self.gate.go()
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Received(method, parts.path, parts.query, headers, json.loads(body) if body else None)


@asynccontextmanager
async def serving(*answers: Answer, provider: Provider | None = None) -> AsyncGenerator[Provider]:
    """A provider with these answers, on a port of its own."""
    provider = provider or Provider(list(answers))
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(provider.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
