"""Two hosts, each in a network of its own, and the cable between them is pulled out."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow
from agentflow.handle import RunHandle
from agentflow.storage import journal
from tests.faults.namespaces import Namespace, namespace, unable
from tests.faults.soak.fleet import Fleet, Forker, Member
from tests.faults.soak.stores import PostgresStore, wire
from tests.faults.soak.worker import Post
from tests.faults.soak.workload import pause
from tests.servers.valkey import ValkeyServer

PATIENCE = 60.0
NEAR, FAR = 1, 2


@pytest.fixture
def other_host() -> Iterator[Namespace]:
    if (reason := unable()) is not None:
        pytest.skip(reason)
    try:
        with namespace() as made:
            yield made
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode(errors='replace').strip()}")


class Site:
    """A database and a stream server on this host, a worker here, and one on the other host."""

    def __init__(self, folder: Path, other: Namespace) -> None:
        self.folder = folder
        self.other = other
        self.fleet = Fleet(folder)
        self.late = 0
        self._stack = AsyncExitStack()
        self._store = PostgresStore()
        self._valkey = ValkeyServer()

    async def open(self) -> Agentflow:
        """Start the servers; returns a client."""
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        self._stack.callback(self._valkey.close)
        await asyncio.to_thread(self._valkey.start)
        await self.fleet.open()
        self._stack.push_async_callback(self.fleet.close)
        app = Agentflow(database=self._store.url(None), redis=self._valkey.url, directory=self.folder, worker=False)
        await app.open()
        self._stack.push_async_callback(app.close)
        return app

    async def hire(self, number: int) -> None:
        """A worker, on this host or on the other one."""
        far = number == FAR
        host = self.other.address if far else "127.0.0.1"
        database, streams = await self._store.wire(host), await wire(self._valkey.port, host)
        assert database is not None
        for proxy in (database, streams):
            self._stack.push_async_callback(proxy.close)
        if far:
            database.watch = self._watch
        post = Post(
            name=f"w{number}",
            number=number,
            database=self._store.url(database),
            redis=f"redis://{host}:{streams.port}",
            folder=str(self.folder),
        )
        forker = await Forker.load(None, self.other.within if far else ())
        await self.fleet.hire(Member(post, forker))

    def _watch(self, chunk: bytes) -> None:
        # The key of the held step, when its record is sent.
        self.late += b"held#0" in chunk

    def bodies(self, step: str) -> list[tuple[int, int]]:
        """Process and epoch of each body of a step that has begun."""
        path = self.folder / "bodies"
        said = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(one["pid"], one["epoch"]) for one in said if one["step"] == step]

    def let_go(self, number: int) -> None:
        """Let the held step of a worker go on."""
        (self.folder / f"go-{self.fleet.members[number].pid}").touch()

    def log(self, number: int) -> str:
        """What a worker has logged."""
        return (self.folder / f"w{number}.log").read_text()

    async def reach(self, test: Callable[[], bool]) -> None:
        """Return once something is so."""
        async with asyncio.timeout(PATIENCE):
            while not test():
                await pause(0.02)

    async def close(self) -> None:
        """End all."""
        await self._stack.aclose()


@pytest.fixture
async def site(other_host: Namespace) -> AsyncIterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    made = Site(folder, other_host)
    yield made
    await made.close()
    shutil.rmtree(folder)


async def test_a_worker_that_is_cut_off_loses_nothing_and_its_late_writes_are_refused(site: Site) -> None:
    """Its run is finished by another; when it is back its record of the same step is not taken, and it works on."""
    app = await site.open()
    await site.hire(FAR)
    far = site.fleet.members[FAR].pid
    before = (await site.fleet.state(FAR))["id"]
    run = await app.start("tied", folder=str(site.folder))
    await site.reach(lambda: site.bodies("held#0") == [(far, 1)])
    await site.hire(NEAR)
    near = site.fleet.members[NEAR].pid

    site.other.unplug()
    site.let_go(FAR)
    await site.reach(lambda: site.bodies("held#0") == [(far, 1), (near, 2)])
    site.let_go(NEAR)
    assert await run.result(timeout=PATIENCE) == near
    await site.reach(lambda: "lost its lease" in site.log(FAR))
    assert site.late == 0
    site.other.plug()

    await site.reach(lambda: site.late > 0)
    back = await site.fleet.until(FAR, lambda state: state["id"] not in ("", before) and state["free"] == state["slots"])
    assert back["free"] == back["slots"]
    await check_that_only_the_second_counts(app, run, site)
    await check_that_it_works_again(app, site)


async def check_that_only_the_second_counts(app: Agentflow, run: RunHandle[Any], site: Site) -> None:
    """What was recorded before the cable was pulled stays; all that follows is of the worker that took over."""
    far, near = (site.fleet.members[number].pid for number in (FAR, NEAR))
    record = await run.get()
    entries = await app.database.read(journal.load(record.key))
    assert [(entry.key, entry.epoch) for entry in entries] == [("quick#0", 1), ("held#0", 2), ("quick#1", 2)]
    assert (record.epoch, record.output) == (2, str(near))
    assert site.bodies("quick#0") == [(far, 1)]
    assert site.bodies("quick#1") == [(near, 2)]
    assert "Traceback" not in site.log(FAR)


async def check_that_it_works_again(app: Agentflow, site: Site) -> None:
    """The worker that was cut off takes new runs."""
    site.fleet.signal(NEAR, signal.SIGTERM)
    await site.reach(lambda: not site.fleet.alive(NEAR))
    run = await app.start("tied", folder=str(site.folder))
    assert await run.result(timeout=PATIENCE) == site.fleet.members[FAR].pid
