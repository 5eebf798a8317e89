"""Cancel from another process, as far as the database can tell: over a connection of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from agentflow import Agentflow, RunCancelled, approve, context, step, task
from agentflow.database import open_database
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.testing import Engine


@step
async def clean(what: str) -> str:
    return f"cleaned {what}"


@step
async def endless() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def elsewhere(engine: Engine, stream_server: str) -> AsyncIterator[Agentflow]:
    """A second process, as far as the database can tell: another connection, no worker."""
    app = Agentflow(database=open_database(engine.database_url), redis=stream_server, worker=False, clock=engine.clock)
    await app.open()
    yield app
    await app.close()


async def later(cancel: Coroutine[Any, Any, Any], turns: int) -> None:
    """Await something some turns of the event loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    await cancel


async def test_a_run_cancelled_while_no_worker_is_alive_still_cleans_up(engine: Engine, elsewhere: Agentflow) -> None:
    """T42"""

    @task
    async def careful() -> None:
        await clean("before")
        try:
            await approve("?")
        finally:
            await clean("after")

    run = await engine.start(careful)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    await elsewhere.runs.cancel(run.id, "enough")
    await engine.go_on()
    with pytest.raises(RunCancelled):
        await run.result()
    assert engine.calls(clean) == 2


async def test_a_cancel_from_another_process_reaches_the_worker(engine: Engine, elsewhere: Agentflow) -> None:
    """T41"""

    @task
    async def works() -> None:
        await endless()

    run = await engine.start(works)
    await engine.settle()
    await elsewhere.runs.cancel(run.id, "from afar")
    with pytest.raises(RunCancelled, match="from afar"):
        await run.result()


@pytest.mark.worker(slots=4)
async def test_cancel_and_completion_in_the_same_instant_from_two_connections_make_one_end(engine: Engine, elsewhere: Agentflow) -> None:
    """T44: at every distance of the two, eight times on each database; forty times with `EVERY_WRITE=1`."""
    gates: dict[str, asyncio.Event] = {}

    @step
    async def held() -> str:
        gate = gates[context().run_id] = asyncio.Event()
        await gate.wait()
        return "done"

    @task
    async def contested() -> str:
        return await held()

    async def race(number: int) -> RunHandle[str]:
        run = await engine.start(contested)
        while run.id not in gates:
            await asyncio.sleep(0)
        cancel = asyncio.ensure_future(later(elsewhere.runs.cancel(run.id, "enough"), turns=number % 25))
        gates[run.id].set()
        await cancel
        return run

    seen: set[RunState] = set()
    for first in range(0, 1_000 if os.environ.get("EVERY_WRITE") else 200, 4):
        runs = await asyncio.gather(*(race(first + number) for number in range(4)))
        seen.update([(await engine.until(run, "completed", "cancelled")).state for run in runs])
        await engine.settle()
        for run in runs:
            assert [event.type for event in await engine.events(run)].count("end") == 1
    assert seen == {RunState.COMPLETED, RunState.CANCELLED}
