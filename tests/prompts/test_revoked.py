"""A version that was taken back is given to nobody any more, and who held it gets out."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import approve, prompt, task
from agentflow.errors import RunFailed, VersionRevoked
from agentflow.prompts.body import Body, Message
from agentflow.prompts.pinning import Choosing, version_for
from agentflow.prompts.prompt import Prompt
from agentflow.records import RunState
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save


class Subject(BaseModel):
    subject: str


title: Prompt[Any] = prompt("revoked", vars=Topic, text="A title about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "leaks"}


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global title
    title = prompt("revoked", vars=Topic, text="A title about {{topic}}.")


saved = partial(save, "revoked")


async def said(**how: Any) -> str:
    return (await title.get(topic="owls", **how)).text


@pytest.mark.parametrize("policy", ["pause", "fail"])
async def test_outside_of_runs_the_code_s_own_version_is_refused_once_it_is_revoked(engine: Engine, policy: str) -> None:
    await engine.app.prompts.revoke("revoked", 1, policy=policy, **MARIA)
    with pytest.raises(VersionRevoked, match="v1 of revoked is revoked"):
        await said()


async def test_code_that_cannot_fill_what_is_live_does_not_fall_back_to_a_revoked_version(engine: Engine) -> None:
    global title
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("revoked", to=two, **MARIA)
    title = prompt("revoked", vars=Subject, text="About {{subject}}.")
    await prompts.deploy("ci")
    four = (await prompts.save("revoked", Body((Message("user", "On {{subject}}."),)), actor="maria")).number

    @task(name="revoked_own")
    async def own() -> str:
        return (await title.get(subject="owls")).text

    assert await (await engine.start(own)).result() == "About owls."
    await prompts.revoke("revoked", 3, policy="fail", **MARIA)
    with pytest.raises(RunFailed, match="v3 of revoked is revoked"):
        await (await engine.start(own)).result()
    await prompts.revoke("revoked", 3, policy=f"repin:{four}", **MARIA)
    assert await (await engine.start(own)).result() == "On owls."


async def test_a_thread_that_holds_a_version_that_was_taken_back_takes_what_is_live_then(engine: Engine) -> None:
    @task(name="revoked_turn")
    async def turn() -> str:
        values = {"topic": "owls"}
        return (await version_for(title.wanted(values, None, Choosing(pin="thread")))).fill(values).text

    async def next_turn() -> str:
        return await (await engine.start(turn.using(thread="t-revoked"))).result()

    prompts = engine.app.prompts
    assert await next_turn() == "A title about owls."
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("revoked", to=two, **MARIA)
    await prompts.revoke("revoked", 1, policy="fail", **MARIA)
    assert await next_turn() == "Two owls"
    await prompts.release("revoked", to=three, **MARIA)
    assert await next_turn() == "Two owls"


@task(name="revoked_child")
async def child() -> list[str]:
    return [await said(), await said()]


@task(name="revoked_parent")
async def parent() -> list[str]:
    found = [await said()]
    await approve("?", expires=None)
    return [*found, *await child()]


async def test_a_run_below_one_that_holds_a_version_that_was_taken_back_takes_what_is_live_then(engine: Engine) -> None:
    prompts = engine.app.prompts
    run = await engine.start(parent)
    [question] = await engine.waiting(run)
    await prompts.release("revoked", to=await saved(engine, "Two {{topic}}"), **MARIA)
    await prompts.revoke("revoked", 1, policy="pause", **MARIA)
    await question.approve(by="maria")
    assert await run.result() == ["A title about owls.", "Two owls", "Two owls"]


async def test_a_run_that_holds_nothing_yet_is_moved_to_a_version_that_is_good(engine: Engine) -> None:
    prompts = engine.app.prompts
    await prompts.revoke("revoked", 1, policy="pause", **MARIA)
    run = await engine.start(child)
    await engine.until(run, RunState.PAUSED)
    await prompts.repin(run.id, "revoked", to=await saved(engine, "Two {{topic}}"), actor="maria")
    await engine.app.runs.resume(run.id)
    assert await run.result() == ["Two owls", "Two owls"]


async def test_a_version_that_code_insists_on_is_moved_only_once_it_is_taken_back(engine: Engine) -> None:
    @task(name="revoked_insists")
    async def insists() -> list[str]:
        found = [await said(), await said(version=1)]
        await approve("?", expires=None)
        found += [await said(), await said(version=1)]
        await approve("?", expires=None)
        return [*found, await said(version=1)]

    prompts = engine.app.prompts
    run = await engine.start(insists)
    [question] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    await prompts.repin(run.id, "revoked", to=two, actor="maria")
    await question.approve(by="maria")
    [question] = await engine.waiting(run)
    assert {(one.label, one.number) for one in await prompts.pins("revoked")} == {("live", two), ("@1", 1)}
    await prompts.revoke("revoked", 1, policy="pause", **MARIA)
    await question.approve(by="maria")
    await engine.until(run, RunState.PAUSED)
    await prompts.repin(run.id, "revoked", to=two, actor="maria")
    await engine.app.runs.resume(run.id)
    assert (await run.result())[-1] == "Two owls"
