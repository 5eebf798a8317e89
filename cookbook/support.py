"""A small shop's support desk: `agentflow dev cookbook/support.py`, then in another terminal

    agentflow start refund --payload '{"order_id": "o-81", "cents": 20000}' --tail
    agentflow start follow_up --payload '{"order_id": "o-81"}' --tail

It answers for itself: nothing here calls a service, and nothing is lost if you stop it in the middle.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentflow import Retry, approve, context, current_step, sleep, step, task

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
