"""What happens in the runs that clients of others follow, with a point at which the test cuts them off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentflow import Retry, ai, approve, current_step, step, task
from agentflow.agents.agent import Agent
from agentflow.streams.events import TextDelta, TextStart
from agentflow.testing.models import call, scripted_model, text
from tests.server.site import Site


class Gate:
    """Where a model, or a step, waits until the test has seen enough."""

    def __init__(self) -> None:
        self.shut()

    def shut(self) -> None:
        self.opened = asyncio.Event()
        self._pieces = 0

    async def pace(self, kind: str) -> None:
        self._pieces += 1
        if self._pieces > 2:
            await self.opened.wait()


GATE = Gate()


@step
async def look_up(order: str) -> str:
    """Look up an order."""
    await GATE.opened.wait()
    return f"{order} left on Monday"


@step(retry=Retry(attempts=2, initial=0))
async def speak() -> str:
    here = current_step()
    here.publish(TextStart(f"p{here.attempt}"))
    here.publish(TextDelta(f"p{here.attempt}", "half a sen"))
    if here.attempt == 1:
        await GATE.opened.wait()
        raise ConnectionError("cut off")
    here.publish(TextDelta(f"p{here.attempt}", "tence"))
    return "half a sentence"


@task
async def refund(order: str) -> str:
    """Refund an order."""
    return f"refunded {order}"


@task
async def stutter() -> str:
    return await speak()


@task
async def broken() -> None:
    await look_up("o-1")
    raise ValueError("this never works")


@task
async def patient() -> bool:
    return (await approve("Go on?")).approved


def plain_agent() -> Any:
    return Agent("plain", model=scripted_model([text("a long answer in some pieces")], pace=GATE.pace))


def tool_agent() -> Any:
    turns = [call("look_up", {"order": "o-1"}, id="c1")], [text("It left on Monday.")]
    return Agent("tooled", model=scripted_model(*turns), tools=[look_up])


def approving_agent() -> Any:
    turns = [call("refund", {"order": "o-1"}, id="c1")], [text("It is refunded.")]
    return Agent("approving", model=scripted_model(*turns), tools=[ai.tool(refund, approval=True)])


async def open_gate(site: Site, run_id: str) -> None:
    GATE.opened.set()


async def say_yes(site: Site, run_id: str) -> None:
    waiting = await site.waiting(run_id)
    await site.app.waitpoints.approve(waiting["id"], by="maria")


async def say_no(site: Site, run_id: str) -> None:
    waiting = await site.waiting(run_id)
    await site.app.waitpoints.deny(waiting["id"], by="maria", reason="too much")


async def cancel(site: Site, run_id: str) -> None:
    await site.app.runs.cancel(run_id, "enough")


Going = Callable[[Site, str], Awaitable[None]]
STORIES: dict[str, tuple[Callable[[], Any], dict[str, Any], str, Going, str]] = {
    "a plain answer": (plain_agent, {"prompt": "why?"}, "text.delta", open_gate, "completed"),
    "a tool": (tool_agent, {"prompt": "where?"}, "tool.input", open_gate, "completed"),
    "an approval": (approving_agent, {"prompt": "refund it"}, "approval.requested", say_yes, "completed"),
    "a denial": (approving_agent, {"prompt": "refund it"}, "approval.requested", say_no, "completed"),
    "a retry after visible text": (lambda: stutter, {}, "text.delta", open_gate, "completed"),
    "an error": (lambda: broken, {}, "run.started", open_gate, "failed"),
    "a cancel": (lambda: patient, {}, "approval.requested", cancel, "cancelled"),
}
