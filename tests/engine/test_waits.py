"""Waits: a run lets go of its slot, goes on where it was, and loses no wake-up; in memory and replayed alike."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest

from agentflow import Retry, RunFailed, approve, context, sleep, step, task, wait_for
from agentflow.engine.worker import WorkerSettings
from agentflow.records import RunState, WaitKind
from agentflow.testing import Engine

HOUR = 3_600_000_000


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 24 * HOUR)


@step
async def work(name: str) -> str:
    return f"did {name}"


@step
async def broken() -> None:
    raise ValueError("no")


async def test_a_run_goes_on_after_a_sleep_with_the_same_locals(engine: Engine) -> None:
    """12"""

    @task
    async def nap() -> list[str]:
        before = await work("before")
        await sleep("1s")
        return [before, await work("after")]

    run = await engine.start(nap)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("999ms")
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.clock.advance("1ms")
    assert await run.result() == ["did before", "did after"]
    assert engine.calls(work) == 2


async def test_a_sleep_of_days_costs_no_slot_no_lease_and_no_work(engine: Engine) -> None:
    """T40"""

    @task(max_duration="1m")
    async def patient() -> str:
        await sleep("30d")
        return "awake"

    run = await engine.start(patient)
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    worker = engine.app.worker
    assert worker is not None
    assert not worker.active
    assert worker.free == worker.settings.slots
    assert (await engine.get(run)).worker is None
    await engine.clock.advance("30d")
    assert await run.result() == "awake"
    assert (await engine.get(run)).active == 0


async def test_after_a_crash_a_sleep_goes_on_for_the_rest_of_its_time(engine: Engine) -> None:
    """T32"""

    @task
    async def nap() -> str:
        await sleep("1h")
        return "awake"

    run = await engine.start(nap)
    [timer] = await engine.waiting(run)
    began = engine.clock.now()
    await engine.clock.advance("10m")
    await engine.crash()
    assert timer.record.due_at == began + HOUR
    await engine.clock.advance(timedelta(microseconds=began + HOUR - engine.clock.now() - 1))
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.clock.advance(timedelta(microseconds=1))
    assert await run.result() == "awake"


async def test_a_sleep_that_passed_before_a_crash_is_not_slept_again(engine: Engine) -> None:
    """T32"""
    gate = asyncio.Event()

    @step
    async def slow() -> str:
        await gate.wait()
        return "done"

    @task
    async def nap() -> str:
        await sleep("1h")
        return await slow()

    run = await engine.start(nap)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert (await engine.get(run)).state is RunState.RUNNING
    await engine.stop()
    gate.set()
    await engine.go_on()
    assert await run.result() == "done"


async def test_a_run_woken_while_a_sibling_step_works_goes_on_at_once(engine: Engine) -> None:
    """T35"""
    gate, woken = asyncio.Event(), asyncio.Event()

    @step
    async def slow() -> str:
        await gate.wait()
        return "slow"

    async def ask() -> bool:
        answer = await approve("?")
        woken.set()
        return answer.approved

    @task
    async def both() -> list[Any]:
        return list(await asyncio.gather(ask(), slow()))

    run = await engine.start(both)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.RUNNING
    [open_wait] = await engine.app.runs.waiting_for(run.id)
    await engine.app.waitpoints.approve(open_wait.id, by="maria")
    async with asyncio.timeout(10):
        await woken.wait()
    gate.set()
    assert await run.result() == [True, "slow"]
    assert ((await engine.get(run)).epoch, engine.calls(slow)) == (1, 1)


async def test_a_sibling_of_a_wait_is_finished_and_recorded_before_the_run_is_let_go(engine: Engine) -> None:
    """T35"""
    gate = asyncio.Event()

    @step
    async def slow() -> str:
        await gate.wait()
        return "slow"

    @task
    async def both() -> list[Any]:
        decision, value = await asyncio.gather(approve("?"), slow())
        return [decision.approved, value]

    run = await engine.start(both)
    await engine.settle()
    assert (await engine.get(run)).state is RunState.RUNNING
    gate.set()
    [question] = await engine.waiting(run)
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["slow#0"]
    await engine.crash()
    await question.approve(by="maria")
    assert await run.result() == [True, "slow"]
    assert engine.calls(slow) == 1


async def test_a_run_fails_at_once_when_a_sibling_of_its_wait_fails(engine: Engine) -> None:
    """13"""

    @task
    async def both() -> None:
        await asyncio.gather(approve("?"), broken())

    run = await engine.start(both)
    with pytest.raises(RunFailed, match="ValueError: no"):
        await run.result()
    assert await engine.app.runs.waiting_for(run.id) == []


async def test_a_retry_is_not_blocked_by_the_waits_of_the_attempt_before(engine: Engine) -> None:
    """13"""

    @task(retry=Retry(attempts=2, initial="1m", jitter=0))
    async def moody() -> str:
        if context().attempt == 1:
            await asyncio.gather(approve("?"), broken())
        return "second"

    run = await engine.start(moody)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("1m")
    assert await run.result() == "second"
    assert await engine.app.runs.waiting_for(run.id) == []


async def test_a_retry_that_comes_to_the_same_wait_does_not_ask_again(engine: Engine) -> None:
    """13"""

    @step
    async def flaky() -> str:
        if context().attempt == 1:
            raise ValueError("no")
        return "fine"

    @task(retry=Retry(attempts=2, initial="1m", jitter=0))
    async def moody() -> list[Any]:
        decision, value = await asyncio.gather(approve("?"), flaky())
        return [decision.approved, value]

    run = await engine.start(moody)
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("1m")
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    assert await run.result() == [True, "fine"]
    assert len(await engine.app.waitpoints.list(state=None, run_id=run.id)) == 1


@pytest.mark.parametrize("turns", range(4))
async def test_an_answer_between_opening_a_wait_and_letting_go_is_not_lost(engine: Engine, turns: int) -> None:
    """19"""

    @task
    async def ask() -> bool:
        return (await approve("?")).approved

    run = await engine.start(ask)
    async with asyncio.timeout(10):
        while not (found := await engine.app.runs.waiting_for(run.id)):
            await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    await engine.app.waitpoints.approve(found[0].id, by="maria")
    assert await run.result() is True


async def test_races_of_wait_and_answer_lose_no_wake_up(engine: Engine) -> None:
    """T29, 19: a thousand over all ways to run this, at every distance of the answer; four thousand with `EVERY_WRITE=1`."""

    @task
    async def hear_number(token: str) -> int:
        return await wait_for(token)

    async def race(number: int) -> int:
        token = await engine.app.waitpoints.create()
        run = await engine.start(hear_number, token.id)
        for _ in range(number % 25):
            await asyncio.sleep(0)
        await engine.app.waitpoints.answer(token.id, number, by="test")
        return await run.result()

    for first in range(0, 1_000 if os.environ.get("EVERY_WRITE") else 250, 25):
        assert await asyncio.gather(*(race(first + number) for number in range(25))) == list(range(first, first + 25))


async def test_a_parent_goes_on_with_the_output_of_its_child(engine: Engine) -> None:
    """22"""

    @task
    async def child(name: str) -> str:
        await sleep("1h")
        return f"hello {name}"

    @task
    async def parent() -> str:
        return await child("maria") + "!"

    run = await engine.start(parent)
    [waiting] = await engine.waiting(run)
    assert waiting.record.kind is WaitKind.CHILD
    await engine.clock.advance("1h")
    assert await run.result() == "hello maria!"
    assert engine.calls(child) == (1 if engine.settings.hot_limit else 2)


async def test_a_failed_child_raises_in_its_parent_with_the_id_of_its_run(engine: Engine) -> None:
    """22"""

    @task
    async def child() -> None:
        await sleep("1h")
        raise ValueError("no")

    @task
    async def parent() -> str:
        try:
            await child()
        except RunFailed as error:
            return error.run_id
        return ""

    run = await engine.start(parent)
    [waiting] = await engine.waiting(run)
    await engine.clock.advance("1h")
    assert await run.result() == waiting.record.target


async def test_two_parents_of_one_child_both_go_on_and_it_runs_once(engine: Engine) -> None:
    """23"""
    seen: list[str] = []

    @task
    async def child() -> str:
        await sleep("1h")
        seen.append("once")
        return "shared"

    @task
    async def parent() -> str:
        return await child.using(idempotency_key="one", idempotency_scope="global")()

    runs = [await engine.start(parent), await engine.start(parent)]
    targets = {(await engine.waiting(run))[0].record.target for run in runs}
    assert len(targets) == 1
    await engine.clock.advance("1h")
    assert [await run.result() for run in runs] == ["shared", "shared"]
    assert seen == ["once"]


async def test_a_child_that_has_ended_before_it_is_waited_for_costs_no_wait(engine: Engine) -> None:
    """24"""

    @task
    async def child() -> str:
        return "early"

    @task
    async def parent() -> str:
        return await child.using(idempotency_key="one", idempotency_scope="global")()

    early = await engine.start(child.using(idempotency_key="one", idempotency_scope="global"))
    assert await early.result() == "early"
    run = await engine.start(parent)
    assert await run.result() == "early"
    assert ((await engine.get(run)).epoch, engine.calls(child)) == (1, 1)
