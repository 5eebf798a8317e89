"""Tasks that the tests of the server start."""

from __future__ import annotations

from typing import Any

from agentflow import approve, context, current_step, step, task, wait_for
from agentflow.streams.events import ReasoningDelta, ReasoningEnd, ReasoningStart, TextDelta, TextEnd, TextStart

WORDS = [f"word{number} " for number in range(12)]


@step
async def shout(text: str) -> str:
    return text.upper()


@task
async def greet(name: str, *, loud: bool = False) -> str:
    """Greet somebody."""
    context().metadata["stage"] = "greeting"
    return await shout(name) if loud else f"hello {name}"


@task
async def publish(draft: str) -> dict[str, Any]:
    """Ask whether to publish a draft."""
    decision = await approve("Publish?", body=draft)
    return {"approved": decision.approved, "by": decision.by, "edits": decision.edits}


@task
async def collect(token: str) -> Any:
    """Wait for what a token brings."""
    await shout("waiting")
    return await wait_for(token)


@step
async def say(words: list[str]) -> int:
    here = current_step()
    here.publish(TextStart("p1"))
    for word in words:
        here.publish(TextDelta("p1", word))
    here.publish(TextEnd("p1"))
    return len(words)


@task
async def talk(token: str | None = None) -> int:
    """Say some words, after a token was answered."""
    if token is not None:
        await wait_for(token)
    return await say(WORDS)


@step
async def think(thoughts: list[str]) -> int:
    here = current_step()
    here.publish(ReasoningStart("r1"))
    here.publish(TextStart("p1"))
    for thought in thoughts:
        here.publish(ReasoningDelta("r1", thought))
        here.publish(TextDelta("p1", thought.upper()))
    here.publish(ReasoningEnd("r1", signature="s"))
    here.publish(TextEnd("p1"))
    return len(thoughts)


@task
async def ponder(token: str | None = None, then: str | None = None) -> int:
    """Think aloud, after a token was answered, and then wait for another."""
    if token is not None:
        await wait_for(token)
    count = await think(WORDS[:4])
    if then is not None:
        await wait_for(then)
    return count


@task
async def parent(name: str) -> str:
    """Greet through a child run, and fail on bad names."""
    return await greet(name, loud=True)


@task
async def broken(token: str | None = None) -> None:
    """Fail, after a token was answered."""
    if token is not None:
        await wait_for(token)
    raise ValueError("this never works")


@task
async def large(size: int) -> str:
    """A result of some size."""
    return "x" * size


TASKS = (greet, publish, collect, talk, ponder, parent, broken, large)
