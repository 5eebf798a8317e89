"""Cancel: whatever a run is doing it ends as cancelled, once, with its cleaning up done and its children told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from agentflow import Retry, RunCancelled, approve, context, sleep, step, task
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import RunNotFound, WaitpointTimedOut
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.testing import Engine

YEAR = 365 * 86_400_000_000


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(slots=4, hot_limit=1_000 if request.param == "in memory" else 0, hot_window=YEAR)


@step
async def clean(what: str) -> str:
    return f"cleaned {what}"


@step
async def endless() -> None:
    await asyncio.Event().wait()


@step(retry=Retry(attempts=5, initial="2s", jitter=0))
async def fails_often() -> None:
    raise ValueError("no")


@step(retry=Retry(attempts=5, initial="1h", max="1h", jitter=0))
async def fails_slowly() -> None:
    raise ValueError("no")


@task
async def works() -> None:
    await endless()


@task
async def sleeps() -> None:
    await sleep("1d")


@task
async def asks() -> None:
    await approve("?")


@task
async def retries_a_step_soon() -> None:
    await fails_often()


@task
async def retries_a_step_late() -> None:
    await fails_slowly()


@task(retry=Retry(attempts=5, initial="1h", max="1h", jitter=0))
async def retries() -> None:
    raise ValueError("no")


async def cancelled(engine: Engine, run: RunHandle[Any], reason: str = "enough") -> None:
    """Cancel a run twice, and see that it ends as cancelled and stays so."""
    await run.cancel(reason)
    with pytest.raises(RunCancelled, match=reason) as error:
        await run.result()
    assert error.value.details["reason"] == reason
    ended = await engine.get(run)
    again = await run.cancel("again")
    assert again == ended
    await engine.settle()
    assert await engine.get(run) == ended
    assert await engine.app.runs.waiting_for(run.id) == []
    assert [event.type for event in await engine.events(run)][-2:] == ["run.cancelled", "end"]


async def test_a_queued_run_is_cancelled_at_once_and_never_starts(engine: Engine) -> None:
    """T41, 30"""
    busy = [await engine.start(works) for _ in range(4)]
    await engine.settle()
    run = await engine.start(asks)
    assert (await engine.get(run)).state is RunState.QUEUED
    await cancelled(engine, run)
    for other in busy:
        await other.cancel()
    await engine.settle()
    assert engine.calls(asks) == 0


async def test_a_delayed_run_is_cancelled_at_once_and_never_starts(engine: Engine) -> None:
    """T41"""
    run = await engine.start(asks.using(delay="1h"))
    await cancelled(engine, run)
    await engine.clock.advance("2h")
    assert engine.calls(asks) == 0


async def test_a_running_step_is_stopped(engine: Engine) -> None:
    """T41"""
    run = await engine.start(works)
    await engine.settle()
    assert engine.calls(endless) == 1
    await cancelled(engine, run)
    assert await engine.app.runs.journal(run.id) == []


async def test_a_sleeping_run_is_cancelled(engine: Engine) -> None:
    """T41"""
    run = await engine.start(sleeps)
    await engine.until(run, RunState.WAITING)
    await cancelled(engine, run)
    await engine.clock.advance("2d")
    assert (await engine.get(run)).state is RunState.CANCELLED


async def test_a_waiting_run_is_cancelled_and_its_question_is_closed(engine: Engine) -> None:
    """T41"""
    run = await engine.start(asks)
    [question] = await engine.waiting(run)
    await cancelled(engine, run)
    with pytest.raises(WaitpointTimedOut, match="ended as cancelled"):
        await question.approve(by="maria")


async def test_a_run_that_waits_for_its_next_attempt_makes_none(engine: Engine) -> None:
    """T41"""
    run = await engine.start(retries)
    await engine.until(run, RunState.SCHEDULED)
    await cancelled(engine, run)
    await engine.clock.advance("5h")
    assert engine.calls(retries) == 1


@pytest.mark.parametrize("worker_settings", ["in memory"], indirect=True)
async def test_a_step_that_waits_for_its_next_try_makes_none(engine: Engine) -> None:
    """T41"""
    run = await engine.start(retries_a_step_soon)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.RUNNING
    await cancelled(engine, run)
    await engine.clock.advance("1m")
    assert engine.calls(fails_often) == 1


async def test_a_step_that_waits_long_for_its_next_try_makes_none(engine: Engine) -> None:
    """T41"""
    run = await engine.start(retries_a_step_late)
    await engine.until(run, RunState.WAITING)
    await cancelled(engine, run)
    await engine.clock.advance("5h")
    assert engine.calls(fails_slowly) == 1


async def test_a_run_that_has_ended_is_not_cancelled(engine: Engine) -> None:
    """T41"""

    @task
    async def done() -> str:
        return "done"

    run = await engine.start(done)
    assert await run.result() == "done"
    assert (await run.cancel()).state is RunState.COMPLETED
    assert await run.result() == "done"


async def test_a_run_that_does_not_exist_cannot_be_cancelled(engine: Engine) -> None:
    with pytest.raises(RunNotFound, match="There is no run 'run_nothing'"):
        await engine.app.runs.cancel("run_nothing")


async def test_what_a_cancelled_step_leaves_is_cleaned_up_by_steps(engine: Engine) -> None:
    """T42, 30"""

    @task
    async def careful() -> None:
        try:
            await endless()
        finally:
            for what in range(100):
                await clean(f"{what}")

    run = await engine.start(careful)
    await engine.settle()
    await cancelled(engine, run)
    assert engine.calls(clean) == 100
    assert len(await engine.app.runs.journal(run.id)) == 100


async def test_what_a_cancelled_wait_leaves_is_cleaned_up_by_steps(engine: Engine) -> None:
    """T42"""
    reasons: list[str | None] = []

    @task
    async def careful() -> None:
        try:
            await approve("?")
        finally:
            reasons.append(context().cancelled)
            await clean("up")

    run = await engine.start(careful)
    await engine.until(run, RunState.WAITING)
    await cancelled(engine, run, "changed my mind")
    assert (engine.calls(clean), reasons[-1]) == (1, "changed my mind")


async def test_a_wait_while_cleaning_up_is_refused(engine: Engine) -> None:
    """T42"""
    passed: list[str] = []

    @task
    async def stubborn() -> None:
        try:
            await endless()
        finally:
            passed.append("cleaning")
            await sleep("1d")
            passed.append("slept")

    run = await engine.start(stubborn)
    await engine.settle()
    await cancelled(engine, run)
    assert passed == ["cleaning"]


async def test_code_that_swallows_the_cancel_and_returns_ends_as_cancelled(engine: Engine) -> None:
    """T43"""

    @task
    async def deaf() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await endless()
        return "never mind"

    run = await engine.start(deaf)
    await engine.settle()
    await cancelled(engine, run)


async def test_code_that_swallows_the_cancel_and_works_on_is_stopped_when_its_grace_is_over(engine: Engine) -> None:
    """T43, 30"""

    @task
    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    run = await engine.start(deaf)
    await engine.settle()
    await run.cancel("enough")
    await engine.clock.advance("29s")
    assert (await engine.get(run)).state is RunState.RUNNING
    await engine.clock.advance("2s")
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()
    assert engine.app.worker is not None
    assert engine.app.worker.free == 4


async def test_a_cancel_after_the_last_step_and_before_the_result_is_recorded_ends_the_run_as_cancelled(engine: Engine) -> None:
    """T45"""

    @task
    async def late() -> str:
        await clean("last")
        await engine.app.runs.cancel(context().run_id, "enough")
        return "done"

    run = await engine.start(late)
    with pytest.raises(RunCancelled, match="enough"):
        await run.result()
    assert engine.calls(clean) == 1


async def test_children_follow_their_parent_unless_they_were_told_to_stay(engine: Engine) -> None:
    """T46, 30"""

    @task
    async def parent() -> None:
        follows, stays = asks(), sleeps.using(on_parent_cancel="leave")()
        await asyncio.gather(follows, stays, sleeps.using(on_parent_cancel="cancel").start(), sleeps.start())

    run = await engine.start(parent)
    await engine.settle()
    children = await engine.app.runs.list(parent=run.id)
    assert len(children) == 4
    await cancelled(engine, run)
    await engine.settle()
    states = [(await engine.app.runs.get(child.id)).state.value for child in children]
    assert sorted(states) == ["cancelled", "cancelled", "waiting", "waiting"]


async def test_a_cancel_reaches_grandchildren_with_its_reason(engine: Engine) -> None:
    """T46"""

    @task
    async def child() -> None:
        await asks()

    @task
    async def parent() -> None:
        await child()

    run = await engine.start(parent)
    await engine.settle()
    await cancelled(engine, run, "all of you")
    await engine.settle()
    below = await engine.app.runs.list()
    assert {(one.task, one.state, one.cancel_reason) for one in below} == {
        (name, RunState.CANCELLED, "all of you") for name in ("parent", "child", "asks")
    }


async def test_a_cancellation_and_a_lost_lease_in_one_turn_of_the_loop_leave_nothing_behind(engine: Engine) -> None:
    run = await engine.start(works)
    await engine.settle()
    assert engine.app.worker is not None
    execution = engine.app.worker.active[run.id]
    execution.cancel("enough")
    execution.lose()
    # A coroutine that nobody awaited is told of when it is collected; warnings are errors.
    del execution
    await engine.settle()
    gc.collect()
