"""Recovery of many runs, and of runs that somebody has spoilt: bounded, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from agentflow import step, task
from agentflow.clock import SECOND
from agentflow.database import open_database
from agentflow.database.port import BlockingDatabase, Database, Query, Rows, Statement, T, Transaction
from agentflow.database.statements import make_statement
from agentflow.engine.bystander import Bystander
from agentflow.engine.host import Services
from agentflow.engine.maintenance import ROUND, Maintenance
from agentflow.engine.task import Task
from agentflow.records import RunRecord, RunState, WorkerRecord
from agentflow.storage import workers
from agentflow.testing import Engine
from agentflow.testing.clock import ManualClock


def spoil(column: str, value: str) -> Statement:
    """Somebody writes nonsense into a column of a run."""
    text = f"UPDATE runs SET {column} = '{value}' WHERE id = :id RETURNING id"
    return make_statement(f"tests/spoil_{column}", {"sqlite": text, "postgres": text})


SPOILT = {"id": "", "input": "{no", "tags": "[no", "metadata": "{no"}
_LOST = "UPDATE runs SET input = '@0123' WHERE id = :id RETURNING id"
_GARBLED = "UPDATE journal SET value = '{no' WHERE run = (SELECT key FROM runs WHERE id = :id) RETURNING seq"
lost_input = make_statement("tests/lost_input", {"sqlite": _LOST, "postgres": _LOST})
garbled_journal = make_statement("tests/garbled_journal", {"sqlite": _GARBLED, "postgres": _GARBLED})


@step
async def look(number: int) -> int:
    return number


async def ended(engine: Engine, run_id: str) -> RunRecord:
    """The run's end; recovery takes its polls and rounds."""
    async with asyncio.timeout(30):
        while not (run := await engine.app.runs.get(run_id)).state.terminal:
            await asyncio.sleep(0)
    return run


@pytest.mark.worker(hot_window=0, hot_limit=0, poll=0.25, max_recoveries=1)
async def test_spoilt_runs_are_given_up_and_the_others_go_on(engine: Engine) -> None:
    """T11, 37: nobody's code hangs over a row that cannot be read, and no row that can be waits for it."""
    gate = asyncio.Event()

    @task
    async def work(number: int) -> int:
        found = await look(number)
        await gate.wait()
        return found

    spoilt = {column: await engine.start(work.using(tags=["a"]), 1) for column in SPOILT}
    lost, garbled = await engine.start(work, 2), await engine.start(work, 3)
    healthy = [await engine.start(work, number) for number in range(10, 14)]
    await engine.settle()
    await engine.stop()
    gate.set()
    database = open_database(engine.database_url)
    for column, value in SPOILT.items():
        assert await database.execute(spoil(column, value)(id=spoilt[column].id))
    assert await database.execute(lost_input(id=lost.id))
    assert await database.execute(garbled_journal(id=garbled.id))
    await database.close()
    await engine.go_on()
    assert [await run.result() for run in healthy] == [10, 11, 12, 13]
    ends = {column: await ended(engine, "" if column == "id" else run.id) for column, run in spoilt.items()}
    for column in ("input", "metadata"):
        assert ends[column].state is RunState.FAILED, column
    assert ends["tags"].state is RunState.COMPLETED
    assert (await ended(engine, lost.id)).state is RunState.FAILED
    assert (await ended(engine, garbled.id)).state is RunState.FAILED
    assert len(await engine.app.runs.list()) == len(spoilt) + 2 + len(healthy)
    await engine.settle()
    assert engine.app.worker is not None
    assert engine.app.worker.free == engine.settings.slots


# -- ten thousand expired leases -----------------------------------------------------------------------------------------------------------

HELD = 10_000
_HOLD = f"""
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {HELD})
INSERT INTO runs (id, task, queue, state, epoch, worker, position, input, created_at, leased_at, started_at)
SELECT 'run_' || i, 'gone', 'other', 'running', 1, CASE WHEN i <= {HELD - 100} THEN 'worker_big' ELSE 'worker_' || (i % 50) END,
  1, '{{}}', 1, 1, 1
FROM n RETURNING key
"""
hold = make_statement("tests/hold", {"sqlite": _HOLD, "postgres": _HOLD})


class Counting:
    """Counts what a database is asked, by the name of the transaction or statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.asked: Counter[str] = Counter()

    async def transact(self, transaction: Transaction[T]) -> T:
        self.asked[getattr(transaction, "__name__", "")] += 1
        return await self._database.transact(transaction)

    async def execute(self, query: Query) -> Rows:
        self.asked[query.statement.name] += 1
        return await self._database.execute(query)

    async def fetch(self, query: Query) -> Rows:
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        return self._database.blocking()

    async def close(self) -> None:
        await self._database.close()


@pytest.mark.worker(poll=3_600.0)
async def test_ten_thousand_expired_leases_are_swept_in_bounded_rounds_beside_fresh_work(engine: Engine) -> None:
    """T12: a hundred of them of fifty small workers, the others of a large one."""

    @task
    async def fresh() -> int:
        return 1

    made: list[Counting] = []

    def wrap(database: Database) -> Counting:
        made.append(Counting(database))
        return made[-1]

    engine.wrap = wrap
    await engine.crash()
    before = await claims_of(engine, fresh, made[-1].asked)
    database = engine.app.database
    ends = engine.clock.now() + HOUR
    await database.execute(hold())
    for number, name in enumerate((*range(50), "big")):
        await database.transact(workers.register(gone(f"worker_{name}", ends + number), (), ends - HOUR))
    # A sweeper whose clock is ahead, so that the engine's own worker leaves them alone.
    later = ManualClock(ends + HOUR)
    counted = Counting(database)
    sweeper = Maintenance(Services(counted, engine.app.streams, later, Bystander(engine.app.streams), SECOND), {}, 5)
    for number in range(1, 4):
        counted.asked.clear()
        await sweeper.round()
        assert counted.asked["recover"] == ROUND
        [row] = await database.fetch(left())
        assert row["runs"] == HELD - number * ROUND
        # A signal may make for a look more; what does not grow is the number of them.
        assert await claims_of(engine, fresh, made[-1].asked) <= 2 * before
    assert engine.app.worker is not None
    assert {one.id for one in await database.read(workers.everyone())} == {"worker_big", engine.app.worker.id}


HOUR = 3_600 * SECOND
_LEFT = "SELECT COUNT(*) AS runs FROM runs WHERE worker IS NOT NULL"
left = make_statement("tests/left", {"sqlite": _LEFT, "postgres": _LEFT})


def gone(worker_id: str, expires_at: int) -> WorkerRecord:
    began = expires_at - HOUR
    fixed: dict[str, Any] = {"host": "here", "pid": 1, "slots": 9, "queues": ("other",), "tasks": ("gone",), "state": "live"}
    return WorkerRecord(id=worker_id, started_at=began, expires_at=expires_at, claimed_at=began, **fixed)


async def claims_of(engine: Engine, fresh: Task[[], int], asked: Counter[str]) -> int:
    """How many times the database is asked for a claim until five fresh runs of a queue have ended."""
    began = asked["claim_open"]
    due = [await fresh.using(delay="1s").start() for _ in range(5)]
    await engine.clock.advance("1s")
    for run in due:
        assert await run.result() == 1
    await engine.settle()
    return asked["claim_open"] - began
