"""A worker that an operator has leave, from wherever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentflow import Agentflow, approve, sleep, step, task
from agentflow.app.doctor import checkup
from agentflow.engine.task import Task
from agentflow.errors import WorkerNotFound
from agentflow.records import RunState
from agentflow.storage import workers
from agentflow.testing import Engine
from tests.engine.zombies import Gates, reach


@step
async def count() -> int:
    return 1


@asynccontextmanager
async def beside(engine: Engine, redis: str, *tasks: Task[..., Any]) -> AsyncGenerator[Agentflow]:
    """A second process; without tasks it only starts and follows."""
    settings = engine.settings if tasks else False
    async with Agentflow(
        tasks, database=engine.database_url, redis=redis, directory=engine.directory, worker=settings, clock=engine.clock
    ) as app:
        yield app
        if app.worker is not None:
            await app.worker.kill()


async def gone(engine: Engine, worker_id: str) -> None:
    """Return once a worker is off the list."""
    async with asyncio.timeout(10):
        while worker_id in {one.worker.id for one in await engine.app.workers.list()}:
            await asyncio.sleep(0)


async def test_a_worker_that_is_told_to_leave_takes_no_more_runs_finishes_its_steps_and_goes(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def works() -> int:
        return await gates.wait()

    @task
    async def asks() -> bool:
        return (await approve("?")).approved

    run, waiting = await engine.start(works), await engine.start(asks)
    [question] = await engine.waiting(waiting)
    await reach(lambda: gates.entered == 1)
    worker = engine.app.worker
    assert worker is not None
    async with beside(engine, stream_server) as operator:
        asked = await operator.workers.drain(worker.id)
        assert (asked.id, asked.state) == (worker.id, "draining")
        await asyncio.wait_for(worker.leaving.asked.wait(), 10)
        await reach(lambda: len(worker.hot) == 0)
        later = await engine.start(works)
        codes = {one.code: one for one in await checkup(operator)}
        assert "still holds 1" in codes["worker_draining"].message
        assert codes["no_worker"].level == "problem"
        gates[0].set()
        assert await run.result() == 0
        await gone(engine, worker.id)
        assert worker.free == 0
        assert (await engine.get(later)).state is RunState.QUEUED
        # The process goes on without its worker: what it answers and makes due is done by others.
        await question.approve(by="maria")
        nap = await asks.using(delay="1h").start()
    async with beside(engine, stream_server, works, asks):
        assert await waiting.result() is True
        gates[1].set()
        assert await later.result() == 1
        await engine.clock.advance("1h")
        assert (await engine.until(nap, RunState.WAITING)).epoch == 1


@pytest.mark.worker(poll=0.02)
async def test_a_worker_that_did_not_hear_reads_that_it_is_to_leave(engine: Engine) -> None:
    worker = engine.app.worker
    assert worker is not None
    await engine.app.database.transact(workers.drain(worker.id))
    await gone(engine, worker.id)
    assert worker.leaving.asked.is_set()


async def test_what_is_still_at_work_is_handed_back_when_its_time_is_over(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def works() -> int:
        await count()
        return await gates.wait()

    run = await engine.start(works)
    await reach(lambda: gates.entered == 1)
    worker = engine.app.worker
    assert worker is not None
    await engine.app.workers.drain(worker.id)
    await asyncio.wait_for(worker.leaving.asked.wait(), 10)
    await engine.settle()
    await engine.clock.advance("25s")
    await gone(engine, worker.id)
    async with beside(engine, stream_server, works):
        gates[1].set()
        assert await run.result() == 1
    assert (await engine.get(run)).recoveries == 0
    assert engine.calls(count) == 1


async def test_only_a_worker_that_is_there_can_be_told_to_leave(engine: Engine) -> None:
    with pytest.raises(WorkerNotFound, match="no worker 'worker_7'") as unknown:
        await engine.app.workers.drain("worker_7")
    assert "agentflow workers" in unknown.value.hint


async def test_workers_are_listed_with_what_they_serve_and_hold(engine: Engine) -> None:
    @task(version="2", accepts=["1"])
    async def versioned() -> None:
        await sleep("1h")

    gates = Gates()

    @task
    async def works() -> int:
        return await gates.wait()

    await engine.stop()
    await engine.go_on({"versioned": versioned, "works": works})
    await engine.start(works)
    await reach(lambda: gates.entered == 1)
    [listed] = await engine.app.workers.list()
    assert listed.worker.served == {"versioned": ["2", "1"], "works": []}
    assert (listed.runs, listed.worker.slots, listed.worker.queues) == (1, engine.settings.slots, ("default",))
    gates[0].set()
