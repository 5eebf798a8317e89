"""A run that waits and has left memory holds none of it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from agentflow import approve, sleep, task
from agentflow.engine.executor import Execution
from agentflow.engine.run_context import RunContext
from agentflow.engine.session import Session
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.testing import Engine

YEAR = 365 * 86_400_000_000
RUNS = 300
MOST_BYTES = 300
"""What a waiting run may cost the process that ran it, where the run itself held 10 kB: not even a record of it; the rest is noise."""


class Cargo:
    """What user code holds while it waits."""

    alive: ClassVar[weakref.WeakSet[Cargo]] = weakref.WeakSet()

    def __init__(self) -> None:
        self.bytes = bytearray(10_000)
        self.alive.add(self)


@task
async def asks_with_cargo() -> bool:
    cargo = Cargo()
    answer = await approve("?")
    return answer.approved and len(cargo.bytes) > 0


@task
async def asks_twice_with_cargo() -> int:
    cargo = Cargo()
    await asyncio.gather(approve("?"), sleep("300d"))
    return len(cargo.bytes)


async def start_all(engine: Engine, count: int) -> list[RunHandle[Any]]:
    """Start runs, and see all of them wait."""
    runs = [await engine.start(asks_with_cargo) for _ in range(count)]
    for run in runs:
        await engine.until(run, RunState.WAITING)
    await engine.settle()
    await engine.app.streams.flush()
    return runs


EARLIER: set[int] = set()


@pytest.fixture(autouse=True)
def earlier() -> Iterator[None]:
    """What tests before this one left to zombies of theirs is not this test's."""
    EARLIER.update(map(id, _made()))
    yield
    EARLIER.clear()


def in_memory() -> list[Any]:
    """All that the engine made for runs in this test and that is still there."""
    return [one for one in _made() if id(one) not in EARLIER]


def _made() -> list[Any]:
    gc.collect()
    return [one for one in gc.get_objects() if type(one) in (Execution, Session, RunContext)]


@pytest.mark.worker(hot_limit=0)
async def test_a_run_that_waits_and_left_memory_leaves_no_object_behind(engine: Engine) -> None:
    """T40"""
    runs = await start_all(engine, 20)
    assert in_memory() == []
    assert list(Cargo.alive) == []
    await answer(engine, runs)


@pytest.mark.worker(hot_window=60_000_000)
async def test_a_waiting_run_leaves_memory_when_its_hot_window_is_over(engine: Engine) -> None:
    """T40, S4"""
    runs = await start_all(engine, 20)
    assert len(Cargo.alive) == 20
    await engine.clock.advance("59s")
    assert len(Cargo.alive) == 20
    await engine.clock.advance("1s")
    assert in_memory() == []
    assert list(Cargo.alive) == []
    await answer(engine, runs)


@pytest.mark.worker(hot_limit=5, hot_window=YEAR)
async def test_no_more_waiting_runs_stay_in_memory_than_were_allowed_and_the_oldest_go_first(engine: Engine) -> None:
    """T40, S4"""
    runs = [run for _ in range(20) for run in await start_all(engine, 1)]
    gc.collect()
    assert len(Cargo.alive) == 5
    assert engine.app.worker is not None
    assert {one.run_id for one in engine.app.worker.hot.values()} == {run.id for run in runs[-5:]}
    await answer(engine, runs)


@pytest.mark.worker(hot_limit=0)
async def test_a_run_with_parallel_waits_that_left_memory_leaves_no_object_behind(engine: Engine) -> None:
    """T40"""
    run = await engine.start(asks_twice_with_cargo)
    [question, *_] = await engine.waiting(run, 2)
    await engine.settle()
    assert in_memory() == []
    assert list(Cargo.alive) == []
    await engine.clock.advance("300d")
    assert question.record.run_id == run.id
    for one in await engine.app.runs.waiting_for(run.id):
        await engine.app.waitpoints.approve(one.id, by="maria")
    assert await run.result() == 10_000


@task
async def listens_with_cargo() -> bool:
    cargo = Cargo()
    question = asyncio.ensure_future(approve("?"))
    news = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.wait({question, news}, return_when=asyncio.FIRST_COMPLETED)
    news.cancel()
    return question.result().approved and len(cargo.bytes) > 0


@pytest.mark.worker(hot_limit=0)
async def test_a_run_that_only_listens_for_an_event_beside_its_wait_leaves_no_object_behind(engine: Engine) -> None:
    """T40"""
    run = await engine.start(listens_with_cargo)
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    assert in_memory() == []
    assert list(Cargo.alive) == []
    await answer(engine, [run])


@pytest.mark.worker(hot_limit=0, slots=10)
async def test_a_waiting_run_costs_the_process_no_bytes(engine: Engine) -> None:
    """T40"""
    held: list[int] = []
    tracemalloc.start()
    try:
        # The first ones fill caches, pools and tables; what is filled later, by one more connection, is filled once.
        for _ in range(3):
            await start_all(engine, RUNS)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    per_run = min(after - before for before, after in pairwise(held)) / RUNS
    print(f"{per_run:.0f} bytes per waiting run")
    assert per_run < MOST_BYTES


async def answer(engine: Engine, runs: Sequence[RunHandle[Any]]) -> None:
    """Let all go on, to see that what left memory is not lost."""
    for run in runs:
        [question] = await engine.app.runs.waiting_for(run.id)
        await engine.app.waitpoints.approve(question.id, by="maria")
    assert [await run.result() for run in runs] == [True] * len(runs)
