"""Model calls for tests of budgets: each uses as many tokens as it is told to."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow import BudgetExceeded, current_step, step
from agentflow.handle import RunHandle
from agentflow.records import RunState, WaitpointRecord
from agentflow.streams.events import Usage
from agentflow.testing import Engine


@step(kind="llm")
async def speak(tokens: int, dollars: float | None = 0.0) -> int:
    """A model call that uses so many tokens."""
    current_step().publish(Usage(model="m", input=tokens, output=0, cost=dollars))
    return tokens


async def talk(calls: list[int]) -> int:
    """Make model calls until the budget lets none begin; returns how many there were."""
    made = 0
    for tokens in calls:
        try:
            await speak(tokens)
        except BudgetExceeded:
            return made
        made += 1
    return made


async def used(engine: Engine, run: RunHandle[Any]) -> int:
    """Tokens that a run and all below it used."""
    return (await engine.app.runs.usage(run.id)).total.tokens


async def approvals(engine: Engine) -> list[WaitpointRecord]:
    """The open questions, once there is one and nobody works any more."""
    async with asyncio.timeout(20):
        while True:
            found = await engine.app.waitpoints.list(kind="approval")
            running = await engine.app.runs.list(status=RunState.RUNNING)
            if found and not running:
                assert len(found) == 1
                return found
            await asyncio.sleep(0)
