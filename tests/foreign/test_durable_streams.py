"""durable-streams as others see it: the conformance suite of the protocol, and its own client reading runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentflow import Agentflow
from agentflow.server.pulse import Pace
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.wire import Remote, Wire
from tests.foreign.npm import NODE, environment, installed
from tests.foreign.reader import Reader, kinds
from tests.foreign.stories import GATE, STORIES, refund
from tests.server.site import site_of
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
    wire = Wire(Remote(f"unix://{EmbeddedServer(app.directory).socket}"))
    try:
        keys: list[bytes] = await wire.call("KEYS", "af:ds:*")
        assert keys
        return [key.decode() for key in keys if await wire.call("PTTL", key) == -1]
    finally:
        await wire.close()


# -- the client --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def reader(package: Path) -> AsyncIterator[Reader]:
    async with Reader.running(package) as reader:
        yield reader


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
            ids = [await reader.follow(f"http://127.0.0.1:{proxy.port}{path}", live=live) for live in MODES.values()]
            await reader.until(lambda: all(seen in kinds(reader.items[id]) for id in ids) and ids[0] in reader.open)
            proxy.cut()
            await reader.until(lambda: reader.cuts[ids[0]] == 1)
            await go_on(site, run_id)
            await reader.until(lambda: reader.closed >= set(ids))
        log: list[dict[str, Any]] = [{"id": str(one.id), "event": json.loads(one.json())} for one in await app.streams.read(run_id)]
        assert [reader.items[id] for id in ids] == [log] * len(ids)
        assert (log[-1]["event"]["type"], log[-1]["event"]["status"]) == ("end", status)
