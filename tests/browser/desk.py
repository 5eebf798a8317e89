"""What the dashboard's tests start: the cookbook's support desk, and an agent that stops in mid-sentence until it is told to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agentflow import Agent, Approval, Untrusted, ai, approve, ask, current_step, prompt, slot, step, system, task, user
from agentflow.engine.task import Task
from agentflow.streams.events import Usage
from agentflow.testing import scripted_model
from agentflow.testing.models import call, text
from cookbook.support import follow_up, refund, support


class Prompter:
    """Lets an agent say its first three words, and the rest when it is told to."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._pieces = 0

    async def pace(self, _: str) -> None:
        """Before each piece."""
        self._pieces += 1
        if self._pieces > 2:
            await self.told.wait()


def speaker_of(prompter: Prompter) -> Agent[str]:
    """An agent that counts to six, and stops at three."""
    # Pieces of seven characters: "One two", " three ", and the rest.
    model = scripted_model([text("One two three four five six.")], pace=prompter.pace, size=7)
    return Agent("speaker", model=model, instructions="You count.", description="Counts to six.")


@task
async def publish(title: str) -> str:
    """Publish a post, once two people agree."""
    decision = await approve(
        title, body={"post": "The tides", "words": 420}, users=["ana", "bo", "maria"], need=2, risk="high", expires="2h"
    )
    return "published" if decision.approved else f"denied: {decision.reason}"


@task
async def wipe(index: str) -> str:
    """Delete an index, if a person says so."""
    body = {"index": index, "count": "12", "hosts": ["a, b"], "note": "ok\u202etxt.exe"}
    decision = await approve(f"Delete the index {index}?", body=body, risk="critical", expires="3d")
    return "deleted" if decision.approved else "kept"


class Address(BaseModel):
    """Where to."""

    street: str = Field(min_length=3)
    city: str


class Shipping(BaseModel):
    """How an order goes out."""

    carrier: Literal["dhl", "ups"]
    weight: Annotated[float, Field(gt=0, le=30, title="Weight in kg")]
    on: date
    parcels: int = 1
    insured: bool = True
    extras: list[Literal["gift wrap", "text message"]] = []
    postcode: Annotated[str, Field(pattern=r"(?i)^[a-z]{2}-[0-9]{4}$", description="Like NO-0150")]
    note: str | None = None
    address: Address


@task
async def ship(order: str) -> str:
    """Ask how to ship an order."""
    found = await ask(Shipping, title=f"How should order {order} go out?", body={"order": order}, expires="2d")
    return f"{found.carrier} {found.weight} {found.on} {found.parcels} {','.join(found.extras)} {found.postcode} {found.address.city}"


@step
async def transfer(account: str, cents: int, note: str = "") -> str:
    """Send money."""
    return f"sent {cents} to {account}: {note}"


cashier = Agent(
    "cashier",
    model=scripted_model(
        [call("transfer", {"account": "NO93 8601", "cents": 4_900, "note": "Refund for order o-81, agreed by phone"}, id="send")],
        [text("The money is sent.")],
    ),
    instructions="You pay what people are owed.",
    tools=[ai.tool(transfer, approval=Approval(risk="high", groups=["finance"], expires="4h"))],
)


clerk = Agent(
    "clerk",
    model=scripted_model(
        [
            call("transfer", {"account": "NO93 8601", "cents": 100}, id="first"),
            call("transfer", {"account": "NO93 8602", "cents": 200}, id="second"),
        ],
        [text("Both are sent.")],
    ),
    instructions="You pay small sums.",
    tools=[ai.tool(transfer, approval=Approval(risk="low", notify=["console"]))],
)


class Letter(BaseModel):
    """What a letter is written from."""

    name: str
    plan: Literal["free", "pro"]
    issue: Untrusted[str]


letter: Any = None
"""Held while a desk is open: of a prompt that nobody holds any more, nothing is registered by other tests."""


@contextmanager
def lettered() -> Generator[None]:
    """While the desk has its prompt."""
    global letter
    letter = prompt(
        "desk/letter",
        vars=Letter,
        model="anthropic:claude-sonnet-4-6",
        params={"temperature": 0.2},
        description="Answers a customer's letter.",
        fence=True,
        messages=[
            system("You answer letters for the support desk.\nThe customer's plan is {{plan}}. {{> tone}}"),
            slot("history"),
            user("{{name}} writes: {{issue}}"),
        ],
        partials={"tone": "Be brief, and never promise a refund."},
    )
    yield
    letter = None


@step(kind="llm")
async def compose(said: str) -> str:
    """Ask a model for a letter."""
    current_step().publish(Usage(provider="anthropic", model="claude-sonnet-4-6", input=210, output=80, cost=0.0018))
    return "We look for it."


@task
async def reply(name: str) -> str:
    """Answer a letter, once a person has read the answer."""
    said = await letter.get(name=name, plan="pro", issue="My parcel never came.")
    with said.counting():
        text = await compose(said.messages[-1]["content"])
    await approve(f"Send the letter to {name}?", body={"text": text})
    return said.ref


TASKS: tuple[Task[..., Any], ...] = (follow_up, refund, support, publish, wipe, ship, cashier, clerk, reply)
