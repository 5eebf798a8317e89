"""Own loop with OpenAI in background mode: a response that is being made outlives the worker that asked for it.

    python -m cookbook.own_loop_openai "How did our second quarter go?"

The id of each response is recorded as soon as OpenAI names it. Kill the program while the model thinks and start it again: the same
response goes on, and nothing is paid twice. A run that is cancelled cancels its response, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agentflow_openai import durable

from agentflow import Agentflow, ai, step, task
from cookbook.wire import openai_client

MODEL = os.environ.get("AGENTFLOW_COOKBOOK_MODEL", "gpt-5")
client = durable(openai_client())


@step
def sales_figures(quarter: int) -> dict[str, int]:
    """Look up what was sold in a quarter, in euros, by region."""
    return {"north": 120_000 * quarter, "south": 80_000 + 5_000 * quarter}


TOOLS = [ai.tool(sales_figures)]


@task
async def analyse(question: str) -> str:
    """Answer a question about the business."""
    tools: list[Any] = [tool.to_openai() for tool in TOOLS]
    given: list[Any] = [{"type": "message", "role": "user", "content": question}]
    while True:
        response = await client.responses.create(model=MODEL, input=given, tools=tools, background=True)
        results = await ai.run_tools(response, TOOLS)
        if not results:
            return response.output_text
        given += [*response.output, *results]


async def main(question: str) -> None:
    """Answer one question; asked again, it is the same run."""
    async with Agentflow([analyse]):
        run = await analyse.using(idempotency_key=question).start(question)
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "How did our second quarter go?"))
