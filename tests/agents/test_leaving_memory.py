"""An agent that waits costs as little as any other run: it leaves memory, and is replayed when it is woken."""

from __future__ import annotations

import asyncio
import gc

import pytest

from agentflow import Agent, ai, approve, task
from agentflow.engine.executor import Execution
from agentflow.records import RunState
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text


@task
async def bill(order: str) -> str:
    """Bill an order."""
    return f"billed {order}"


@task
async def bill_if_allowed(order: str) -> str:
    """Bill an order when somebody agrees."""
    return f"billed {order}" if (await approve(f"Bill {order}?")).approved else "no"


@pytest.mark.worker(hot_window=60_000_000)
@pytest.mark.parametrize(
    ("tool", "count"), [(ai.tool(bill, approval=True), 1), (ai.tool(bill, approval=True), 2), (ai.tool(bill_if_allowed), 1)]
)
async def test_an_agent_that_waits_for_a_person_leaves_memory_when_its_hot_window_is_over(
    engine: Engine, tool: ai.Tool, count: int
) -> None:
    """T40, S7"""
    calls = [call(tool.name, {"order": f"o-{number}"}, id=f"c{number}") for number in range(count)]
    model = scripted_model(calls, [text("done")])
    biller = Agent("biller", model=model, tools=[tool])
    run = await engine.start(biller, "bill them")
    await engine.until(run, RunState.WAITING)
    async with asyncio.timeout(10):
        while len(questions := await engine.app.waitpoints.list(kind="approval")) < count:
            await asyncio.sleep(0)
    await engine.clock.advance("61s")
    gc.collect()
    assert [one.run_id for one in gc.get_objects() if type(one) is Execution and one.run_id in {run.id, questions[0].run_id}] == []
    for question in questions:
        await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == "done"
    assert len(model.requests) == 2
