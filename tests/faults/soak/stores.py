"""The database of a soak: started, stopped, started again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faults.soak.workload import pause
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy


async def wire(port: int, host: str = "127.0.0.1") -> Proxy:
    """A way to a server that can be cut."""
    made = Proxy(port, host)
    await made.start()
    return made


class SqliteStore:
    """A file: nothing of it can be cut."""

    server = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self) -> None:
        """Nothing runs."""

    async def close(self) -> None:
        """Nothing ran."""

    async def wire(self) -> Proxy | None:
        """No wire leads to it."""
        return None

    def url(self, proxy: Proxy | None) -> str:
        """Where it is."""
        return str(self._folder / "agentflow.db")

    async def scratch(self) -> str:
        """Another, empty one."""
        return str(self._folder / "scratch.db")

    async def restart(self, *, crash: bool, seconds: float) -> None:
        """It has no server."""


class PostgresStore:
    """A PostgreSQL of one's own. What it commits outlives its processes, and that is what is tried here; not the machine's death."""

    server = True

    def __init__(self) -> None:
        self._postgres = PostgresServer(settings={"synchronous_commit": "on"})
        self._name = ""

    async def open(self) -> None:
        """Start it, and make a database."""
        await asyncio.to_thread(self._postgres.start)
        self._name = await asyncio.to_thread(self._postgres.create)

    async def close(self) -> None:
        """Stop it; its data are gone."""
        await asyncio.to_thread(self._postgres.close)

    async def wire(self, host: str = "127.0.0.1") -> Proxy | None:
        """A way to it."""
        return await wire(self._postgres.port, host)

    def url(self, proxy: Proxy | None) -> str:
        """Where it is, through a proxy."""
        if proxy is None:
            return self._postgres.url(self._name)
        return self._postgres.url(self._name, proxy.port).replace("127.0.0.1", proxy.host)

    async def scratch(self) -> str:
        """Another, empty one."""
        return self._postgres.url(await asyncio.to_thread(self._postgres.create))

    async def restart(self, *, crash: bool, seconds: float) -> None:
        """Stop it in order, or as a crash would; start it again after some seconds."""
        await asyncio.to_thread(self._postgres.stop, "immediate" if crash else "fast")
        await pause(seconds)
        await asyncio.to_thread(self._postgres.start)


Store = SqliteStore | PostgresStore
