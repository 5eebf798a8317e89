"""A real Valkey per test, or a cluster of them for all, and ways to hurt the connection."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentflow.streams import Cursor, Settings, StoredEvent, Streams
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.link import Link, network
from agentflow.streams.wire import Remote, Wire
from tests.servers.valkey import ValkeyCluster

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    async def wait(happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not happened():
                await asyncio.sleep(0)

    return wait


class Cutter:
    """Stands between a client and the server. When `cut` is set, the next reply is swallowed and its connection closed."""

    def __init__(self, target: str, path: str) -> None:
        self.url = f"unix://{path}"
        self.cut = False
        self.cuts = 0
        self._target = target
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Cutter]:
        server = await asyncio.start_unix_server(self._accept, self._path)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await asyncio.open_unix_connection(self._target)
        writers = (client_out, server_out)
        up = asyncio.create_task(self._pump(client_in, server_out, writers, replies=False))
        down = asyncio.create_task(self._pump(server_in, client_out, writers, replies=True))
        self._tasks |= {up, down}

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, writers: tuple[asyncio.StreamWriter, ...], *, replies: bool
    ) -> None:
        try:
            while data := await source.read(65_536):
                if replies and self.cut:
                    self.cut = False
                    self.cuts += 1
                    break
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            for writer in writers:
                writer.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path)
    await server.url()
    yield server
    await server.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[ValkeyCluster]:
    """Three masters for all tests of this process; nobody may stop one."""
    with ValkeyCluster.running() as cluster:
        yield cluster


@pytest.fixture
async def redis_url(request: pytest.FixtureRequest, server: EmbeddedServer) -> str:
    """Where the test's Redis is: a server of its own, or with the parameter "cluster" the shared cluster, emptied."""
    if getattr(request, "param", "server") == "cluster":
        cluster: ValkeyCluster = request.getfixturevalue("cluster")
        for node in cluster.masters:
            node.command("FLUSHALL")
        return cluster.url
    return await server.url()


class Everywhere:
    """Commands past the streams: to the server of a key, or to all."""

    def __init__(self, link: Link, nodes: list[str]) -> None:
        self._link = link
        self._nodes = [Wire(Remote(url, "cluster" if link.sharded else "standalone")) for url in nodes]

    async def call(self, *command: Any) -> Any:
        """The reply; of a command without a key those of all servers together."""
        found = re.search(r"\{(.*?)\}", " ".join(map(str, command)))
        if command[:2] == ("PUBSUB", "NUMSUB") and self._link.sharded:
            command = ("PUBSUB", "SHARDNUMSUB", *command[2:])
        if found:
            return await self._link.ask(self._link.place(found[1]), *command)
        replies = [await node.call(*command) for node in self._nodes]
        return [one for reply in replies for one in reply] if isinstance(replies[0], list) else replies[0]

    async def close(self) -> None:
        """Hang up."""
        for wire in (self._link, *self._nodes):
            await wire.close()


@pytest.fixture
async def wire(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Everywhere]:
    reached = network(redis_url, Path())
    link = reached.link(patient=False)
    nodes = [node.url for node in request.getfixturevalue("cluster").masters] if link.sharded else [redis_url]
    wire = Everywhere(link, nodes)
    yield wire
    await wire.close()
    await reached.close()


@pytest.fixture
async def open_streams(redis_url: str) -> AsyncIterator[Callable[..., Streams]]:
    """Makes another process's worth of streams on the same Redis."""
    made: list[Streams] = []

    def make(url: str | None = None, settings: Settings | None = None) -> Streams:
        streams = Streams.connect(url or redis_url, Path(), settings=settings)
        made.append(streams)
        return streams

    yield make
    for streams in made:
        await streams.close()


@pytest.fixture
async def streams(open_streams: Callable[..., Streams]) -> Streams:
    return open_streams()


@pytest.fixture
async def cutter(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Cutter]:
    async with Cutter(str(server.socket), str(server.socket.with_name("cut.sock"))).running() as cutter:
        yield cutter
    server.socket.with_name("cut.sock").unlink(missing_ok=True)


@pytest.fixture
def kill_server(tmp_path: Path) -> Callable[[], int]:
    """Kills the embedded server of the test's directory; returns the process id it had."""

    def kill() -> int:
        process = int((tmp_path / "valkey.pid").read_text())
        os.kill(process, signal.SIGKILL)
        return process

    return kill


@pytest.fixture
def collect() -> Callable[..., Coroutine[Any, Any, list[StoredEvent]]]:
    """Follows a run to its end."""

    async def follow(streams: Streams, run_id: str, after: Cursor | None = None) -> list[StoredEvent]:
        async with asyncio.timeout(10):
            return [event async for event in streams.follow(run_id, after)]

    return follow
