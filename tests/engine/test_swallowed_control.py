"""Code that catches everything neither keeps its run in memory nor escapes its cancel: the engine remembers what was swallowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agentflow import RunCancelled, approve, sleep, step, task, wait_for
from agentflow.engine.task import Task
from agentflow.engine.worker import WorkerSettings
from agentflow.records import RunState
from agentflow.testing import Engine

Ask = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0)


@step
async def after(what: str) -> str:
    return f"after {what}"


async def swallow_exception(ask: Ask) -> Any:
    try:
        return await ask()
    except Exception:  # noqa: BLE001 - this is what users write
        return "swallowed"


async def swallow_everything(ask: Ask) -> Any:
    try:
        return await ask()
    except BaseException:  # noqa: BLE001 - this is what users write
        return "swallowed"


async def swallow_cancellation(ask: Ask) -> Any:
    try:
        return await ask()
    except asyncio.CancelledError:
        return "swallowed"


async def suppress_everything(ask: Ask) -> Any:
    with contextlib.suppress(BaseException):
        return await ask()
    return "swallowed"


async def swallow_in_a_finally(ask: Ask) -> Any:
    answer = "swallowed"
    while True:
        try:
            answer = await ask()
        finally:
            break  # noqa: B012 - this is what users write
    return answer


async def swallow_in_a_group(ask: Ask) -> Any:
    answers = await asyncio.gather(ask(), after("beside"), return_exceptions=True)
    return answers[0]


async def swallow_in_a_loop(ask: Ask) -> Any:
    while True:
        with contextlib.suppress(BaseException):
            return await ask()


async def swallow_ten_times(ask: Ask) -> Any:
    for _ in range(10):
        with contextlib.suppress(BaseException):
            return await ask()
    return "swallowed"


SWALLOWS = [
    swallow_exception,
    swallow_everything,
    swallow_cancellation,
    suppress_everything,
    swallow_in_a_finally,
    swallow_in_a_group,
    swallow_in_a_loop,
    swallow_ten_times,
]
swallows = pytest.mark.parametrize("swallow", SWALLOWS, ids=lambda one: one.__name__)


def asking(swallow: Callable[[Ask], Coroutine[Any, Any, Any]]) -> Task[[], list[Any]]:
    """A task that asks inside of code which swallows."""

    async def ask() -> bool:
        return (await approve("?")).approved

    @task
    async def greedy() -> list[Any]:
        answer = await swallow(ask)
        return [answer, await after("all")]

    return greedy


@swallows
async def test_a_swallowed_suspension_still_lets_the_run_go_and_the_answer_brings_it_back(
    engine: Engine, swallow: Callable[[Ask], Coroutine[Any, Any, Any]]
) -> None:
    """T36"""
    greedy = asking(swallow)
    run = await engine.start(greedy)
    [question] = await engine.waiting(run)
    await engine.settle()
    await engine.clock.advance("2m")
    assert engine.app.worker is not None
    assert not engine.app.worker.hot
    assert not engine.app.worker.active
    record = await engine.get(run)
    assert (record.state, record.worker) == (RunState.WAITING, None)
    assert "after" not in [entry.key for entry in await engine.app.runs.journal(run.id)]
    await question.approve(by="maria")
    assert await run.result() == [True, "after all"]
    assert len(await engine.app.waitpoints.list(state=None, run_id=run.id)) == 1


@swallows
async def test_a_swallowed_cancel_of_a_wait_still_ends_the_run_as_cancelled(
    engine: Engine, swallow: Callable[[Ask], Coroutine[Any, Any, Any]]
) -> None:
    """T43"""
    greedy = asking(swallow)
    run = await engine.start(greedy)
    await engine.waiting(run)
    await run.cancel("enough")
    await engine.settle()
    await engine.clock.advance("31s")
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()
    assert engine.app.worker is not None
    assert not engine.app.worker.active


async def test_a_loop_that_waits_and_swallows_for_ever_does_not_stop_the_others(engine: Engine) -> None:
    """T43"""

    @task
    async def greedy() -> None:
        while True:
            with contextlib.suppress(BaseException):
                await sleep("1d")

    @task
    async def modest() -> str:
        await sleep("1h")
        return "here"

    runs = [await engine.start(greedy) for _ in range(3)]
    other = await engine.start(modest)
    await engine.clock.advance("1h")
    assert await other.result() == "here"
    for run in runs:
        await run.cancel("enough")
    await engine.settle()
    await engine.clock.advance("31s")
    for run in runs:
        assert (await engine.get(run)).state is RunState.CANCELLED


async def test_a_lease_lost_inside_of_code_that_swallows_everything_is_lost_all_the_same(engine: Engine) -> None:
    """T4"""
    gates = [asyncio.Event(), asyncio.Event()]
    seen: list[str] = []

    @step
    async def slow() -> str:
        await gates[min(len(seen), 1)].wait()
        return "slow"

    @task
    async def greedy() -> str:
        seen.append("pass")
        with contextlib.suppress(BaseException):
            return await slow()
        with contextlib.suppress(BaseException):
            await after("zombie")
        return "zombie"

    run = await engine.start(greedy)
    await engine.settle()
    await engine.stop()
    for gate in gates:
        gate.set()
    await engine.go_on()
    assert await run.result() == "slow"
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["slow#0"]


async def test_what_a_token_answers_reaches_code_that_swallowed_the_suspension(engine: Engine) -> None:
    """T36"""

    @task
    async def tool(token: str) -> list[Any]:
        found: list[Any] = []
        for attempt in range(3):
            try:
                found.append(await wait_for(token))
            except Exception:  # noqa: BLE001 - this is what users write
                found.append(f"failed {attempt}")
        return found

    token = await engine.app.waitpoints.create()
    run = await engine.start(tool, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("2m")
    await engine.app.waitpoints.answer(token.id, "yes", by="machine")
    assert await run.result() == ["yes"] * 3
