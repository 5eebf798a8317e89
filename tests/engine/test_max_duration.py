"""`max_duration`: how long a run may work. Waiting does not count."""

from __future__ import annotations

from contextlib import suppress

import pytest

from agentflow import Retry, context, sleep, step, task
from agentflow.records import RunState
from agentflow.serde import decode_failure
from agentflow.testing import Engine

TWICE = Retry(attempts=3, initial="1m", factor=2, max="10m", jitter=0)


async def test_only_work_counts_towards_the_longest_duration_and_waiting_does_not(engine: Engine) -> None:
    """forty 11"""

    @step
    async def work() -> None:
        await engine.clock.sleep("4m")

    @task(max_duration="10m")
    async def main() -> str:
        await work()
        await sleep("3d")
        await work()
        return "done"

    run = await engine.start(main)
    await engine.clock.advance("4m")
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("3d")
    await engine.clock.advance("4m")
    assert await run.result() == "done"
    assert (await engine.get(run)).active == 8 * 60 * 1_000_000


@pytest.mark.parametrize("crash", [False, True])
async def test_a_run_that_works_longer_than_it_may_fails_and_is_not_tried_again(engine: Engine, crash: bool) -> None:
    """forty 11"""

    @step
    async def work() -> None:
        await engine.clock.sleep("4m")

    @task(max_duration="10m", retry=TWICE)
    async def main() -> None:
        for _ in range(9):
            await work()
            await sleep("1d")

    run = await engine.start(main)
    for _ in range(2):
        await engine.clock.advance("4m")
        await engine.until(run, RunState.WAITING)
        if crash:
            await engine.crash()
        await engine.clock.advance("1d")
    await engine.clock.advance("2m")
    failed = decode_failure((await engine.until(run, RunState.FAILED)).error or "")
    assert failed.code == "timeout"
    assert (await engine.get(run)).attempt == 1


async def test_code_that_swallows_its_timeout_still_ends_as_timed_out(engine: Engine) -> None:
    @step
    async def work() -> None:
        await engine.clock.sleep("4m")

    ended = False

    @task(max_duration="10m")
    async def main() -> None:
        while not ended:
            with suppress(BaseException):
                await work()

    run = await engine.start(main)
    await engine.clock.advance("10m")
    await engine.clock.advance("1m")
    ended = True
    failed = decode_failure((await engine.until(run, RunState.FAILED)).error or "")
    assert failed.code == "timeout"


async def test_a_run_knows_its_deadline(engine: Engine) -> None:
    @task(max_duration="10m")
    async def main() -> float:
        await sleep("1d")
        deadline = context().deadline
        assert deadline is not None
        return deadline.timestamp()

    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1d")
    assert await run.result() == engine.clock.now() / 1_000_000 + 600
