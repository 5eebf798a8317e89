"""Own loop with the raw Anthropic SDK: the loop is yours, and what it did is recorded.

    python -m cookbook.own_loop_anthropic "Order o-81 came broken, I want my 49 euros back."

It needs ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL of a server that speaks the Messages API. Each request is a step, each call of `reimburse`
a child run that waits for a person, for days if it must. After a crash the loop goes on where it was: no request is paid twice, and the
thoughts go back to the model with their signatures.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agentflow_anthropic import durable
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam

from agentflow import Agentflow, ai, step, task
from agentflow.streams.events import ApprovalRequested, ReasoningDelta, TextDelta

MODEL = os.environ.get("AGENTFLOW_COOKBOOK_MODEL", "claude-sonnet-4-6")
client = durable(AsyncAnthropic())


@step
def find_parcel(order_id: str) -> str:
    """Say where the parcel of an order is."""
    return f"The parcel of {order_id} was delivered on Monday."


@task
async def reimburse(order_id: str, cents: int) -> str:
    """Pay a customer back for an order."""
    return f"paid {cents / 100:.2f} for {order_id}"


TOOLS = [ai.tool(find_parcel), ai.tool(reimburse, approval=True)]


@task
async def own_loop(question: str) -> str:
    """Answer a customer."""
    tools: list[Any] = [tool.to_anthropic() for tool in TOOLS]
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    while True:
        message = await client.messages.create(model=MODEL, max_tokens=2_000, messages=messages, tools=tools)
        messages.append({"role": "assistant", "content": message.content})
        if message.stop_reason == "tool_use":
            results: list[Any] = await ai.run_tools(message, TOOLS)
            messages.append({"role": "user", "content": results})
        elif message.stop_reason != "pause_turn":
            return "".join(block.text for block in message.content if block.type == "text")


async def main(question: str) -> None:
    """Answer one question; a refund is agreed to at the terminal, and without one by itself."""
    async with Agentflow([own_loop, reimburse]) as app:
        run = await own_loop.start(question)
        async for told in run.events():
            if isinstance(told.event, (TextDelta, ReasoningDelta)):
                print(told.event.delta, end="", flush=True)
            elif isinstance(told.event, ApprovalRequested):
                asking = f"\n{told.event.title} {told.event.input} [y/n] "
                answer = await asyncio.to_thread(input, asking) if sys.stdin.isatty() else "y"
                decide = app.waitpoints.approve if answer == "y" else app.waitpoints.deny
                await decide(told.event.approval, by="you")
        print(f"\n{await run.result()}")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Order o-81 came broken, I want my 49 euros back."))
