"""The registry cannot be reached: at start and in mid-run calls go on with the same hash, and it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow import prompt, task
from agentflow.prompts.prompt import Prompt
from agentflow.serde import loads
from agentflow.testing import Engine
from tests.contracts.places import through
from tests.prompts.saving import Topic
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy

title: Prompt[Any] = prompt("unreachable", vars=Topic, text="A title about {{topic}}.")


@task(name="unreachable_asks")
async def asks() -> list[str]:
    filled = await title.get(topic="owls")
    return [filled.text, filled.ref]


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    async with Proxy.running(postgres.port) as started:
        yield started


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0)


async def test_a_registry_that_is_lost_at_start_and_in_mid_run_changes_no_hash(
    proxy: Proxy, migrated_url: str, tmp_path: Path, stream_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun: set[bytes] = set()
    lost: list[bytes] = []

    def lose(word: bytes) -> Callable[[bytes], None]:
        """Lose the connection once, at the end of a transaction that says this: what is only read is asked for again without a word."""

        def watch(chunk: bytes) -> None:
            if word in chunk:
                begun.add(word)
            elif b"COMMIT" in chunk and word in begun and word not in lost:
                lost.append(word)
                proxy.cut()

        return watch

    engine = Engine(tmp_path, stream_server, database=through(migrated_url, proxy.port))
    proxy.watch = lose(b"INSERT INTO prompt_versions")
    await engine.open()
    try:
        assert lost
        assert "cannot be registered" in caplog.text
        assert "unreachable" not in [one.name for one in await engine.app.prompts.list()]
        proxy.watch = lose(b"INSERT INTO prompt_pins")
        run = await engine.start(asks)
        await until(lambda: "cannot record its work" in caplog.text)
        await engine.clock.advance("1s")
        assert await run.result() == ["A title about owls.", f"unreachable@v1#{title.body.hash[7:13]}"]
        [entry] = await engine.app.runs.journal(run.id)
        assert loads(entry.value or "{}")["hash"] == title.body.hash
        await engine.clock.advance("10s")
        record = await engine.app.prompts.get("unreachable")
        assert record.live is not None
        assert (record.live.mode, record.live.number, record.code_hash) == ("code", 1, title.body.hash)
    finally:
        await engine.close()
