"""A TCP proxy whose network a test may break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

_CHUNK = 64 * 1024


class Proxy:
    """Forwards connections to `target`, a port of the loopback or the path of a Unix socket, until it is told not to.

    It listens at `port` of `host`. `watch`: called with each chunk that a client sends before it is forwarded.

    >>> async with Proxy.running(server.port) as proxy:
    ...     database = open_database(server.url(name, port=proxy.port))
    ...     proxy.cut()
    """

    def __init__(self, target: int | str, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.connections = 0
        self.watch: Callable[[bytes], None] = lambda chunk: None
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting = True
        self._mute = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, target: int | str) -> AsyncGenerator[Proxy]:
        """A started proxy that is closed afterwards."""
        proxy = cls(target)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.close()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Reset all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def refuse(self) -> None:
        """Reset new connections, too, from now on."""
        self._accepting = False

    def accept(self) -> None:
        """Let new connections, and answers, through again."""
        self._accepting, self._mute = True, False

    def swallow(self) -> None:
        """Lose all answers from now on: what was asked for is done, and nobody hears of it. To be followed by `cut` and `accept`."""
        self._mute = True

    def hold(self) -> None:
        """Bytes flow no more, in both directions, as if the packets were lost; no connection is closed. New ones hang."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let bytes flow again, those held back first."""
        self._flowing.set()

    async def close(self) -> None:
        """Stop listening, and cut all connections."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._accepting:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            # Swallowed since asyncio reports a handler of a connection that is cancelled.
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, str):
            their_reader, their_writer = await asyncio.open_unix_connection(self._target)
        else:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(their_writer)
        self.connections += 1
        try:
            await asyncio.gather(self._pump(reader, their_writer, sent=True), self._pump(their_reader, writer, sent=False))
        finally:
            self._writers.discard(their_writer)
            their_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, sent: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if sent:
                    self.watch(chunk)
                elif self._mute:
                    continue
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
