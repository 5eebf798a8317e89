"""A run that holds a version goes on with it beside its waits, after what was refused, and with words that change by the day."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import approve, prompt, sleep, task
from agentflow.errors import VersionNotFound
from agentflow.prompts.prompt import Prompt
from agentflow.records import RunState
from agentflow.testing import Engine
from tests.prompts.saving import save


class Number(BaseModel):
    n: int


count: Prompt[Any] = prompt("resumed", vars=Number, text="Count {{n}}.")


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global count
    count = prompt("resumed", vars=Number, text="Count {{n}}.")


saved = partial(save, "resumed")


async def said(n: int, **how: Any) -> str:
    return (await count.get(n=n, **how)).text


@pytest.mark.parametrize("pin", ["run", "step"])
async def test_a_branch_beside_a_wait_gets_its_version_under_the_lease_that_it_roused(engine: Engine, pin: str) -> None:
    enough, began = asyncio.Event(), [0]

    async def later() -> str:
        await enough.wait()
        return await said(1, pin=pin)

    @task(name=f"resumed_beside_{pin}")
    async def both() -> str:
        began[0] += 1
        return (await asyncio.gather(approve("?"), later()))[1]

    run = await engine.start(both)
    await engine.waiting(run)
    enough.set()
    await engine.settle()
    [question] = await engine.waiting(run)
    [entry] = await engine.app.runs.journal(run.id)
    assert entry.epoch == (await engine.get(run)).epoch
    await question.approve(by="maria")
    assert await run.result() == "Count 1."
    assert began == [1]


async def test_what_a_run_was_moved_to_midway_is_not_compared_with_what_it_says_first(engine: Engine) -> None:
    async def talk() -> list[str]:
        found = [await said(1)]
        await approve("?", expires=None)
        found.append(await said(2))
        await sleep("1d")
        return found

    @task(name="resumed_midway")
    async def midway() -> list[str]:
        return await talk()

    run = await engine.start(midway)
    [question] = await engine.waiting(run)
    await engine.app.prompts.repin(run.id, "resumed", to=await saved(engine, "Say {{n}}!"), actor="maria")
    await question.approve(by="maria")
    await engine.settle()
    await engine.stop()

    @task(name="resumed_midway")
    async def changed() -> list[str]:
        return [*await talk(), "new"]

    await engine.go_on({"resumed_midway": changed})
    await engine.clock.advance("1d")
    assert await run.result() == ["Say 1!", "Say 2!", "new"]


async def test_the_same_code_may_say_another_day(engine: Engine) -> None:
    """S6"""
    days = iter(range(9))

    @task(name="resumed_days")
    async def daily() -> str:
        found = await said(next(days))
        await sleep("1d")
        return found

    run = await engine.start(daily)
    await engine.until(run, RunState.WAITING)
    await engine.crash()
    await engine.clock.advance("1d")
    assert await run.result() == "Count 1."


async def test_who_was_refused_may_ask_again(engine: Engine) -> None:
    @task(name="resumed_refused")
    async def stubborn() -> list[str]:
        found: list[str] = []
        for _ in range(2):
            try:
                found.append(await said(1, version=2))
            except VersionNotFound as error:
                found.append(error.message)
                await approve("?", expires=None)
        return found

    run = await engine.start(stubborn)
    [question] = await engine.waiting(run)
    await saved(engine, "Say {{n}}!")
    await question.approve(by="maria")
    assert await run.result() == ["resumed has no version v2.", "Say 1!"]


async def test_who_was_cancelled_while_asking_may_ask_again(engine: Engine) -> None:
    @task(name="resumed_cancelled")
    async def hasty() -> str:
        first = asyncio.ensure_future(said(1))
        await asyncio.sleep(0)
        first.cancel()
        return await said(2)

    run = await engine.start(hasty)
    assert await run.result() == "Count 2."
    assert len(await engine.app.runs.journal(run.id)) == 1
