"""Code of a run that goes on beside a wait: what it does counts, though the run had let go of its lease."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import RunFailed, approve, step, task
from agentflow.records import RunState
from agentflow.testing import Engine


@step
async def work(name: str) -> str:
    return f"did {name}"


async def test_code_that_stops_waiting_by_itself_ends_its_run(engine: Engine) -> None:
    enough = asyncio.Event()

    @task
    async def impatient() -> str:
        question = asyncio.ensure_future(approve("?"))
        other = asyncio.ensure_future(enough.wait())
        await asyncio.wait({question, other}, return_when=asyncio.FIRST_COMPLETED)
        return "left"

    run = await engine.start(impatient)
    await engine.until(run, RunState.WAITING)
    enough.set()
    assert await run.result() == "left"
    assert await engine.app.runs.waiting_for(run.id) == []


async def test_code_that_fails_beside_a_wait_fails_its_run(engine: Engine) -> None:
    enough = asyncio.Event()

    async def fail() -> None:
        await enough.wait()
        raise ValueError("enough")

    @task
    async def impatient() -> None:
        await asyncio.gather(approve("?"), fail())

    run = await engine.start(impatient)
    await engine.until(run, RunState.WAITING)
    enough.set()
    with pytest.raises(RunFailed, match="ValueError: enough"):
        await run.result()


async def test_code_that_works_on_beside_a_wait_gets_a_lease_again(engine: Engine) -> None:
    """S7"""
    enough = asyncio.Event()

    async def later() -> str:
        await enough.wait()
        return await work("later")

    @task
    async def both() -> list[Any]:
        decision, value = await asyncio.gather(approve("?"), later())
        return [decision.approved, value]

    run = await engine.start(both)
    [question] = await engine.waiting(run)
    enough.set()
    await engine.settle()
    [question] = await engine.waiting(run)
    [entry] = await engine.app.runs.journal(run.id)
    assert entry.key.endswith("later#0/work#0")
    await question.approve(by="maria")
    assert await run.result() == [True, "did later"]
    assert engine.calls(work) == 1
