"""`python -m tests.benchmarks.prompts`: what it takes to render a template of 10 KiB, and to ask for a prompt that the run holds."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from agentflow import Agentflow, prompt, system, task, user
from agentflow.prompts.prompt import Prompt

MOST = 0.2
"""Milliseconds that either may take, at the median."""
LINE = "- {{this.name}}: {{this.count}} of {{shop}}, and say so in words that {{name}} knows, without a list of what was not asked.\n"
RULES = "Rule: answer briefly, cite the policy by its number, and never promise {{name}} what the shop {{shop}} cannot keep.\n"
TEXT = f"You help {{{{name}}}}.\n{RULES * 87}{{{{#each lines}}}}\n{LINE}{{{{/each}}}}\n"
VALUES: dict[str, Any] = {"name": "Ada", "shop": "the shop", "lines": [{"name": f"item {at}", "count": at} for at in range(10)]}


class Item(BaseModel):
    name: str
    count: int


class Measured(BaseModel):
    name: str
    shop: str
    lines: list[Item]


measured: Prompt[...] = prompt("measured", vars=Measured, messages=[system(TEXT), user("Where is it?")])
took: list[float] = []


@task(name="benchmark_prompts")
async def asks(times: int) -> None:
    """Ask for a prompt that the run holds from its first question on."""
    for _ in range(times):
        began = perf_counter()
        await measured.get(**VALUES)
        took.append((perf_counter() - began) * 1e3)


def rendering(times: int) -> list[float]:
    """Milliseconds of filling in the code's own body, with what pydantic takes to look at the variables."""
    found: list[float] = []
    for _ in range(times):
        began = perf_counter()
        measured.fill(**VALUES)
        found.append((perf_counter() - began) * 1e3)
    return found


async def asking(times: int, database: str | None, directory: Path) -> tuple[float, list[float]]:
    """Milliseconds of the first `get` in a run, and of those after it."""
    took.clear()
    async with Agentflow([asks], database=database or str(directory / "prompts.db"), directory=directory):
        await (await asks.start(times)).result()
    return took[0], took[1:]


def main() -> int:
    """Measure and print; 1 when either takes longer than it may."""
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks.prompts")
    arguments.add_argument("--times", type=int, default=2_000)
    arguments.add_argument("--database", help="a PostgreSQL URL; without it SQLite")
    given = arguments.parse_args()
    rendered = rendering(given.times)
    with tempfile.TemporaryDirectory(prefix="prompts-") as directory:
        first, later = asyncio.run(asking(given.times, given.database, Path(directory)))
    print(f"template of {len(TEXT) / 1024:.1f} KiB")
    for name, figures in (("render", rendered), ("first get in a run", [first]), ("get after it", later)):
        ranked = sorted(figures)
        print(f"{name:20} {median(ranked):7.3f} ms (p50) {ranked[int(len(ranked) * 0.99)]:7.3f} ms (p99)")
    return int(median(rendered) > MOST or median(later) > MOST)


if __name__ == "__main__":
    sys.exit(main())
