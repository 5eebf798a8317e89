"""The registry cannot be reached: at start and in mid-run calls go on with the same hash, and it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agentflow, prompt, task
from agentflow.database.port import T, Transaction
from agentflow.errors import DatabaseUnreachable
from agentflow.prompts.prompt import Prompt
from agentflow.serde import loads
from agentflow.testing import Engine
from tests.contracts.places import through
from tests.faults.flaky import FlakyDatabase
from tests.prompts.saving import Topic, save
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy


class Subject(BaseModel):
    subject: str


title: Prompt[Any] = prompt("unreachable", vars=Topic, text="A title about {{topic}}.")


@task(name="unreachable_asks")
async def asks() -> list[str]:
    filled = await title.get(topic="owls")
    return [filled.text, filled.ref]


away: list[str] = []


class Away(FlakyDatabase):
    """A database that cannot be read while `away` says so, `once` or `always`."""

    async def read(self, transaction: Transaction[T]) -> T:
        if away:
            if away[-1] == "once":
                away.pop()
            transaction.close()
            raise DatabaseUnreachable("It is away.", hint="Come back.")
        return await super().read(transaction)


@pytest.fixture
async def engine(tmp_path: Path, stream_server: str) -> AsyncIterator[Engine]:
    global title
    title = prompt("unreachable", vars=Topic, text="A title about {{topic}}.")
    away.clear()
    made = Engine(tmp_path, stream_server, wrap=Away)
    await made.open()
    yield made
    away.clear()
    await made.close()


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    async with Proxy.running(postgres.port) as started:
        yield started


class Losing:
    """Loses a connection once, at the end of a transaction that says a word: what is only read is asked for again without one."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.lost: list[bytes] = []

    def at(self, word: bytes) -> None:
        """Wait for the word."""
        begun: list[bytes] = []

        def watch(chunk: bytes) -> None:
            if word in chunk:
                begun.append(word)
            elif b"COMMIT" in chunk and begun and word not in self.lost:
                self.lost.append(word)
                self.proxy.cut()

        self.proxy.watch = watch


async def test_a_registry_that_is_lost_at_start_and_in_mid_run_changes_no_hash(
    proxy: Proxy, migrated_url: str, tmp_path: Path, stream_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    losing = Losing(proxy)
    losing.at(b"INSERT INTO prompt_versions")
    async with Agentflow([asks], database=through(migrated_url, proxy.port), redis=stream_server, directory=tmp_path) as app:
        assert losing.lost
        assert "cannot be registered" in caplog.text
        assert "unreachable" not in [one.name for one in await app.prompts.list()]
        losing.at(b"INSERT INTO prompt_pins")
        run = await asks.start()
        assert await run.result() == ["A title about owls.", f"unreachable@v1#{title.body.hash[7:13]}"]
        assert len(losing.lost) == 2
        assert "cannot record its work" in caplog.text
        [entry] = await app.runs.journal(run.id)
        assert loads(entry.value or "{}")["hash"] == title.body.hash


async def test_prompts_that_could_not_be_registered_at_start_are_registered_later(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    global title
    title = prompt("unreachable", vars=Topic, text="Better about {{topic}}.")
    await engine.stop()
    away.append("once")
    await engine.go_on()
    assert caplog.text.index("cannot be registered") < caplog.text.index("are registered now")
    assert await (await engine.start(asks)).result() == ["Better about owls.", f"unreachable@v2#{title.body.hash[7:13]}"]
    record = await engine.app.prompts.get("unreachable")
    assert (record.code_hash, record.code_ahead) == (title.body.hash, False)


async def test_what_a_rollout_chose_for_other_variables_or_does_not_fit_is_not_gone_by(engine: Engine) -> None:
    global title
    two = await save("unreachable", engine, "Two {{topic}}")
    owls: Any = {"variables": {"topic": ["owls"]}}
    await engine.app.prompts.rollout("unreachable", weights={two: 1}, baseline=1, conditions=owls, actor="maria")
    for text in ("Two owls", "A title about frogs."):
        assert (await title.get(topic=text.split()[-1].strip("."))).text == text
    away.append("always")
    for text in ("Two owls", "A title about frogs.", "A title about newts."):
        assert (await title.get(topic=text.split()[-1].strip("."))).text == text
    away.clear()
    await engine.clock.advance("15s")
    await engine.app.prompts.release("unreachable", to=two, actor="maria")
    assert (await title.get(topic="newts")).text == "Two newts"
    away.append("always")
    other: Prompt[Any] = prompt("unreachable", vars=Subject, text="On {{subject}}.")
    assert (await other.get(subject="owls")).text == "On owls."


async def test_code_outside_of_runs_waits_for_no_registry_and_tells_of_it_later(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async def said() -> str:
        return (await title.get(topic="owls")).text

    two = await save("unreachable", engine, "Two {{topic}}")
    await engine.app.prompts.release("unreachable", to=two, actor="maria")
    assert await said() == "Two owls"
    away.append("always")
    assert [await said() for _ in range(3)] == ["Two owls"] * 3
    other: Prompt[Any] = prompt("unreachable/new", vars=Topic, text="New {{topic}}.")
    assert (await other.get(topic="owls")).ref == f"unreachable/new#{other.body.hash[7:13]}"
    assert caplog.text.count("goes by v2") == 2, "once for each reason"
    away.clear()
    assert await said() == "Two owls"
    assert [one.type for one in await engine.app.prompts.events("unreachable")][-1] == "released", "it is left alone for 15 s"
    await engine.clock.advance("15s")
    assert await said() == "Two owls"
    told = [one for one in await engine.app.prompts.events("unreachable") if one.type == "prompt.fallback"]
    assert sorted((one.reason, loads(one.after or "{}")["count"]) for one in told) == [
        ("database_unreachable: It is away.", 1),
        ("unreachable", 3),
    ]
    assert {loads(one.after or "{}")["hash"] for one in told} == {(await engine.app.prompts.version("unreachable", two)).hash}
