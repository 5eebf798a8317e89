"""durable-streams as others see it: the conformance suite of the protocol, and its own client reading runs."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentflow import Agentflow, Retry, ai, approve, current_step, step, task
from agentflow.agents.agent import Agent
from agentflow.server.pulse import Pace
from agentflow.streams.events import TextDelta, TextStart
from agentflow.streams.wire import Remote, Wire
from agentflow.testing.models import call, scripted_model, text
from tests.foreign.npm import NODE, environment, installed
from tests.server.site import PATIENCE, Site, site_of
from tests.servers.proxy import Proxy

PACKAGE = Path(__file__).parent / "durable_streams"
SUITE_SECONDS = 300
MODES = {"sse": "sse", "long-poll": "long-poll", "catch-up": False}


@pytest.fixture(scope="module")
def package() -> Path:
    return installed(PACKAGE)


# -- the suite ---------------------------------------------------------------------------------------------------------------------------


async def test_the_conformance_suite_of_the_protocol_passes(tmp_path: Path, package: Path) -> None:
    report = tmp_path / "report.json"
    vitest = package / "node_modules" / "vitest" / "vitest.mjs"
    words = ["run", "conformance.test.js", "--reporter=json", f"--outputFile={report}", "--testTimeout=20000"]
    # Some tests of the suite wait for a long poll to end.
    options: dict[str, Any] = {"cors_origins": ["*"], "pace": Pace(long_poll=2.0)}
    async with Agentflow(directory=tmp_path, worker=False) as app, site_of(app, **options) as site:
        process = await asyncio.create_subprocess_exec(
            NODE,
            vitest,
            *words,
            cwd=package,
            env=environment(SERVER_URL=site.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(SUITE_SECONDS):
            said, _ = await process.communicate()
        assert report.exists(), said.decode()
        told = json.loads(report.read_text())
        failed = [
            f"{one['fullName']}: {one['failureMessages'][0].splitlines()[0]}"
            for file in told["testResults"]
            for one in file["assertionResults"]
            if one["status"] == "failed"
        ]
        assert failed == []
        assert told["numPassedTests"] > 300
        assert told["success"]
        assert await forgotten(app) == []


async def forgotten(app: Agentflow) -> list[str]:
    """Keys of durable streams that nothing would ever delete."""
    wire = Wire(Remote(f"unix://{app.directory / 'valkey.sock'}"))
    try:
        keys: list[bytes] = await wire.call("KEYS", "af:ds:*")
        assert keys
        return [key.decode() for key in keys if await wire.call("PTTL", key) == -1]
    finally:
        await wire.close()


# -- the client --------------------------------------------------------------------------------------------------------------------------


class Reader:
    """The client, following some streams in one process of Node.js."""

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

    async def follow(self, url: str, live: str | bool, offset: str | None = None) -> int:
        """Begin to follow a stream; returns its number."""
        id = next(self._ids)
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps({"id": id, "url": url, "live": live, "offset": offset}).encode() + b"\n")
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


@pytest.fixture
async def reader(package: Path) -> AsyncIterator[Reader]:
    async with Reader.running(package) as reader:
        yield reader


def kinds(messages: Sequence[Any]) -> list[str]:
    return [message["event"]["type"] for message in messages]


class Gate:
    """Where a model, or a step, waits until the test has seen enough."""

    def __init__(self) -> None:
        self.shut()

    def shut(self) -> None:
        self.opened = asyncio.Event()
        self._pieces = 0

    async def pace(self, kind: str) -> None:
        self._pieces += 1
        if self._pieces > 2:
            await self.opened.wait()


GATE = Gate()


@step
async def look_up(order: str) -> str:
    """Look up an order."""
    await GATE.opened.wait()
    return f"{order} left on Monday"


@step(retry=Retry(attempts=2, initial=0))
async def speak() -> str:
    here = current_step()
    here.publish(TextStart(f"p{here.attempt}"))
    here.publish(TextDelta(f"p{here.attempt}", "half a sen"))
    if here.attempt == 1:
        await GATE.opened.wait()
        raise ConnectionError("cut off")
    here.publish(TextDelta(f"p{here.attempt}", "tence"))
    return "half a sentence"


@task
async def refund(order: str) -> str:
    """Refund an order."""
    return f"refunded {order}"


@task
async def stutter() -> str:
    return await speak()


@task
async def broken() -> None:
    await look_up("o-1")
    raise ValueError("this never works")


@task
async def patient() -> bool:
    return (await approve("Go on?")).approved


def plain_agent() -> Any:
    return Agent("plain", model=scripted_model([text("a long answer in some pieces")], pace=GATE.pace))


def tool_agent() -> Any:
    turns = [call("look_up", {"order": "o-1"}, id="c1")], [text("It left on Monday.")]
    return Agent("tooled", model=scripted_model(*turns), tools=[look_up])


def approving_agent() -> Any:
    turns = [call("refund", {"order": "o-1"}, id="c1")], [text("It is refunded.")]
    return Agent("approving", model=scripted_model(*turns), tools=[ai.tool(refund, approval=True)])


async def open_gate(site: Site, run_id: str) -> None:
    GATE.opened.set()


async def say_yes(site: Site, run_id: str) -> None:
    waiting = await site.waiting(run_id)
    await site.app.waitpoints.approve(waiting["id"], by="maria")


async def cancel(site: Site, run_id: str) -> None:
    await site.app.runs.cancel(run_id, "enough")


Going = Callable[[Site, str], Awaitable[None]]
STORIES: dict[str, tuple[Callable[[], Any], dict[str, Any], str, Going, str]] = {
    "a plain answer": (plain_agent, {"prompt": "why?"}, "text.delta", open_gate, "completed"),
    "a tool": (tool_agent, {"prompt": "where?"}, "tool.input", open_gate, "completed"),
    "an approval": (approving_agent, {"prompt": "refund it"}, "approval.requested", say_yes, "completed"),
    "a retry after visible text": (lambda: stutter, {}, "text.delta", open_gate, "completed"),
    "an error": (lambda: broken, {}, "run.started", open_gate, "failed"),
    "a cancel": (lambda: patient, {}, "approval.requested", cancel, "cancelled"),
}


@pytest.mark.parametrize("story", STORIES)
async def test_the_client_reads_a_run_live_in_every_mode_and_comes_back_after_a_cut(
    tmp_path: Path, stream_server: str, reader: Reader, story: str
) -> None:
    make, payload, seen, go_on, status = STORIES[story]
    GATE.shut()
    told = make()
    async with Agentflow([told, refund], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        async with Proxy.running(urlsplit(site.url).port or 0) as proxy:
            run_id = await site.start(told.name, **payload)
            path = f"/v1/stream/runs/{run_id}"
            ids = [await reader.follow(f"http://127.0.0.1:{proxy.port}{path}", live) for live in MODES.values()]
            await reader.until(lambda: all(seen in kinds(reader.items[id]) for id in ids) and ids[0] in reader.open)
            proxy.cut()
            await reader.until(lambda: reader.cuts[ids[0]] == 1)
            await go_on(site, run_id)
            await reader.until(lambda: reader.closed >= set(ids))
        log: list[dict[str, Any]] = [{"id": str(one.id), "event": json.loads(one.json())} for one in await app.streams.read(run_id)]
        assert [reader.items[id] for id in ids] == [log] * len(ids)
        assert (log[-1]["event"]["type"], log[-1]["event"]["status"]) == ("end", status)
