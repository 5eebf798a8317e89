"""Routing: a small, cheap classifier picks the specialist. Its answer is a type, so no text has to be parsed.

    python -m cookbook.routing "I was charged twice for order o-81"

The route is recorded: after a crash nobody is asked again where the question belongs, and it never changes its desk half-way.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel

from agentflow import Agent, Agentflow, context, task
from cookbook import scripts
from cookbook.model import model

Desk = Literal["billing", "technical", "general"]


class Route(BaseModel):
    """Where a question belongs, and why."""

    desk: Desk
    reason: str


class Reply(BaseModel):
    """What a customer was told, and by which desk."""

    desk: Desk
    text: str


dispatcher = Agent(
    "dispatcher",
    model=model(scripts.dispatcher),
    output=Route,
    instructions="Decide which desk answers: billing (money, invoices), technical (something does not work), general (all else).",
)
billing_desk = Agent(
    "billing_desk",
    model=model(scripts.billing_desk),
    instructions="You answer questions about invoices and refunds. Be exact about sums and dates.",
)
technical_desk = Agent(
    "technical_desk",
    model=model(scripts.technical_desk),
    instructions="You find out why something does not work. Ask for the one fact that helps most.",
)
general_desk = Agent("general_desk", model=model(scripts.general_desk), instructions="You answer all that is left, in two sentences.")

DESKS: dict[Desk, Agent[str]] = {"billing": billing_desk, "technical": technical_desk, "general": general_desk}


@task
async def answer_customer(question: str) -> Reply:
    """Answer a customer at the right desk."""
    route = await dispatcher(question)
    context().metadata["desk"] = route.desk
    return Reply(desk=route.desk, text=await DESKS[route.desk](question))


async def main(question: str) -> None:
    """Answer one question."""
    async with Agentflow([answer_customer, dispatcher, *DESKS.values()]):
        run = await answer_customer.start(question)
        reply = await run.result()
        print(f"{reply.desk}: {reply.text}")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "I was charged twice for order o-81."))
