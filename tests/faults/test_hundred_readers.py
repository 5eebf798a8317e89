"""A hundred people watch: the worker dies in mid-token, then the server does, and each of them has seen the same in the end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest

from tests.cli.programs import Program
from tests.faults.soak.readers import Reader
from tests.faults.speaker import FIRST_TURN, PIECE, answer, plan, thought
from tests.faults.speakers import LOADING, Speaker
from tests.servers.process import free_port

READERS = 100
APP = """
from agentflow import task

@task
async def nothing() -> None:
    pass
"""
ENOUGH = 100


@pytest.fixture
def folder() -> Iterator[Path]:
    """Its path is short, for the socket of the embedded server."""
    made = Path(tempfile.mkdtemp(prefix="af-100-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def speakers(folder: Path) -> AsyncIterator[tuple[Speaker, Speaker]]:
    async with AsyncExitStack() as stack:
        hired = await asyncio.gather(*(Speaker.start(folder, voice) for voice in ("Ada", "Bea")))
        for one in hired:
            stack.push_async_callback(one.kill)
        await asyncio.gather(*(one.heard("loaded") for one in hired))
        yield hired[0], hired[1]


async def serve(folder: Path, port: int) -> Program:
    """A server process that does no work."""
    (folder / "app.py").write_text(APP)
    server = Program(folder, "server", "app.py", "--directory", str(folder), "--port", str(port))
    await asyncio.to_thread(server.until, f"127.0.0.1:{port}")
    return server


async def heard(readers: list[Reader], pieces: int) -> None:
    """Return once each reader has so many pieces of what counts."""
    async with asyncio.timeout(LOADING):
        while any(len(one.fold.text + one.fold.reasoning) < pieces * PIECE for one in readers):
            await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.05)


async def test_a_hundred_readers_of_a_killed_worker_and_a_killed_server_end_with_the_same_words(
    folder: Path, speakers: tuple[Speaker, Speaker]
) -> None:
    """Superseded words are gone, and no event is lost or doubled: each reader checks the ids and what they tell."""
    port = free_port()
    url, limits = f"http://127.0.0.1:{port}", httpx.Limits(max_connections=None)
    server = await serve(folder, port)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=LOADING, limits=limits) as client:
            await speakers[0].work()
            answered = await client.post("/v1/runs", json={"task": "guide", "payload": {"prompt": "Where is my order?"}})
            readers = [Reader(client, answered.json()["id"]) for _ in range(READERS)]
            reading = [asyncio.create_task(one.read()) for one in readers]
            await lose_the_worker(readers, *speakers)
            server.signal(SIGKILL)
            await asyncio.to_thread(server.end)
            server.close()
            server = await serve(folder, port)
            speakers[1].allow(ENOUGH)
            async with asyncio.timeout(LOADING):
                await asyncio.gather(*reading)
    finally:
        server.close()
    assert [wrong for one in readers for wrong in one.wrong] == []
    assert {(one.ends, one.cuts > 0, one.fold.state) for one in readers} == {(1, True, "completed")}
    assert {(one.fold.text, one.fold.reasoning) for one in readers} == {(answer("Bea"), plan("Ada") + thought("Bea"))}


async def lose_the_worker(readers: list[Reader], ada: Speaker, bea: Speaker) -> None:
    """Ada dies in her second turn; of what she said only the first is recorded. Bea says some of hers."""
    ada.allow(FIRST_TURN + 3 + 4)
    await heard(readers, 2 + 3 + 4)
    await ada.kill()
    await bea.work()
    bea.allow(3 + 2)
    await told(readers, plan("Ada") + thought("Bea"))


async def told(readers: list[Reader], thoughts: str) -> None:
    """Return once each reader has heard these thoughts."""
    async with asyncio.timeout(LOADING):
        while any(one.fold.reasoning != thoughts for one in readers):
            await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.05)
