"""Runs: started, replayed after a crash, retried, ended."""

from __future__ import annotations

import asyncio

from agentflow import Retry, RunFailed, step, task
from agentflow.records import RunState
from agentflow.testing import Engine

import pytest


@step
async def one() -> int:
    return 1


@step
async def two() -> int:
    return 2


async def test_recorded_steps_do_not_run_again_after_a_crash_and_the_open_one_does(engine: Engine) -> None:
    gate = asyncio.Event()

    @step
    async def slow() -> int:
        await gate.wait()
        return 4

    @task
    async def four() -> int:
        return await one() + await two() + await one() + await slow()

    run = await engine.start(four)
    await engine.settle()
    await engine.stop()
    gate.set()
    await engine.go_on()
    assert await run.result() == 8
    assert (engine.calls(one), engine.calls(two), engine.calls(slow)) == (2, 1, 2)


async def test_a_failing_run_is_tried_again_and_ends_with_the_success(engine: Engine) -> None:
    seen: list[int] = []

    @task(retry=Retry(attempts=3, initial="1m", jitter=0))
    async def flaky() -> str:
        seen.append(1)
        if len(seen) < 2:
            raise ValueError("not yet")
        return "done"

    run = await engine.start(flaky)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("1m")
    assert await run.result() == "done"
    assert (await engine.get(run)).attempt == 2


async def test_the_last_failure_ends_the_run_with_type_and_message(engine: Engine) -> None:
    @task
    async def broken() -> None:
        raise ValueError("no")

    run = await engine.start(broken)
    with pytest.raises(RunFailed, match="ValueError: no"):
        await run.result()
