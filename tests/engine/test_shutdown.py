"""Shutting down: no new runs, waiting runs let go, running steps finished, the rest handed back, nothing left to expire."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, approve, step, task
from agentflow.database import open_database
from agentflow.engine.worker import WorkerSettings
from agentflow.records import RunState, WorkerRecord
from agentflow.storage import workers
from agentflow.testing import Engine
from tests.cli.programs import Program

PATIENCE = 30.0
BUSY, WAITING = 5, 50

APP = """
import asyncio
from pathlib import Path

from agentflow import Agentflow, approve, step, task
from agentflow.engine.worker import WorkerSettings


@step
async def hold(number: int) -> int:
    Path(f"holding-{number}").touch()
    while not Path("finish").exists():
        await asyncio.sleep(0.01)
    return number


@step
def block(number: int) -> int:
    import time

    Path(f"holding-{number}").touch()
    while not Path("finish").exists():
        time.sleep(0.01)
    return number


@task
async def works(number: int) -> int:
    return await (hold(number) if number % 2 else block(number))


@task
async def asks() -> bool:
    return (await approve("?")).approved


app = Agentflow(tasks=[works, asks], worker=WorkerSettings(slots=10, lease=300_000_000))
"""


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Agentflow]:
    """An app in this process that shares the data of the worker's process and does no work itself."""
    (tmp_path / "app.py").write_text(APP)
    app = Agentflow(directory=tmp_path / ".agentflow", worker=False)
    await app.open()
    yield app
    await app.close()


@pytest.fixture
async def program(tmp_path: Path, outside: Agentflow) -> AsyncIterator[Program]:
    """A worker's process that is listening."""
    started = Program(tmp_path, "worker", "app.py")
    try:
        await until(lambda: listed(outside), "the worker is up")
        yield started
    finally:
        await asyncio.to_thread(started.close)


async def listed(app: Agentflow) -> list[WorkerRecord]:
    """The workers on the list."""
    return list(await app.database.read(workers.everyone()))


async def until(test: Callable[[], Any], what: str) -> None:
    """Return once something is so."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await test():
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def count(app: Agentflow, state: RunState, how_many: int) -> bool:
    return len(await app.runs.list(status=state, limit=100)) == how_many


async def busy(app: Agentflow, folder: Path) -> tuple[list[str], list[str]]:
    """Five runs in the middle of a step and fifty that wait; returns their ids."""
    waiting = [(await app.start("asks")).id for _ in range(WAITING)]
    working = [(await app.start("works", number=number)).id for number in range(BUSY)]

    async def settled() -> bool:
        return len(list(folder.glob("holding-*"))) == BUSY and await count(app, RunState.WAITING, WAITING)

    await until(settled, "five steps run and fifty runs wait")
    return working, waiting


async def draining(app: Agentflow) -> bool:
    return [worker.state for worker in await listed(app)] == ["draining"]


async def test_sigterm_finishes_running_steps_lets_waiting_runs_go_takes_no_more_and_exits_with_0(
    program: Program, outside: Agentflow, tmp_path: Path
) -> None:
    """T47"""
    working, waiting = await busy(outside, tmp_path)
    program.signal(signal.SIGTERM)
    await until(lambda: draining(outside), "the worker drains")
    late = await outside.start("asks")
    await outside.waitpoints.approve((await outside.runs.waiting_for(waiting[0]))[0].id, by="maria")
    (tmp_path / "finish").touch()
    assert await asyncio.to_thread(program.end) == 0
    assert await listed(outside) == []
    assert (await outside.runs.get(late.id)).state is RunState.QUEUED
    assert (await outside.runs.get(waiting[0])).state is RunState.QUEUED
    for run_id in waiting[1:]:
        record = await outside.runs.get(run_id)
        assert (record.state, record.worker, record.recoveries) == (RunState.WAITING, None, 0)
    for number, run_id in enumerate(working):
        record = await outside.runs.get(run_id)
        assert (record.state, record.output, record.recoveries) == (RunState.COMPLETED, str(number), 0)


async def test_a_second_sigterm_ends_the_worker_at_once_and_loses_nothing(program: Program, outside: Agentflow, tmp_path: Path) -> None:
    """T47"""
    working, waiting = await busy(outside, tmp_path)
    program.signal(signal.SIGTERM)
    await until(lambda: draining(outside), "the worker drains")
    program.signal(signal.SIGTERM)
    assert await asyncio.to_thread(program.end) == 128 + signal.SIGTERM
    assert await count(outside, RunState.WAITING, WAITING)
    states = {(await outside.runs.get(run_id)).state for run_id in working}
    assert states == {RunState.RUNNING}
    assert {(await outside.runs.get(run_id)).state for run_id in waiting} == {RunState.WAITING}


@step
async def slow(gate: str) -> str:
    await GATES[gate].wait()
    return gate


GATES: dict[str, asyncio.Event] = {}


@task
async def slowly(gate: str) -> str:
    return await slow(gate)


@task
async def patiently() -> bool:
    return (await approve("?")).approved


async def test_a_step_that_is_not_done_when_the_drain_ends_is_handed_back_and_not_left_to_expire(engine: Engine) -> None:
    """T47"""
    GATES["late"] = asyncio.Event()
    run = await engine.start(slowly, "late")
    await engine.settle()
    app = engine.app
    closing = asyncio.ensure_future(app.worker.drain()) if app.worker else None
    assert closing is not None
    await engine.settle()
    await engine.clock.advance("24s")
    assert not closing.done()
    await engine.clock.advance("1s")
    await closing
    record = await engine.get(run)
    assert (record.state, record.worker, record.attempt, record.recoveries) == (RunState.QUEUED, None, 1, 0)
    assert await app.database.read(workers.everyone()) == []
    await engine.stop()
    GATES["late"].set()
    await engine.go_on()
    assert await run.result() == "late"


@pytest.mark.worker(drain=0)
async def test_a_run_that_waits_is_let_go_at_once_and_goes_on_elsewhere(engine: Engine) -> None:
    """T47"""
    run = await engine.start(patiently)
    [question] = await engine.waiting(run)
    assert engine.app.worker is not None
    await engine.app.worker.drain()
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.stop()
    await engine.go_on()
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() is True


async def test_a_worker_that_drains_takes_no_run_though_it_has_room(engine: Engine) -> None:
    """T47"""
    GATES["held"] = asyncio.Event()
    first = await engine.start(slowly, "held")
    await engine.settle()
    assert engine.app.worker is not None
    closing = asyncio.ensure_future(engine.app.worker.drain())
    await engine.settle()
    second = await engine.start(patiently)
    await engine.settle()
    assert (await engine.get(second)).state is RunState.QUEUED
    GATES["held"].set()
    await closing
    assert (await engine.get(first)).state is RunState.COMPLETED
    await engine.stop()
    await engine.go_on()
    await engine.until(second, RunState.WAITING)


async def test_a_real_time_app_closes_with_code_in_it_that_swallows_everything(tmp_path: Path, stream_server: str) -> None:
    """T43, T47"""
    begun = asyncio.Event()

    @task
    async def deaf() -> None:
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except BaseException:  # noqa: BLE001 - this is what users write
                continue

    app = Agentflow([deaf], database=open_database(str(tmp_path / "a.db")), redis=stream_server, worker=WorkerSettings(drain=10_000))
    async with asyncio.timeout(PATIENCE):
        async with app:
            run = await deaf.start()
            await begun.wait()
        async with Agentflow(database=str(tmp_path / "a.db"), redis=stream_server, worker=False) as later:
            assert (await later.runs.get(run.id)).state is RunState.QUEUED
