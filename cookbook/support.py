"""A small shop's support desk: `agentflow dev cookbook/support.py`, then in another terminal

    agentflow start support --payload '{"prompt": "Order o-81 never came, I want my money back."}' --tail
    agentflow start refund --payload '{"order_id": "o-81", "cents": 20000}' --tail
    agentflow start follow_up --payload '{"order_id": "o-81"}' --tail

`support` is an agent whose tools are the tasks and steps here. Nothing calls a service but the model, and without an API key a script plays
that. Nothing is lost if you stop it in the middle.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart

from agentflow import Agent, Retry, ai, approve, context, current_step, sleep, step, task
from agentflow.testing.models import Said, ScriptedModel, call, scripted_model, text, thinking
from cookbook.model import chosen_model

LARGE = 10_000
"""Cents from which a person decides."""


@dataclass
class Order:
    """An order, as the shop knows it."""

    id: str
    customer: str
    cents: int


@dataclass
class Refund:
    """What became of a refund."""

    order_id: str
    cents: int
    state: str
    reason: str | None = None


@step(retry=Retry(attempts=3, initial="1s"), timeout="10s")
async def look_up(order_id: str) -> Order:
    """Find an order in the shop."""
    await asyncio.sleep(0.2)
    return Order(order_id, "Maria", 4_900)


@step(retry=Retry(attempts=5, initial="1s"), timeout="30s")
async def pay_back(order_id: str, cents: int) -> str:
    """Pay money back; the key lets the bank see a second try of the same payment."""
    await asyncio.sleep(0.4)
    return f"paid-{current_step().idempotency_key[-8:]}"


@step
async def write_to(customer: str, message: str) -> None:
    """Send a message."""
    await asyncio.sleep(0.1)


@task(retry=Retry(attempts=3))
async def refund(order_id: str, cents: int) -> Refund:
    """Refund an order; a large one waits for a person, for as long as that takes."""
    order = await look_up(order_id)
    if cents >= LARGE:
        decision = await approve(f"Refund {cents / 100:.2f} to {order.customer}?", body={"order": order_id, "cents": cents}, expires="3d")
        if decision.denied:
            await write_to(order.customer, "We cannot refund this order.")
            return Refund(order_id, 0, "denied", decision.reason)
    context().metadata["stage"] = "paying"
    await pay_back(order_id, cents)
    await write_to(order.customer, "Your money is on its way.")
    return Refund(order_id, cents, "refunded")


@task
async def follow_up(order_id: str, wait: str = "5s") -> str:
    """Ask a customer, some time later, whether all is well; a small refund is a child run."""
    order = await look_up(order_id)
    await sleep(wait)
    done = await refund(order_id, 500)
    await write_to(order.customer, "Is everything all right now?")
    return f"asked {order.customer}, {done.state} {done.cents}"


def _script() -> ScriptedModel:
    """The model's part, where there is no model."""
    return scripted_model(_look, _pay, [text("Your refund is on its way. I am sorry for the trouble.")], pace=_pace)


async def _pace(kind: str) -> None:
    await asyncio.sleep(0 if kind == "call" else 0.03)


def _order(messages: list[ModelMessage]) -> str:
    said = " ".join(
        str(part.content) for one in messages if isinstance(one, ModelRequest) for part in one.parts if isinstance(part, UserPromptPart)
    )
    found = re.search(r"o-\d+", said)
    return found[0] if found else "o-1"


def _look(messages: list[ModelMessage]) -> Sequence[Said]:
    order = _order(messages)
    return [thinking(f"The customer asks about {order}. I look it up first."), call("look_up", {"order_id": order}, id="look")]


def _pay(messages: list[ModelMessage]) -> Sequence[Said]:
    return [
        text("I found your order, and ask a colleague to pay it back.\n"),
        call("refund", {"order_id": _order(messages), "cents": 4_900}, id="pay"),
    ]


support = Agent(
    "support",
    model=chosen_model(_script)[0],
    instructions="You work at the support desk of a small shop. Look an order up before you refund it, and be brief.",
    tools=[look_up, ai.tool(refund, approval=True)],
)
