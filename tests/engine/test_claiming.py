"""A worker finds what is queued, also when it was looking just then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agentflow import task
from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction
from agentflow.engine.worker import WorkerSettings
from agentflow.testing import Engine


class SlowAnswers:
    """A database whose answers to claims are on their way for as long as a test likes."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.dialect
        self.held = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self._database = database

    async def transact(self, transaction: Transaction[T]) -> T:
        names: list[str] = []
        value = await self._database.transact(_spied(transaction, names))
        if "runs/pick" in names and self.gate is not None:
            self.held.set()
            await self.gate.wait()
        return value

    async def execute(self, query: Query) -> Rows:
        return await self._database.execute(query)

    async def fetch(self, query: Query) -> Rows:
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        return self._database.blocking()

    async def close(self) -> None:
        await self._database.close()


def _spied(transaction: Transaction[T], names: list[str]) -> Transaction[T]:
    running = iter(transaction)
    rows: Any = None
    while True:
        try:
            query = running.send(rows)
        except StopIteration as end:
            return end.value
        names.append(query.statement.name)
        rows = yield query


async def test_a_run_that_is_queued_while_a_claim_is_on_its_way_is_not_left_to_the_poll(
    tmp_path: Path, stream_server: str, engine_database: str | None
) -> None:
    """19: the claim looked before the run was there, and its answer comes after the word of it."""
    slow: list[SlowAnswers] = []

    def wrap(database: Database) -> Database:
        slow.append(SlowAnswers(database))
        return slow[-1]

    @task
    async def noted() -> str:
        return "done"

    engine = Engine(tmp_path, stream_server, WorkerSettings(poll=3_600.0), wrap=wrap, database=engine_database)
    await engine.open()
    await engine.settle()
    slow[0].gate = asyncio.Event()
    engine.app.streams.signal("queued", "default")
    await slow[0].held.wait()
    run = await engine.start(noted)
    for _ in range(50):
        await asyncio.sleep(0)
    slow[0].gate.set()
    assert await run.result() == "done"
    await engine.close()
