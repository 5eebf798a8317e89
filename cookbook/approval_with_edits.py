"""Human approval with edits: the model asks for a refund, a person agrees, refuses, or agrees to another sum.

    python -m cookbook.approval_with_edits "Order o-81 came broken, I want my 190 euros back."

A small refund needs nobody. For a large one the run waits for a day, at no cost, and whoever answers may do it from elsewhere:
`agentflow approve wp_… --edits '{"order_id": "o-81", "cents": 9500}'`. The tool runs once, with what the person allowed, and the model is
told what that was.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agentflow import Agent, Agentflow, Approval, ai, current_step, step, task
from agentflow.streams.events import ApprovalRequested
from cookbook import scripts
from cookbook.model import model

LARGE = 10_000
"""Cents from which a person decides."""


@step
def pay(order_id: str, cents: int) -> str:
    """Pay money back. The key is the same at every try, so the bank sees a second one for what it is."""
    return f"paid {cents / 100:.2f} for {order_id} (reference {current_step().idempotency_key})"


@task
async def pay_back(order_id: str, cents: int) -> str:
    """Pay a customer back for an order; `cents` is how much."""
    return await pay(order_id, cents)


refund_desk = Agent(
    "refund_desk",
    model=model(scripts.refund_desk),
    tools=[ai.tool(pay_back, approval=Approval(when=lambda call: call.cents >= LARGE, title="Pay back?", expires="1d"))],
    instructions="You pay customers back for what came broken. Call pay_back once, then tell the customer what really was paid.",
)


async def decide(app: Agentflow, asked: ApprovalRequested) -> None:
    """Ask at the terminal how much it shall be; without a terminal, half of it."""
    wanted: dict[str, Any] = dict(asked.input)
    typed = await asyncio.to_thread(input, f"{asked.title} {wanted} Cents, or 0 for no: ") if sys.stdin.isatty() else None
    cents = int(typed or wanted["cents"] // 2)
    if cents == 0:
        await app.waitpoints.deny(asked.approval, by="you", reason="not this time")
    else:
        await app.waitpoints.approve(asked.approval, by="you", edits={**wanted, "cents": cents})


async def main(complaint: str) -> None:
    """Handle one complaint."""
    async with Agentflow([refund_desk, pay_back]) as app:
        run = await refund_desk.start(complaint)
        async for told in run.events():
            if isinstance(told.event, ApprovalRequested):
                await decide(app, told.event)
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Order o-81 came broken, I want my 190 euros back."))
