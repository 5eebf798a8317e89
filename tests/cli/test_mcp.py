"""`agentflow mcp` as a real program, for the real client of the SDK, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.cli.conftest import Start
from tests.cli.programs import PATIENCE

BAKERY = '''
"""A bakery."""
import os
from pathlib import Path
from agentflow import Agentflow, WorkerSettings, sleep, step, task

print("loaded")

@step
async def knead(flour: int) -> str:
    print("this is no message of the protocol")
    with open("kneaded", "a") as told:
        told.write(f"{os.getpid()}\\n")
    return f"dough of {flour}"

@task
async def bake(flour: int) -> str:
    """Bake bread."""
    dough = await knead(flour)
    while not Path("hot").exists():
        await sleep(0.1)
    return f"bread of {dough}"

app = Agentflow(tasks=[bake], worker=WorkerSettings(lease=2_000_000, renew_every=500_000, poll=0.5))
'''


@pytest.fixture
def bakery(folder: Path) -> Path:
    (folder / "bakery.py").write_text(BAKERY)
    return folder


def command(folder: Path, *words: str) -> StdioServerParameters:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTFLOW_")}
    return StdioServerParameters(
        command=sys.executable, args=["-m", "agentflow.cli.main", "mcp", "bakery.py", *words], cwd=folder, env=environment
    )


@asynccontextmanager
async def over_stdio(folder: Path, *words: str, mode: str = "auto") -> AsyncGenerator[Client]:
    with (folder / "stderr").open("a") as errors:
        async with Client(stdio_client(command(folder, *words), errlog=errors), mode=mode) as client:
            yield client


def told(result: CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, TextContent)
    return part.text


def run_of(result: CallToolResult) -> str:
    content: Any = result.structured_content
    return content["run"]


async def until(test: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not test():
            await asyncio.sleep(0)


def kneaders(folder: Path) -> list[int]:
    """The processes that have kneaded."""
    file = folder / "kneaded"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_task_is_called_over_stdio_and_what_it_prints_is_no_message(bakery: Path, mode: str) -> None:
    (bakery / "hot").touch()
    async with over_stdio(bakery, mode=mode) as client:
        assert {one.name for one in (await client.list_tools()).tools} == {"bake", "get_run", "cancel_run"}
        result = await client.call_tool("bake", {"flour": 3})
        assert (told(result), result.is_error) == ("bread of dough of 3", False)
        wrong = await client.call_tool("bake", {"flour": "much"})
        assert wrong.is_error
        assert "flour" in told(wrong)
    assert "this is no message" in (bakery / "stderr").read_text()


async def test_a_run_survives_a_killed_server_and_the_next_one_has_its_result(bakery: Path) -> None:
    async with over_stdio(bakery, "--wait", "0.5s") as client:
        first = await client.call_tool("bake", {"flour": 3})
        assert "goes on" in told(first)
        [victim] = kneaders(bakery)
        os.kill(victim, signal.SIGKILL)
    (bakery / "hot").touch()
    async with over_stdio(bakery) as client:
        assert told(await ended(client, first)) == "bread of dough of 3"
    assert kneaders(bakery) == [victim]


async def ended(client: Client, first: CallToolResult) -> CallToolResult:
    """What `get_run` tells once the run has ended."""
    async with asyncio.timeout(PATIENCE):
        while "goes on" in told(result := await client.call_tool("get_run", {"run": run_of(first), "wait": 5})):
            pass
    return result


async def test_a_call_that_is_cancelled_over_stdio_cancels_the_run_and_one_that_is_cut_off_does_not(bakery: Path) -> None:
    async with over_stdio(bakery) as client:
        calling = asyncio.create_task(client.call_tool("bake", {"flour": 3}))
        await until(lambda: len(kneaders(bakery)) == 1)
        calling.cancel()
        await asyncio.wait({calling})
        await some(bakery, "cancelled")
        async with over_stdio(bakery) as other:
            cut = asyncio.create_task(other.call_tool("bake", {"flour": 4}))
            await until(lambda: len(kneaders(bakery)) == 2)
        await asyncio.wait({cut})
        (bakery / "hot").touch()
        await some(bakery, "completed")


async def some(folder: Path, status: str) -> None:
    """Return once a run is in that state."""
    words = [sys.executable, "-m", "agentflow.cli.main", "runs", "list", "--status", status, "--json"]
    async with asyncio.timeout(PATIENCE):
        while True:
            asked = await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=asyncio.subprocess.PIPE)
            said, _ = await asked.communicate()
            if json.loads(said):
                return


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_task_is_called_over_http_and_the_run_survives_a_killed_server(bakery: Path, start: Start, mode: str) -> None:
    server = start("mcp", "bakery.py", "--http", "--port", "0", "--wait", "0.5s")
    url = server.until("/mcp").split()[-1]
    async with Client(url, mode=mode) as client:
        first = await client.call_tool("bake", {"flour": 3})
        assert "goes on" in told(first)
    server.signal(signal.SIGKILL)
    server.end()
    (bakery / "hot").touch()
    server = start("mcp", "bakery.py", "--http", "--port", "0")
    url = server.until("/mcp").split()[-1]
    async with Client(url, mode=mode) as client:
        assert told(await ended(client, first)) == "bread of dough of 3"
    assert len(kneaders(bakery)) == 1
    server.signal(signal.SIGTERM)
    assert server.end() == 0, server.said


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_call_that_is_cancelled_over_http_cancels_the_run(bakery: Path, start: Start, mode: str) -> None:
    server = start("mcp", "bakery.py", "--http", "--port", "0")
    async with Client(server.until("/mcp").split()[-1], mode=mode) as client:
        calling = asyncio.create_task(client.call_tool("bake", {"flour": 3}))
        await until(lambda: len(kneaders(bakery)) == 1)
        calling.cancel()
        await asyncio.wait({calling})
        await some(bakery, "cancelled")


async def test_over_http_a_key_lets_in_and_is_needed_where_others_can_come(bakery: Path, start: Start) -> None:
    refused = start("mcp", "bakery.py", "--http", "--host", "0.0.0.0")
    assert refused.end() == 2
    assert "API key" in refused.said
    server = start("mcp", "bakery.py", "--http", "--port", "0", "--api-key", "secret")
    url = server.until("/mcp").split()[-1]
    async with httpx2.AsyncClient() as plain:
        answer = await plain.post(url, json={})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    async with (
        httpx2.AsyncClient(headers={"authorization": "Bearer secret"}) as keyed,
        Client(streamable_http_client(url, http_client=keyed)) as client,
    ):
        assert (await client.list_tools()).tools


async def test_a_server_over_stdio_ends_with_its_client_and_at_a_signal(bakery: Path) -> None:
    for told_to_end in (False, True):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "agentflow.cli.main", "mcp", "bakery.py"],
            cwd=bakery, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode() + b"\n")
        await process.stdin.drain()
        assert b"agentflow" in await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        if told_to_end:
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        process.stdin.close()
