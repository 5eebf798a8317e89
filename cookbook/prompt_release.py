"""One prompt, released without a deploy and taken back: who began with a version ends with it.

    python -m cookbook.prompt_release Ada

The prompt stands in the code and is a version like any other. A better one is kept and released while a run sleeps: that run goes on with
what it began with, the next one has the new text, and after the rollback all is as before. At the command line the same is
`agentflow prompts push`, `diff`, `release` and `rollback`; `agentflow prompts show welcome` tells who did what.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel

from agentflow import Agentflow, prompt, sleep, system, task, user
from agentflow.prompts.body import Body


class Guest(BaseModel):
    """The variables: a template that uses another is an error when this file is imported."""

    name: str


welcome = prompt(
    "welcome",
    vars=Guest,
    model="anthropic:claude-sonnet-4-6",
    messages=[system("You write one line for the door of a hotel room."), user("Welcome {{name}}.")],
)
warmer = Body((*welcome.body.messages[:1], user("Welcome {{name}}, warmly, and name the time of breakfast.")), model=welcome.body.model)


@task
async def greet(name: str, pause: str = "1s") -> list[str]:
    """What a model would be asked, before a pause and after it. `asked.to_anthropic()` is the whole call."""
    before = await welcome.get(name=name)
    await sleep(pause)
    after = await welcome.get(name=name)
    return [before.conversation[0]["content"], after.conversation[0]["content"]]


async def release(app: Agentflow) -> int:
    """Keep the warmer version, and release it; returns its number."""
    kept = await app.prompts.save("welcome", warmer, actor="maria", note="warmer")
    await app.prompts.release("welcome", to=kept.number, actor="maria", reason="guests asked for breakfast")
    return kept.number


async def main(name: str = "Ada") -> None:
    """Three guests: one before the release, one after it, one after the rollback."""
    async with Agentflow([greet]) as app:
        first = await greet.start(name)
        while not await app.prompts.pins("welcome"):
            await asyncio.sleep(0.05)
        number = await release(app)
        second = await greet.start(name, "0s")
        print(f"before the release: {(await first.result())[-1]}")
        print(f"v{number} is live:       {(await second.result())[-1]}")
        await app.prompts.rollback("welcome", actor="maria", reason="breakfast has another time on Sundays")
        print(f"after the rollback: {(await (await greet.start(name, '0s')).result())[-1]}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
