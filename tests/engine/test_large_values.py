"""Values too large for a row pass through whole, wherever they pass."""

from __future__ import annotations

import asyncio

from agentflow import approve, sleep, step, task
from agentflow.records import RunState
from agentflow.testing import Engine

LARGE = "x" * 300_000


async def test_values_over_256_kib_pass_through_input_step_and_output_and_survive_a_crash(engine: Engine) -> None:
    @step
    async def double(text: str) -> str:
        return text * 2

    @task
    async def main(text: str) -> str:
        doubled = await double(text)
        await approve("Go on?")
        return doubled + text

    run = await engine.start(main, LARGE)
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == LARGE * 3
    assert engine.calls(double) == 1
    assert len((await run.get()).input) > 300_000


async def test_the_large_result_of_a_child_that_ended_before_the_wait_arrives_whole(engine: Engine) -> None:
    """24"""

    @task
    async def big() -> str:
        return LARGE

    @task
    async def main() -> int:
        child = await big.start()
        await sleep("1h")
        return len(await child.result()) + len(await big())

    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == 600_000


async def test_a_large_answer_is_told_whole(engine: Engine) -> None:
    @task
    async def main() -> int:
        decision = await approve("Publish?")
        return len((decision.edits or {})["text"])

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    await question.approve(by="maria", edits={"text": LARGE})
    assert await run.result() == 300_000
    assert LARGE in ((await engine.app.waitpoints.get(question.id)).answer or "")


async def test_a_run_with_a_large_input_that_is_dropped_from_memory_while_it_is_answered_goes_on(engine: Engine) -> None:
    @task
    async def main(text: str) -> int:
        await approve("Go on?")
        return len(text)

    run = await engine.start(main, LARGE)
    [question] = await engine.waiting(run)
    await engine.settle()
    answering = asyncio.ensure_future(question.approve(by="maria"))
    worker = engine.app.worker
    assert worker is not None
    while worker.free == engine.settings.slots:
        await asyncio.sleep(0)
    worker.hot.evict_all()
    await answering
    assert await run.result() == 300_000
