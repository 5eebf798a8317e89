"""Own loop with the raw Anthropic SDK: the loop is yours, and what it did is recorded.

    python -m cookbook.own_loop_anthropic "Order o-81 came broken, I want my 49 euros back."

Each request is a step, each call of `reimburse` a child run that waits for a person, for days if it must. After a crash the loop goes on
where it was: no request is paid twice, and the thoughts go back to the model with their signatures.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agentflow_anthropic import durable
from anthropic.types import MessageParam

from agentflow import Agentflow, ai, step, task
from cookbook.terminal import attended
from cookbook.wire import anthropic_client

MODEL = os.environ.get("AGENTFLOW_COOKBOOK_MODEL", "claude-sonnet-4-6")
client = durable(anthropic_client())


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
    """Answer one question."""
    async with Agentflow([own_loop, reimburse]) as app:
        print(await attended(app, await own_loop.start(question)))


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Order o-81 came broken, I want my 49 euros back."))
