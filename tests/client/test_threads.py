"""Conversations through the Python client, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agent, Agentflow, ai
from agentflow.client import Client
from agentflow.client.threads import ClientThread
from agentflow.errors import RunCancelled, ThreadBusy, ThreadExists, ThreadNotFound
from agentflow.testing.models import call, scripted_model, text
from tests.server.site import Site, site_of


async def permit() -> str:
    """Do what a person has to allow."""
    return "done"


@pytest.fixture
async def desk(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    model = scripted_model([text("a1")], [call("permit", {}, id="c1")], [text("a2")], [text("a3")])
    support = Agent("support", model=model, tools=[ai.tool(permit, approval=True)])
    async with Agentflow([support], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


@pytest.fixture
async def thread(desk: Site) -> AsyncIterator[ClientThread]:
    async with Client(desk.url) as client:
        yield client.thread("t 7?")


async def test_a_conversation_is_held_forked_and_answered_anew(thread: ClientThread) -> None:
    with pytest.raises(ThreadNotFound):
        await thread.history()
    first = await thread.send("q1", idempotency_key="k")
    assert (await thread.send("q1", idempotency_key="k")).id == first.id
    assert await first.result() == "a1"
    assert (await thread.active(), await thread.stop()) == (None, None)
    forked = await thread.fork(at=2, id="other")
    with pytest.raises(ThreadExists):
        await thread.fork(at=1, id="other")
    assert await (await forked.regenerate("edited")).result() == "a1"
    assert [part["content"] for one in await forked.history() for part in one["parts"]] == ["edited", "a1"]


async def test_the_run_at_work_is_steered_and_stopped(desk: Site, thread: ClientThread) -> None:
    await (await thread.send("q1")).result()
    run = await thread.send("q2")
    await desk.waiting(run.id)
    assert (await thread.send("now", mode="steer")).id == run.id
    active = await thread.active()
    assert active is not None
    assert active.id == run.id
    with pytest.raises(ThreadBusy):
        await thread.regenerate()
    stopped = await thread.stop(run=run.id, reason="enough")
    assert stopped is not None
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()
