"""Recovery: what a dead worker held goes on elsewhere, once, and is given up when it kills whoever takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentflow import Agentflow, Retry, RunFailed, approve, step, task
from agentflow.database import open_database
from agentflow.database.port import Database
from agentflow.engine.task import Task
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.serde import decode_failure
from agentflow.testing import Engine
from tests.faults.flaky import Break, FlakyDatabase


@step
async def one() -> int:
    return 1


@step
async def two() -> int:
    return 2


async def reach(test: Callable[[], bool]) -> None:
    """Turn the event loop until something is so."""
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0)


@asynccontextmanager
async def another(engine: Engine, redis: str, *tasks: Task[..., Any]) -> AsyncGenerator[Agentflow]:
    """A second process that works on the same database."""
    database = open_database(engine.database_url)
    app = Agentflow(tasks, database=database, redis=redis, worker=engine.settings, clock=engine.clock)
    await app.open()
    yield app
    await app.close()


async def flaky(engine: Engine) -> FlakyDatabase:
    """Give the engine another worker, on a database that fails on demand."""
    made: list[FlakyDatabase] = []

    def wrap(database: Database) -> FlakyDatabase:
        made.append(FlakyDatabase(database))
        return made[-1]

    engine.wrap = wrap
    await engine.crash()
    return made[-1]


async def test_the_runs_of_a_dead_worker_are_each_taken_up_once_by_the_two_that_find_it(engine: Engine, stream_server: str) -> None:
    """T3."""
    gate = asyncio.Event()

    @step
    async def slow(number: int) -> int:
        await gate.wait()
        return number

    @task
    async def work(number: int) -> int:
        return await one() + await slow(number)

    batch = [await engine.start(work, number) for number in range(20)]
    await engine.settle()
    assert engine.calls(slow) == 20
    await engine.stop()
    async with another(engine, stream_server, work):
        await engine.go_on()
        gate.set()
        assert [await run.result() for run in batch] == [1 + number for number in range(20)]
        records = [await engine.get(run) for run in batch]
    assert {(record.recoveries, record.epoch) for record in records} == {(1, 2)}
    assert (engine.calls(one), engine.calls(slow)) == (20, 40)


async def test_a_late_sweep_of_a_dead_worker_leaves_the_run_with_its_new_holder(engine: Engine, stream_server: str) -> None:
    """T2."""
    gate = asyncio.Event()

    @task
    async def work() -> int:
        await gate.wait()
        return 1

    run = await engine.start(work)
    await reach(lambda: engine.calls(work) == 1)
    await engine.crash()
    await reach(lambda: engine.calls(work) == 2)
    held = await engine.get(run)
    async with another(engine, stream_server, work) as late:
        assert late.worker is not None
        await late.worker.maintenance.round()
        await engine.settle()
        assert await engine.get(run) == held
        gate.set()
        assert await run.result() == 1
    assert (held.epoch, held.recoveries, engine.calls(work)) == (2, 1, 2)


@pytest.mark.worker(max_recoveries=2)
async def test_a_run_that_kills_each_of_its_workers_is_given_up_and_can_be_taken_up_by_hand(engine: Engine) -> None:
    """T10."""
    gate = asyncio.Event()

    @step
    async def deadly() -> int:
        await gate.wait()
        return 2

    @task
    async def work() -> int:
        return await one() + await deadly()

    run = await engine.start(work)
    last = ""
    for calls in (1, 2, 3):
        await reach(lambda calls=calls: engine.calls(deadly) == calls)
        last = (await engine.get(run)).worker or ""
        await engine.crash()
    dead = await engine.until(run, RunState.FAILED)
    error = decode_failure(dead.error or "{}")
    assert (error.code, error.details) == ("crashed", {"recoveries": 3, "worker": last})
    assert "revive" in error.hint
    with pytest.raises(RunFailed, match="3 times in a row"):
        await run.result()
    gate.set()
    revived = await engine.app.runs.revive(run.id)
    assert (await engine.app.runs.ended(revived.id)).output == "3"
    assert await engine.get(run) == dead
    assert engine.calls(one) == 1


@pytest.mark.worker(max_recoveries=2)
async def test_a_run_that_gets_on_between_crashes_is_never_given_up(engine: Engine) -> None:
    """T10: what counts is crashes in a row without anything recorded; a long run may outlive many machines."""
    gates = [asyncio.Event() for _ in range(6)]

    @step
    async def pace(number: int) -> int:
        await gates[number].wait()
        return number

    @task
    async def work() -> int:
        return sum([await pace(number) for number in range(6)])

    run = await engine.start(work)
    for number, gate in enumerate(gates):
        gate.set()
        async with asyncio.timeout(10):
            while len(await engine.app.runs.journal(run.id)) <= number:
                await asyncio.sleep(0)
        if number < 5:
            await engine.crash()
    assert await run.result() == 15
    assert (await engine.get(run)).epoch == 6


@pytest.mark.worker(poll=0.02)
async def test_a_run_whose_task_a_worker_does_not_know_waits_for_one_that_does(engine: Engine) -> None:
    """T13: and says so; it is not taken, not even for a moment."""

    @task
    async def rare() -> int:
        return 1

    await engine.stop()
    await engine.go_on(tasks={"rare": rare})
    await engine.stop()
    await engine.go_on(tasks={})
    run: RunHandle[Any] = await engine.app.start("rare")
    async with asyncio.timeout(10):
        while (waiting := await engine.get(run)).note is None:
            await asyncio.sleep(0)
    assert (waiting.state, waiting.note) == (RunState.QUEUED, "no worker for rare")
    assert (waiting.attempt, waiting.epoch, waiting.error, engine.calls(rare)) == (1, 0, None, 0)
    await engine.stop()
    await engine.go_on()
    assert (await engine.app.runs.ended(run.id)).output == "1"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_that_breaks_at_a_record_costs_no_second_call_of_the_step(engine: Engine, when: Break) -> None:
    """T14: this process still knows the result, and writes it if it is not there."""
    database = await flaky(engine)

    @step
    async def pay() -> int:
        breaks: list[Break] = [when]
        database.breaks = lambda name: breaks.pop() if breaks and name == "journal/append" else None
        return 1

    @task
    async def work() -> int:
        return await pay() + await two()

    run = await engine.start(work)
    await engine.settle()
    await engine.clock.advance("1m")
    assert await run.result() == 3
    assert database.broken == ["journal/append"]
    assert (engine.calls(pay), len(await engine.app.runs.journal(run.id))) == (1, 2)


async def test_a_process_that_dies_between_a_step_and_its_record_calls_it_again_and_says_so(engine: Engine) -> None:
    """T14: nobody knows the result, so the step runs again."""
    database = await flaky(engine)

    @step
    async def pay() -> int:
        database.breaks = lambda name: "before"
        return 1

    @task
    async def work() -> int:
        return await pay()

    run = await engine.start(work)
    await reach(lambda: engine.calls(pay) == 1 and "journal/append" in database.broken)
    await engine.stop()
    engine.wrap = lambda inner: inner
    await engine.go_on()
    assert await run.result() == 1
    [record] = await engine.app.runs.journal(run.id)
    assert (engine.calls(pay), record.epoch, (await engine.get(run)).recoveries) == (2, 2, 1)


async def test_a_process_that_dies_right_after_a_record_does_not_call_the_step_again(engine: Engine) -> None:
    """T14, second half."""
    database = await flaky(engine)

    @step
    async def pay() -> int:
        database.breaks = lambda name: "after" if name == "journal/append" else "before"
        return 1

    @task
    async def work() -> int:
        return await pay() + await two()

    run = await engine.start(work)
    await reach(lambda: engine.calls(pay) == 1 and "journal/append" in database.broken)
    await engine.stop()
    engine.wrap = lambda inner: inner
    await engine.go_on()
    assert await run.result() == 3
    assert (engine.calls(pay), engine.calls(two)) == (1, 1)


async def test_code_that_goes_on_while_its_run_waits_gets_its_lease_even_when_the_database_answers_late(engine: Engine) -> None:
    database = await flaky(engine)
    gate = asyncio.Event()

    async def beside() -> int:
        await gate.wait()
        return await one()

    @task
    async def work() -> int:
        decision, number = await asyncio.gather(approve("Go on?", expires=None), beside())
        return number + int(decision.approved)

    run = await engine.start(work)
    [question] = await engine.waiting(run)
    database.held["runs/rouse"] = asyncio.Event()
    gate.set()
    await engine.settle()
    await question.approve(by="maria")
    await engine.settle()
    database.held.pop("runs/rouse").set()
    assert await run.result() == 2


async def test_two_processes_that_start_the_same_run_at_once_get_one_run(engine: Engine, stream_server: str) -> None:
    """T15."""

    @task
    async def work(order: str) -> str:
        return order

    keyed = work.using(idempotency_key="o-81")
    async with another(engine, stream_server, work) as second:
        calls = [app.launch(keyed.call('{"order":"o-81"}')) for app in (engine.app, second) * 3]
        [run_id] = set(await asyncio.gather(*calls))
        ended = await engine.app.runs.ended(run_id)
    assert (ended.output, ended.epoch) == ('"o-81"', 1)
    assert engine.calls(work) == 1


async def test_a_crash_does_not_use_up_an_attempt(engine: Engine) -> None:
    gate = asyncio.Event()

    @task(retry=Retry(attempts=2, initial="1s", jitter=0))
    async def work() -> int:
        await gate.wait()
        raise ValueError("no")

    run = await engine.start(work)
    for calls in (1, 2):
        await reach(lambda calls=calls: engine.calls(work) == calls)
        await engine.crash()
    assert (await engine.until(run, RunState.RUNNING)).attempt == 1
    gate.set()
    await engine.until(run, RunState.SCHEDULED)
    await engine.clock.advance("1s")
    assert (await engine.until(run, RunState.FAILED)).attempt == 2
