"""A conversation with an agent that is spoken to while it works: steered, queued, stopped, and asked again.

    python -m cookbook.chat_thread

A thread is a conversation of many runs. `send` is the next turn; `send(…, mode="steer")` reaches the agent between two steps of the turn
that is under way; `stop` ends the turn and not the conversation; `regenerate` has the last question answered anew. All of it survives a
crash, and the page in the browser does the same with `useAgent` of `@agentflow/react`.
"""

from __future__ import annotations

import asyncio

from agentflow import Agent, Agentflow, Compaction, step
from cookbook import scripts
from cookbook.model import model


@step
async def find_flights(day: str) -> list[str]:
    """Flights to Lisbon on a day, with their prices in euros."""
    await asyncio.sleep(0.2)
    return [f"{day} 06:10, 89", f"{day} 13:40, 140"]


traveller = Agent(
    "traveller",
    model=model(scripts.traveller),
    instructions="You book trips. Look flights up before you recommend one, and answer in one sentence.",
    tools=[find_flights],
    compact=Compaction(above=50_000),
)


async def main() -> None:
    """Talk."""
    async with Agentflow([traveller]) as app:
        run = await traveller.start("I want to go to Lisbon on Friday.", thread="lisbon")
        thread = app.thread("lisbon")
        await thread.send("By the way: not after ten in the morning.", mode="steer")
        print(await run.result())

        late = await thread.send("And back on Sunday?")
        await thread.stop(run=late.id, reason="I know it already.")
        await app.runs.ended(late.id)

        again = await thread.regenerate("Only the price, please.")
        print(await again.result())

        elsewhere = await thread.fork(id="lisbon, another day")
        print(await (await elsewhere.send("What if I stay until Monday?")).result())


if __name__ == "__main__":
    asyncio.run(main())
