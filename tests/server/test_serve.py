"""Serving as a process: where it may listen, and how it stops."""

from __future__ import annotations

import asyncio
import signal
import socket
import statistics
import sys
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from agentflow import Agentflow
from agentflow.errors import ConfigurationError
from agentflow.records import RunState
from agentflow.server import serve
from tests.server.shop import work
from tests.server.site import PATIENCE, Frame, Site
from tests.server.tasks import publish

Process = asyncio.subprocess.Process


@asynccontextmanager
async def shop(directory: Path, host: str = "127.0.0.1", port: int = 0, *key: str) -> AsyncGenerator[Process]:
    command = (sys.executable, "-m", "tests.server.shop", str(directory), host, str(port), *key)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@asynccontextmanager
async def visited(directory: Path, url: str) -> AsyncGenerator[Site]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        yield Site(Agentflow(directory=directory), url, client, lambda: None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
async def test_it_refuses_to_serve_others_without_an_api_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"without an API key.*AGENTFLOW_API_KEY"):
        await serve(Agentflow(directory=tmp_path), host, 0)
    assert list(tmp_path.iterdir()) == []


async def test_with_an_api_key_it_serves_everybody(tmp_path: Path) -> None:
    async with shop(tmp_path, "0.0.0.0", 0, "s3cret") as process:
        port = (await line(process)).rpartition(":")[2]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/v1/runs")).status_code == 401
            assert (await client.get("/v1/runs", headers={"authorization": "Bearer s3cret", "host": "flows.example"})).status_code == 200


async def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port} on 127\.0\.0\.1 is taken.*--port {port + 1}"):
            await serve(Agentflow(directory=tmp_path), port=port)


async def test_a_host_that_cannot_be_bound_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Cannot serve on 192\.0\.2\.1:0"):
        await serve(Agentflow(directory=tmp_path), "192.0.2.1", 0, api_key="k")


async def test_an_answer_in_small_writes_does_not_wait_for_the_acknowledgement_of_the_first(tmp_path: Path) -> None:
    async with shop(tmp_path) as process, visited(tmp_path, await line(process)) as site:
        run_id = await site.start("work", seconds=0)
        small, whole = list[float](), list[float]()
        await site.read(run_id)
        for _ in range(11):
            small.append(await seconds(site.read(run_id)))
            whole.append(await seconds(site.client.get("/v1/health")))
    # Delayed acknowledgements come after 40 ms; an answer in one piece never waits for one.
    assert statistics.median(small) < statistics.median(whole) + 0.035, (small, whole)


async def seconds(asked: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asked
    return loop.time() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_readers_and_work_and_exits_0(tmp_path: Path, number: int) -> None:
    async with shop(tmp_path) as process, visited(tmp_path, await line(process)) as site:
        worked = await site.start("work", seconds=1.0)
        assert await line(process) == "working"
        waits = await site.start("publish", draft="text")
        await site.waiting(waits)
        frames: list[Frame] = []
        async with aclosing(site.frames(waits)) as stream:
            async for frame in stream:
                frames.append(frame)
                if frame.type == "approval.requested":
                    process.send_signal(number)
        assert frames[-1].data is not None
        assert (frames[-1].type, frames[-1].data["reason"]) == ("sync.reconnect", "drain")
        assert await process.wait() == 0
    async with Agentflow([work, publish], directory=tmp_path, worker=False) as app:
        assert (await app.runs.get(worked)).state is RunState.COMPLETED
        assert (await app.runs.get(waits)).state is RunState.WAITING


async def test_the_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path) as process, visited(tmp_path, await line(process)) as site:
        await site.start("work", seconds=60)
        assert await line(process) == "working"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await site.client.get("/v1/health")
                except httpx.TransportError:
                    break
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
