"""Tasks that pages start: the server's, and an agent that thinks, calls a tool that needs leave, and answers."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentflow import Agent, InputStream, Retry, Stream, ai, approve, ask, context, current_step, step, task
from agentflow.streams.events import TextDelta, TextEnd, TextStart
from agentflow.testing.models import call, scripted_model, text, thinking
from tests.server import tasks as served

lines = InputStream[str]("lines")
echoes = Stream[str]("echoes")
WORDS = [f"word{number} " for number in range(200)]


class Guests(BaseModel):
    """Who comes."""

    count: int = Field(ge=1, le=50)


@step(retry=Retry(attempts=2, initial="10ms"))
async def stammer() -> str:
    """Say something wrong, and then it all."""
    here = current_step()
    here.publish(TextStart(f"p{here.attempt}"))
    if here.attempt == 1:
        here.publish(TextDelta("p1", "Wrong"))
        raise RuntimeError("try again")
    for word in WORDS:
        here.publish(TextDelta(f"p{here.attempt}", word))
    here.publish(TextEnd(f"p{here.attempt}"))
    return "".join(WORDS)


@task
async def speech() -> str:
    """Say a lot, at the second try."""
    context().metadata["stage"] = "speaking"
    return await stammer()


@step
async def pay(cents: int) -> str:
    """Pay some money."""
    return f"paid {cents}"


clerk = Agent(
    "clerk",
    model=scripted_model([thinking("Money is to be paid."), call("pay", {"cents": 5}, id="c1")], [text("It is paid.")]),
    tools=[ai.tool(pay, approval=True)],
)


@task
async def parrot() -> int:
    """Say again what it is sent, until it is told to stop."""
    said = 0
    async for line in lines.receive():
        if line == "stop":
            break
        await echoes.append(line)
        said += 1
    return said


@task
async def council() -> str | None:
    """Have two of three people agree."""
    return (await approve("Build it?", users=["ana", "bo", "cy"], need=2)).by


@task
async def headcount() -> int:
    """Ask for a small number."""
    return (await ask(Guests, title="How many come?")).count


TASKS = (*served.TASKS, speech, clerk, parrot, council, headcount)
