"""The Python client against a real server: the verbs, the errors, and a stream that goes on whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agentflow import Agentflow
from agentflow.client import Client
from agentflow.errors import (
    InvalidPayload,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunTimeout,
    ServerUnreachable,
    TokenInvalid,
    UnknownTask,
    WaitpointAlreadyAnswered,
)
from agentflow.records import RunState
from agentflow.streams.codec import StoredEvent
from agentflow.streams.fold import Fold
from tests.server.site import PATIENCE, Site, site_of
from tests.server.tasks import TASKS, WORDS
from tests.servers.process import free_port
from tests.servers.proxy import Proxy


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    async with Client(site.url) as opened:
        yield opened


async def test_a_run_is_started_followed_and_has_its_result(client: Client) -> None:
    run = await client.start("greet", name="ada", loud=True)
    fold = Fold().apply_all([event async for event in run.events()])
    assert (fold.state, fold.output, fold.ended) == ("completed", "ADA", True)
    assert await run.result(timeout="10s") == "ADA"
    assert (await run.get()).state is RunState.COMPLETED


async def test_records_over_http_are_those_of_the_app(client: Client, site: Site) -> None:
    handle = await client.start_json("publish", '{"draft": "x"}', {"tags": ["vip"], "metadata": {"n": 1}})
    waiting = await site.waiting(handle.id)
    mine, theirs = await client.runs.get(handle.id), await site.app.runs.get(handle.id)
    hidden = {"key": 0, "epoch": 0, "wakes": 0, "code": None}
    millis = {name: getattr(theirs, name) // 1_000 * 1_000 for name in ("created_at", "started_at", "active")}
    assert mine == replace(theirs, **hidden, **millis)
    [one] = await client.waitpoints.list(run_id=handle.id)
    assert (one.id, one.run_id, one.subject) == (waiting["id"], handle.id, (await site.app.waitpoints.get(one.id)).subject)
    assert [run.id for run in await client.runs.list(tag="vip", status="waiting")] == [handle.id]


async def test_questions_are_answered_and_whoever_is_late_is_told(client: Client, site: Site) -> None:
    run = await client.start("publish", draft="x")
    waiting = await site.waiting(run.id)
    assert (await client.waitpoints.approve(waiting["id"], by="maria", reason="good")).answered_by == "maria"
    assert await run.result() == {"approved": True, "by": "maria", "edits": None}
    with pytest.raises(WaitpointAlreadyAnswered) as late:
        await client.waitpoints.deny(waiting["id"], by="ben")
    assert late.value.http_status == 409
    older = await client.start("publish", draft="y")
    ended = await client.waitpoints.supersede((await site.waiting(older.id))["id"], by="ben", reason="a newer draft")
    assert (ended.state.value, ended.answered_by, (await older.result())["approved"]) == ("cancelled", "ben", False)
    token = (await site.app.waitpoints.create()).id
    collecting = await client.start("collect", token=token)
    await client.waitpoints.answer(token, {"a": 1}, by="farm")
    assert await collecting.result() == {"a": 1}


async def test_what_the_server_refuses_is_raised_as_what_it_is(client: Client) -> None:
    with pytest.raises(UnknownTask, match="nothing"):
        await client.start("nothing")
    with pytest.raises(InvalidPayload, match="name") as error:
        await client.start("greet", nam="ada")
    assert error.value.details["problems"]
    for asked in (client.runs.get("run_0"), client.runs.cancel("run_0"), client.runs.ended("run_0", "5s")):
        with pytest.raises(RunNotFound):
            await asked
    with pytest.raises(RunFailed, match="this never works"):
        await (await client.start("broken")).result()


async def test_a_run_that_does_not_end_times_out_for_its_caller_alone(client: Client) -> None:
    run = await client.start("publish", draft="x")
    with pytest.raises(RunTimeout):
        await run.result(timeout=0.2)
    await run.cancel("enough")
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()


async def test_no_server_and_something_else_than_a_server_are_told_apart(site: Site) -> None:
    async with Client(f"http://127.0.0.1:{free_port()}") as nobody:
        with pytest.raises(ServerUnreachable, match="does not answer"):
            await nobody.start("greet", name="ada")
    async with site_of(site.app, api_key="right") as locked, Client(locked.url, "wrong") as stranger:
        with pytest.raises(TokenInvalid):
            await stranger.start("greet", name="ada")
        async with aclosing(stranger.follow("run_0", None)) as events:
            with pytest.raises(TokenInvalid):
                await anext(events)


async def test_a_stream_that_is_cut_again_and_again_is_heard_whole(site: Site) -> None:
    async with Proxy.running(int(site.url.rpartition(":")[2])) as proxy:
        async with Client(f"http://127.0.0.1:{proxy.port}") as client:
            token = (await site.app.waitpoints.create()).id
            run = await client.start("talk", token=token)
            heard: list[StoredEvent] = []
            async with asyncio.timeout(PATIENCE), aclosing(client.runs.events(run.id, None)) as events:
                async for event in events:
                    heard.append(event)
                    if len(heard) in (2, 5, 9):
                        proxy.cut()
                    if event.type == "run.waiting":
                        await site.app.waitpoints.answer(token, 1, by="test")
        ids = [event.id for event in heard]
        assert ids == sorted(set(ids))
        assert Fold().apply_all(heard).text == "".join(WORDS)


async def test_a_stream_that_redis_lost_is_told_anew(tmp_path: Path, stream_server: str) -> None:
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server) as app, site_of(app) as site, Client(site.url) as client:
        run = await client.start("greet", name="ada", loud=True)
        before = [event async for event in run.events()]
        await app.streams.forget([run.id])
        after = [event async for event in run.events(after=str(before[1].id))]
        assert after[0].type == "sync.snapshot"
        fold = Fold().apply_all([*before[:2], *after])
        assert (fold.state, fold.output, [step.state for step in fold.steps.values()]) == ("completed", "ADA", ["completed"])
