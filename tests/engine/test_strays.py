"""A run that is leased to a worker and not in its memory: on its way there, however long that takes, or lost, and then taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow import approve, step, task
from agentflow.clock import SECOND
from agentflow.database.port import Database, T, Transaction
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import ConnectionLost
from agentflow.testing import Engine
from tests.engine.zombies import reach
from tests.faults.flaky import FlakyDatabase


class Slow(FlakyDatabase):
    """A database whose answers to some transactions are on their way until `arrive` is set. Counts the looks of the worker."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.slow: Callable[[Any], bool] = lambda value: False
        self.arrive = asyncio.Event()
        self.waits = 0
        self.reads = 0

    async def read(self, transaction: Transaction[T]) -> T:
        self.reads += 1
        return await super().read(transaction)

    async def transact(self, transaction: Transaction[T]) -> T:
        value = await super().transact(transaction)
        if self.slow(value):
            self.slow = lambda value: False
            self.waits += 1
            await self.arrive.wait()
        return value

    async def polled(self) -> None:
        """Return once the worker has looked for news several times."""
        seen = self.reads
        await reach(lambda: self.reads > seen + 30)


@pytest.fixture
async def slow(tmp_path: Path, stream_server: str, engine_database: str | None) -> AsyncIterator[tuple[Engine, Slow]]:
    """An engine whose worker looks for news all the time, and its database."""
    made: list[Slow] = []

    def wrap(database: Database) -> Database:
        made.append(Slow(database))
        return made[-1]

    engine = Engine(tmp_path, stream_server, WorkerSettings(poll=0.01), wrap=wrap, database=engine_database)
    await engine.open()
    yield engine, made[0]
    await engine.close()


async def test_a_start_whose_answer_is_on_its_way_is_no_stray(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow
    called: list[int] = []

    @step
    async def note_start() -> None:
        called.append(1)

    @task
    async def started_slowly() -> None:
        await note_start()

    database.held["runs/insert"] = arrive = asyncio.Event()
    starting = asyncio.ensure_future(engine.start(started_slowly))
    await database.polled()
    arrive.set()
    run = await starting
    await run.result()
    await engine.settle()
    assert called == [1]
    assert (await engine.get(run)).epoch == 1


async def test_a_child_whose_answer_is_on_its_way_is_no_stray(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow
    called: list[int] = []

    @step
    async def note_child() -> int:
        called.append(1)
        return 1

    @task
    async def child_of_slow() -> int:
        return await note_child()

    @task
    async def parent_of_slow() -> int:
        return await child_of_slow()

    database.slow = lambda value: isinstance(value, tuple)
    run = await engine.start(parent_of_slow)
    await reach(lambda: database.waits == 1)
    await database.polled()
    database.arrive.set()
    assert await run.result() == 1
    assert called == [1]


async def test_a_parent_that_its_child_woke_is_no_stray_while_the_word_is_on_its_way(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow
    gate = asyncio.Event()

    @task
    async def gated_child() -> int:
        await gate.wait()
        return 1

    @task
    async def woken_slowly() -> int:
        return await gated_child()

    run = await engine.start(woken_slowly)
    await engine.until(run, "waiting")
    await engine.settle()
    database.slow = lambda value: bool(getattr(value, "leased", ()))
    gate.set()
    await reach(lambda: database.waits == 1)
    await database.polled()
    database.arrive.set()
    assert await run.result() == 1
    assert (await engine.get(run)).epoch == 2
    assert engine.calls(woken_slowly) == 1


async def test_an_answered_run_is_no_stray_while_the_word_is_on_its_way(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow

    @task
    async def answered_slowly() -> bool:
        return (await approve("Go on?")).approved

    run = await engine.start(answered_slowly)
    [question] = await engine.waiting(run)
    await engine.settle()
    database.slow = lambda value: bool(getattr(value, "leased", ()))
    answering = asyncio.ensure_future(question.approve(by="maria"))
    await reach(lambda: database.waits == 1)
    await database.polled()
    database.arrive.set()
    await answering
    assert await run.result()
    assert (await engine.get(run)).epoch == 2


async def test_claimed_runs_are_no_strays_while_the_word_is_on_its_way(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow
    called: list[int] = []

    @step
    async def note_claimed() -> None:
        called.append(1)

    @task
    async def claimed_slowly() -> None:
        await note_claimed()

    run = await engine.start(claimed_slowly.using(delay="1s"))
    database.slow = lambda value: bool(getattr(value, "runs", ()))
    advancing = asyncio.ensure_future(engine.clock.advance("1s"))
    await reach(lambda: database.waits == 1)
    for _ in range(3):
        await asyncio.wait({advancing}, timeout=0.01)
    database.arrive.set()
    await advancing
    await run.result()
    assert called == [1]
    assert (await engine.get(run)).epoch == 1


async def test_what_is_leased_here_and_lost_on_its_way_is_taken_up_again(slow: tuple[Engine, Slow]) -> None:
    engine, database = slow
    called: list[int] = []

    @step
    async def note_lost() -> None:
        called.append(1)

    @task
    async def started_unheard() -> None:
        await note_lost()

    await engine.settle()
    database.breaks = lambda name: "after" if name == "runs/insert" else None
    with pytest.raises(ConnectionLost):
        await engine.start(started_unheard)
    database.breaks = lambda name: None
    [run] = await engine.app.runs.list()
    await engine.app.runs.ended(run.id)
    assert called == [1]
    assert (await engine.app.runs.get(run.id)).epoch == 2


async def test_word_of_a_lease_that_the_worker_has_lost_since_begins_nothing(slow: tuple[Engine, Slow]) -> None:
    """What another epoch has recorded would run again: an epoch that is the first one reads no journal."""
    engine, database = slow
    called: list[int] = []

    @step
    async def note_again() -> None:
        called.append(1)

    @task
    async def outlives_its_worker() -> None:
        await note_again()

    database.held["runs/insert"] = arrive = asyncio.Event()
    starting = asyncio.ensure_future(engine.start(outlives_its_worker))
    await database.polled()
    [run] = await engine.app.runs.list()
    worker = engine.app.worker
    assert worker is not None
    before = worker.id
    database.deaf = True
    await engine.clock.advance(engine.settings.lease / SECOND + 1)
    database.deaf = False
    await reach(lambda: worker.id != before)
    await engine.app.runs.ended(run.id)
    arrive.set()
    await (await starting).result()
    await engine.settle()
    assert called == [1]
