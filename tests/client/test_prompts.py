"""Prompts through the Python client: the verbs of the app, and its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, prompt, task
from agentflow.client import Client
from agentflow.errors import (
    BindingConflict,
    ContractError,
    PromptNotFound,
    ReleaseRequested,
    RunError,
    RunNotFound,
    TemplateError,
    VersionNotFound,
)
from agentflow.prompts.body import Body, Message
from agentflow.prompts.registry import known
from agentflow.storage.rollouts import Guard
from tests.server.site import site_of


@task(name="client_prompted")
async def prompted() -> str:
    coded: Any = known["mail/title"]
    return (await coded.get()).text


@pytest.fixture
async def opened(tmp_path: Path, stream_server: str) -> AsyncIterator[tuple[Client, Agentflow, Any]]:
    coded = prompt("mail/title", text="A title.", params={"temperature": 0.1, "stop": ["é"]})
    async with Agentflow([prompted], directory=tmp_path, redis=stream_server) as app, site_of(app) as site, Client(site.url) as client:
        yield client, app, coded


def said(text: str) -> str:
    return Body((Message("user", text),)).json


async def test_a_version_is_saved_released_and_taken_back_as_the_app_does_it(opened: tuple[Client, Agentflow, Any]) -> None:
    client, app, coded = opened
    prompts = client.prompts
    assert "mail/title" in [one["name"] for one in await prompts.list()]
    first = await prompts.version("mail/title", coded.body.hash)
    assert first.body == coded.body.json
    second = await prompts.save("mail/title", said("A short title."), by="maria", note="shorter")
    assert [one.number for one in await prompts.versions("mail/title")] == [2, 1]
    assert (await prompts.diff("mail/title", 1, 2))["same"] is False
    released = await prompts.release("mail/title", to=second.number, env="prod", by="maria", reason="shorter", expires="3d", expect_rev=1)
    theirs = (await app.prompts.get("mail/title")).live
    assert theirs is not None
    assert (released.number, released.rev, released.mode) == (theirs.number, theirs.rev, theirs.mode) == (2, 2, "pinned")
    assert released.expires_at == released.updated_at + 3 * 24 * 3600 * 1_000_000
    with pytest.raises(BindingConflict) as late:
        await prompts.rollback("mail/title", env="prod", by="tom", expect_rev=1)
    assert late.value.details["binding"]["rev"] == 2
    assert (await prompts.rollback("mail/title", env="prod", by="tom")).number == 1
    assert (await prompts.rollout("mail/title", weights={1: 0.5, 2: 0.5}, env="prod", by="tom")).weights == {1: 0.5, 2: 0.5}
    terms: Any = {"baseline": 1, "ramp": [("0h", 0.2), ("2h", 1)], "conditions": {"tags": ["beta"]}, "guard": Guard("cost", 0.1)}
    ramped = await prompts.rollout("mail/title", weights={2: 1}, env="prod", by="tom", **terms)
    begun = (await app.prompts.get("mail/title")).live
    assert begun is not None
    assert begun.rolled is not None
    assert ramped.rolled is not None
    assert (ramped.weights, ramped.rolled.plan) == ({1: 0.8, 2: 0.2}, begun.rolled.plan)
    assert (await prompts.follow_code("mail/title", env="prod", by="tom")).mode == "code"


async def test_a_run_is_moved_and_repeated_and_a_thread_upgraded(opened: tuple[Client, Agentflow, Any]) -> None:
    client, app, _ = opened
    prompts = client.prompts
    two = await prompts.save("mail/title", said("A short title."), by="maria")
    run = await client.start("client_prompted")
    assert await run.result() == "A title."
    with pytest.raises(RunError):
        await prompts.repin(run.id, "mail/title", to=two.number, by="maria")
    again = await prompts.replay(run.id, {"mail/title": two.number}, by="ana")
    assert (await app.runs.get(again.id)).started_by == "ana"
    assert await again.result() == "A short title."
    await prompts.release("mail/title", to=two.number, env="prod", by="maria")
    assert [await (await prompts.replay(run.id, how)).result() for how in (None, "current")] == ["A title.", "A short title."]
    assert await prompts.upgrade("t-nobody", "mail/title", by="maria") is False
    with pytest.raises(VersionNotFound):
        await prompts.replay(run.id, {"mail/title": 9})
    with pytest.raises(RunNotFound):
        await prompts.replay("run_nobody")
    await app.queues.pause("default", by="maria")
    held = await prompts.replay(run.id)
    assert (await prompts.repin(held.id, "mail/title", to="v2", by="maria", reason="try")).number == two.number
    await app.queues.resume("default")
    assert await held.result() == "A short title."


async def test_what_the_server_refuses_is_raised_as_what_it_is(opened: tuple[Client, Agentflow, Any]) -> None:
    prompts = opened[0].prompts
    with pytest.raises(PromptNotFound):
        await prompts.get("nowhere")
    with pytest.raises(VersionNotFound):
        await prompts.release("mail/title", to=7, env="prod", by="maria")
    with pytest.raises(ContractError, match="no variable x"):
        await prompts.save("mail/title", said("{{x}}"), by="maria")
    with pytest.raises(TemplateError) as wrong:
        await prompts.save("mail/title", said("{{"), by="maria")
    assert (wrong.value.details["line"], wrong.value.details["column"]) == (1, 1)
    contract: dict[str, Any] = {"properties": {"x": {}}, "required": ["x"]}
    assert (await prompts.save("new", said("{{x}}"), by="maria", contract=contract)).number == 1


async def test_a_release_that_others_must_agree_to_is_raised_and_found_again(opened: tuple[Client, Agentflow, Any]) -> None:
    client, app, _ = opened
    prompts = client.prompts
    await prompts.save("mail/title", said("A short title."), by="maria")
    assert await prompts.policy("mail/title", "prod") is None
    assert (await prompts.set_policy("mail/title", env="prod", by="ops", people=1, reason="four eyes"))["people"] == 1
    assert [one["prompt"] for one in await prompts.policies()] == ["mail/title"]
    with pytest.raises(ReleaseRequested) as asked:
        await prompts.release("mail/title", to=2, env="prod", by="maria")
    request = asked.value.details["request"]
    assert (await prompts.request(request))["status"] == "asked"
    async with asyncio.timeout(30):
        while not await app.runs.waiting_for(asked.value.details["run"]):
            await asyncio.sleep(0)
    await client.waitpoints.approve(asked.value.details["waitpoint"], by="ann")
    await app.runs.ended(asked.value.details["run"], "30s")
    assert [(one["id"], one["status"]) for one in await prompts.requests("mail/title")] == [(request, "released")]
