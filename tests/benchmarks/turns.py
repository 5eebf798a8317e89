"""`python -m tests.benchmarks.turns`: what a turn of an agent costs, beside pydantic-ai's own loop with the same model, in turn with it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterable, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.usage import UsageLimits

from agentflow import Agent, Agentflow
from agentflow.testing.models import ScriptedModel, call, scripted_model, text

DISK = Path("/var/tmp")
Turn = tuple[float, float]
ANSWER = "It left on Monday, in two parcels, and will be there by the end of the week."
_begun: list[tuple[float, float]] = []


async def look_up(order: str) -> str:
    """Find an order."""
    _begun.append((perf_counter(), process_time()))
    return ANSWER


def talkative(turns: int) -> ScriptedModel:
    """A model that calls a tool in each turn but the last, with a hundred characters of words before it."""
    said = [text("I will look at the next order, for it may tell what became of the one that was asked for. " * 2)]
    return scripted_model(*([*said, call("look_up", {"order": f"o-{turn}"})] for turn in range(turns - 1)), [text("done")])


async def _turns(run: Callable[[], Awaitable[Any]]) -> list[Turn]:
    """Milliseconds from tool call to tool call, and how many of them this process worked."""
    _begun.clear()
    await run()
    return [((later[0] - earlier[0]) * 1e3, (later[1] - earlier[1]) * 1e3) for earlier, later in pairwise(_begun)]


async def _heard(ctx: Any, events: AsyncIterable[Any]) -> None:
    async for _ in events:
        pass


async def measure(turns: int, rounds: int, database: str | None, directory: Path) -> dict[str, list[Turn]]:
    """How long each turn took: of pydantic-ai's own loop, of the same when it streams, and of ours."""
    own = PydanticAgent(talkative(turns), name="own", tools=[look_up])
    ours = Agent("ours", model=talkative(turns), tools=[look_up], turns=None)
    limits = UsageLimits(request_limit=None)
    took: dict[str, list[Turn]] = {"own loop": [], "own loop, streamed": [], "agentflow": []}
    async with Agentflow([ours], database=database or str(directory / "turns.db"), directory=directory) as app:
        await (await ours.start("warm")).result()

        async def started() -> None:
            await (await ours.start("go")).result()

        for _ in range(rounds):
            took["own loop"] += await _turns(lambda: own.run("go", usage_limits=limits))
            took["own loop, streamed"] += await _turns(lambda: own.run("go", usage_limits=limits, event_stream_handler=_heard))
            took["agentflow"] += await _turns(started)
            await app.streams.flush()
    return took


def main() -> int:
    """Measure and print; 1 when a turn costs more than 5 ms beside the own loop."""
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks.turns")
    arguments.add_argument("--turns", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--database", help="a PostgreSQL URL; without it SQLite")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=DISK if DISK.is_dir() else None, prefix="turns-") as directory:
        took = asyncio.run(measure(given.turns, given.rounds, given.database, Path(directory)))
    middle = {name: tuple(median(turn[clock] for turn in turns) for clock in (0, 1)) for name, turns in took.items()}
    own, ours = middle["own loop"], middle["agentflow"]
    for name, (wall, work) in {**middle, "overhead": (ours[0] - own[0], ours[1] - own[1])}.items():
        print(f"{name:20} {wall:7.2f} ms a turn (p50), of which this process worked {work:6.2f}")
    return int(ours[0] - own[0] > 5)


if __name__ == "__main__":
    sys.exit(main())
