"""Read me first: what agentflow does, one thing per test. The fixture `engine` comes with the package."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import Retry, RunFailed, approve, context, sleep, step, task
from agentflow.testing import Engine


@step
async def fetch(page: int) -> str:
    return f"page {page}"


@task
async def research(pages: int) -> list[str]:
    """Read some pages, all at once."""
    return list(await asyncio.gather(*(fetch(page) for page in range(pages))))


async def test_outside_of_a_run_tasks_and_steps_are_plain_functions() -> None:
    assert await fetch(1) == "page 1"
    assert await research(2) == ["page 0", "page 1"]


async def test_a_task_is_started_and_its_result_waited_for(engine: Engine) -> None:
    run = await engine.start(research, pages=2)
    assert await run.result() == ["page 0", "page 1"]


async def test_a_step_that_is_recorded_never_runs_again_not_even_after_a_crash(engine: Engine) -> None:
    @task
    async def report() -> str:
        first = await fetch(1)
        await sleep("1d")
        return f"{first}, {await fetch(2)}"

    run = await engine.start(report)
    await engine.waiting(run)
    await engine.crash()
    await engine.clock.advance("1d")
    assert await run.result() == "page 1, page 2"
    assert engine.calls(fetch) == 2


async def test_a_step_is_tried_again_when_it_fails(engine: Engine) -> None:
    @step(retry=Retry(attempts=3, initial="10s"))
    async def unreliable() -> str:
        if engine.calls(unreliable) < 3:
            raise ConnectionError
        return "at last"

    @task
    async def stubborn() -> str:
        return await unreliable()

    run = await engine.start(stubborn)
    await engine.clock.advance("1m")
    assert await run.result() == "at last"


async def test_a_run_waits_for_a_person_for_as_long_as_it_takes_and_holds_nothing(engine: Engine) -> None:
    @task
    async def publish(draft: str) -> str:
        decision = await approve("Publish?", body=draft, expires="3d")
        return f"published, says {decision.by}" if decision.approved else "kept back"

    run = await engine.start(publish, "Hello")
    [question] = await engine.waiting(run)
    await engine.clock.advance("2d")
    await question.approve(by="maria")
    assert await run.result() == "published, says maria"


async def test_a_task_that_calls_another_waits_for_a_child_run(engine: Engine) -> None:
    @task
    async def summarize(pages: int) -> int:
        return sum(len(page) for page in await research(pages))

    run = await engine.start(summarize, 3)
    assert await run.result() == 18
    [child] = await engine.app.runs.list(parent=run.id)
    assert child.task == "research"


async def test_readers_follow_a_run_while_it_works(engine: Engine) -> None:
    @task
    async def working() -> None:
        context().metadata["stage"] = "reading"
        await fetch(1)

    run = await engine.start(working)
    seen = [told.event.type async for told in run.events()]
    assert {"run.started", "run.progress", "step.completed", "run.completed"} <= set(seen)
    assert seen[-1] == "end"


async def test_a_run_that_fails_says_why(engine: Engine) -> None:
    @task
    async def broken() -> None:
        raise ValueError("the oven is cold")

    run = await engine.start(broken)
    with pytest.raises(RunFailed, match="the oven is cold"):
        await run.result()
