"""An isolated task with children and an agent; apart, for what it imports takes a second in each process."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow import Agent, ai, context, task
from agentflow.testing.models import call, scripted_model, text
from tests.engine.isolated_tasks import thrice, twice

clerk = Agent("isolated_clerk", model=scripted_model([call("twice", {"number": 4}, id="c1")], [text("It is 8.")]), tools=[ai.tool(twice)])


@task(isolation="process")
async def everything(number: int) -> list[Any]:
    """Children, an agent, detached starts, recorded values, metadata."""
    here = context()
    here.metadata["stage"] = "begun"
    results: list[Any] = list(await asyncio.gather(twice(number), thrice(number)))
    results.append(await clerk("What is twice four?"))
    detached = await twice.start(10)
    results.append(await detached.result())
    results.append((await here.now()).year > 2_000)
    here.metadata["stage"] = "done"
    return results


TASKS = [twice, thrice, clerk, everything]
