"""T6: whoever waits for a run in a process that lost it sees what is recorded, not what its own code made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from agentflow import RunCancelled, RunFailed, context, task
from agentflow.database.statements import make_statement
from agentflow.errors import RunNotFound
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.testing import Engine
from tests.engine.zombies import Gates, idle, reach, swept, taken, zombie

_DELETE = "DELETE FROM runs WHERE id = :id RETURNING id"
delete = make_statement("tests/delete_run", {"sqlite": _DELETE, "postgres": _DELETE})


def asked(run: RunHandle[Any]) -> asyncio.Future[Any]:
    """Somebody in the lost process waits for the run; it has not ended before the test says so."""
    return asyncio.ensure_future(run.result())


async def told(caller: Awaitable[Any]) -> Any:
    async with asyncio.timeout(10):
        return await caller


async def test_the_result_that_another_worker_recorded(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        return await gates.wait()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await taken(engine, run, gates)
        gates[1].set()
        await engine.app.runs.ended(run.id)
        gates[0].set()
        await idle(dead)
        assert await told(caller) == 1


async def test_the_error_that_another_worker_recorded(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        number = await gates.wait()
        if number:
            raise ValueError("recorded")
        return number

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await taken(engine, run, gates)
        gates[1].set()
        await engine.app.runs.ended(run.id)
        gates[0].set()
        await idle(dead)
        with pytest.raises(RunFailed, match="recorded"):
            await told(caller)


async def test_nothing_until_the_owner_has_ended_it(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        return await gates.wait()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await taken(engine, run, gates)
        gates[0].set()
        await idle(dead)
        await engine.settle()
        assert not caller.done()
        assert (await dead.runs.get(run.id)).state is RunState.RUNNING
        gates[1].set()
        assert await told(caller) == 1


@pytest.mark.worker(max_recoveries=0)
async def test_that_it_was_given_up(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        return await gates.wait()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await swept(engine)
        ended = await engine.app.runs.ended(run.id)
        gates[0].set()
        await idle(dead)
        with pytest.raises(RunFailed) as failed:
            await told(caller)
        assert failed.value.details["error"]["code"] == "crashed"
        assert await engine.app.runs.get(run.id) == ended


async def test_that_it_was_deleted(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        return await gates.wait()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await engine.app.database.execute(delete(id=run.id))
        gates[0].set()
        await idle(dead)
        with pytest.raises(RunNotFound):
            await told(caller)


async def test_that_it_cancelled_itself(engine: Engine, stream_server: str) -> None:
    gates = Gates()

    @task
    async def work() -> int:
        number = await gates.wait()
        if number:
            await engine.app.runs.cancel(context().run_id, "by itself")
        return number

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        caller = asked(run)
        await taken(engine, run, gates)
        gates[1].set()
        assert (await engine.app.runs.ended(run.id)).state is RunState.CANCELLED
        gates[0].set()
        await idle(dead)
        with pytest.raises(RunCancelled, match="by itself"):
            await told(caller)
