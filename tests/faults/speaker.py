"""A worker whose model says a piece per byte on stdin: `python -m tests.faults.speaker <directory> <voice>`.

The first byte opens it. It prints `loaded`, `up`, and `left` when it lets go of a run of the agent, however that ends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agentflow import Agent, Agentflow, WorkerSettings, ai, step, task
from agentflow.clock import SECOND
from agentflow.engine.context import TaskContext
from agentflow.testing.models import ScriptedModel, call, scripted_model, text, thinking

PIECE = 8
"""Characters of a piece; every part of a turn is a multiple of it."""
FIRST_TURN = 6
"""Pieces of the first turn: two of thoughts, and a call that begins and has three of arguments."""


def plan(voice: str) -> str:
    """What a voice thinks first."""
    return _said(f"{voice} looks up", 2)


def thought(voice: str) -> str:
    """What a voice thinks of what it found."""
    return _said(f"{voice} found the order", 3)


def answer(voice: str) -> str:
    """What a voice says in the end."""
    return _said(f"{voice} says that the order left on Monday, by ship, and comes in a week or two", 10)


def _said(words: str, pieces: int) -> str:
    return words.ljust(pieces * PIECE, ".")


def model_of(voice: str, pace: Callable[[str], Awaitable[None]]) -> ScriptedModel:
    """A model that speaks with a voice, so that it shows whose words were kept."""
    ask = call("look_up", {"order": "order-00081"}, id="c1")
    return scripted_model([thinking(plan(voice)), ask], [thinking(thought(voice)), text(answer(voice))], pace=pace, size=PIECE)


async def work(directory: Path, voice: str) -> None:
    """Work until SIGTERM."""
    loop = asyncio.get_running_loop()
    permits, stop = asyncio.StreamReader(), asyncio.Event()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(permits), sys.stdin)
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    async def pace(_: str) -> None:
        await permits.readexactly(1)

    @step
    def find(order: str) -> str:
        with (directory / "bodies").open("a", encoding="utf-8") as bodies:
            bodies.write(f"{voice} {order}\n")
        return "left on Monday"

    @task
    async def look_up(order: str) -> str:
        """Where an order is."""
        return await find(order)

    async def tell(run: TaskContext, call_next: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call_next()
        finally:
            if run.task == "guide":
                print("left", flush=True)

    guide = Agent("guide", model=model_of(voice, pace), tools=[ai.tool(look_up)])
    guide.warm()
    print("loaded", flush=True)
    await permits.readexactly(1)
    settings = WorkerSettings(lease=2 * SECOND, renew_every=SECOND // 4, poll=0.25)
    async with Agentflow([guide, look_up], directory=directory, worker=settings, middleware=[tell]):
        print("up", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
