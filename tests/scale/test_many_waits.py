"""Much of everything: ten thousand waits on a worker of ten slots, ten thousand steps in one run."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentflow import approve, sleep, step, task, wait_for
from agentflow.database.port import Database, Query, Rows, T, Transaction
from agentflow.engine.executor import Execution
from agentflow.records import RunState
from agentflow.testing import Engine

RUNS = 1_000
WAITS = 10
STEPS = 10_000
EDGE = 1_000
REAL_LIMIT = 120.0
"""Seconds of real time after which these tests give up; they take a fraction of it."""


@task
async def waits_for_much(tokens: list[str]) -> int:
    """Ten waits at once: five tokens, three timers, two people."""
    found = await asyncio.gather(
        *(wait_for(token) for token in tokens), *(sleep(f"{days}d") for days in (1, 2, 3)), *(approve(f"{place}?") for place in range(2))
    )
    return sum(1 for one in found if one is not False)


async def all_wait(engine: Engine, count: int) -> None:
    """Return once that many runs wait and nothing moves."""
    async with asyncio.timeout(REAL_LIMIT):
        while len(await engine.app.runs.list(status=RunState.WAITING, limit=count + 1)) < count:
            await engine.settle()
    await engine.settle()


def alive() -> int:
    gc.collect()
    return sum(type(one) is Execution for one in gc.get_objects())


@pytest.mark.worker(slots=10, hot_limit=20)
async def test_ten_thousand_parallel_waits_over_a_thousand_runs_finish_on_one_worker_of_ten_slots(engine: Engine) -> None:
    """T40"""
    tokens = [token.id for token in [await engine.app.waitpoints.create() for _ in range(5)]]
    earlier, began = alive(), time.perf_counter()
    runs = [await engine.start(waits_for_much, tokens) for _ in range(RUNS)]
    await all_wait(engine, RUNS)
    parked = time.perf_counter() - began
    worker = engine.app.worker
    assert worker is not None
    assert (len(worker.active), worker.free) == (0, 10)
    assert len(worker.hot) <= 20
    assert alive() - earlier <= 20
    for token in tokens:
        await engine.app.waitpoints.answer(token, "yes", by="machine")
    await engine.clock.advance("3d")
    for run in runs:
        for question in await engine.app.runs.waiting_for(run.id):
            await engine.app.waitpoints.approve(question.id, by="maria")
    assert [await run.result() for run in runs] == [WAITS] * RUNS
    took = time.perf_counter() - began
    await engine.settle()
    assert (len(worker.active), worker.free) == (0, 10)
    print(f"{RUNS * WAITS} waits: all open after {parked:.1f} s, all over after {took:.1f} s")


@task
async def waits_once(token: str) -> str:
    return await wait_for(token)


@pytest.mark.worker(slots=10, hot_limit=0)
async def test_a_run_answered_among_thousands_that_wait_goes_on_and_they_hold_no_memory(engine: Engine) -> None:
    """T40"""
    process, earlier = psutil.Process(), alive()
    tokens = [await engine.app.waitpoints.create() for _ in range(3_000)]
    runs = [await engine.start(waits_once, token.id) for token in tokens[:1_000]]
    await all_wait(engine, 1_000)
    gc.collect()
    before = process.memory_info().rss
    runs += [await engine.start(waits_once, token.id) for token in tokens[1_000:]]
    await all_wait(engine, 3_000)
    gc.collect()
    grown = (process.memory_info().rss - before) / 2_000
    assert alive() == earlier
    print(f"{grown:.0f} bytes of the process per waiting run, its SQLite caches included")
    assert grown < 5_000
    await engine.app.waitpoints.answer(tokens[1_500].id, "you", by="machine")
    assert await runs[1_500].result() == "you"
    assert len(await engine.app.runs.list(status=RunState.WAITING, limit=4_000)) == 2_999


class Counting:
    """A database that counts what is asked of it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self._database = database
        self.dialect = database.dialect
        self.asked: Counter[str] = Counter()

    async def transact(self, transaction: Transaction[T]) -> T:
        """As the database inside."""
        self.asked["transactions"] += 1
        return await self._database.transact(self._count(transaction))

    async def execute(self, query: Query) -> Rows:
        """As the database inside."""
        self.asked["statements"] += 1
        return await self._database.execute(query)

    async def fetch(self, query: Query) -> Rows:
        """As the database inside."""
        self.asked["reads"] += 1
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        """As the database inside."""
        self.asked["reads"] += 1
        return await self._database.read(transaction)

    def blocking(self) -> Any:
        """As the database inside."""
        return self._database.blocking()

    async def close(self) -> None:
        """As the database inside."""
        await self._database.close()

    def _count(self, transaction: Transaction[T]) -> Transaction[T]:
        try:
            query = next(transaction)
            while True:
                self.asked["statements"] += 1
                query = transaction.send((yield query))
        except StopIteration as end:
            return end.value
        finally:
            transaction.close()


@step
async def tick(number: int) -> int:
    return number


@task
async def long_run() -> int:
    total = 0
    for number in range(STEPS):
        if number % EDGE == 0:
            MARKS.append((time.process_time(), COUNTING[0].asked.total(), size(COUNTING[0].folder)))
        total += await tick(number)
    MARKS.append((time.process_time(), COUNTING[0].asked.total(), size(COUNTING[0].folder)))
    return total


MARKS: list[tuple[float, int, int]] = []
COUNTING: list[Counting] = []


def size(folder: Path) -> int:
    """Bytes of the database, whatever of it is still in its log."""
    return sum(file.stat().st_size for file in folder.glob("test.db"))


async def test_the_last_of_ten_thousand_steps_costs_what_the_first_did_and_the_database_grows_by_as_much(engine: Engine) -> None:
    """S12"""

    def counted(database: Database) -> Database:
        COUNTING[:] = [Counting(database, engine.directory)]
        return COUNTING[0]

    MARKS.clear()
    await engine.stop()
    engine.wrap = counted
    await engine.go_on()
    run = await engine.start(long_run)
    async with asyncio.timeout(REAL_LIMIT):
        assert await run.result(timeout="1d") == sum(range(STEPS))
    times, asked, sizes = ([after[what] - before[what] for before, after in pairwise(MARKS)] for what in range(3))
    assert max(asked) - min(asked) < EDGE / 10
    assert max(sizes[2:]) < 2 * max(1, min(sizes[2:]))
    ratio = times[-1] / times[1]
    per_step = (MARKS[-1][2] - MARKS[0][2]) / STEPS
    print(f"{per_step:.0f} bytes and {asked[-1] / EDGE:.2f} statements per step")
    print(f"the last {EDGE} steps took {ratio:.2f} times the processor time of the second {EDGE}")
    assert ratio < 3
