"""Runs that work side by side share connections, commits and batches, and nothing else."""

from __future__ import annotations

import asyncio

from agentflow import step, task
from agentflow.testing import Engine


@step
async def double(number: int) -> int:
    return 2 * number


@task
async def chain(length: int) -> int:
    number = 1
    for _ in range(length):
        number = await double(number)
    return number


async def test_a_run_that_ends_takes_nothing_of_its_neighbours_with_it(engine: Engine) -> None:
    """What many runs record at one moment is written as one; the first of them to end must not cancel that."""
    lengths = [1 + number % 7 for number in range(60)]
    runs = await asyncio.gather(*(engine.start(chain, length) for length in lengths))
    results = await asyncio.gather(*(run.result() for run in runs))
    assert results == [2**length for length in lengths]
