"""The thread that renews a lease, and its connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow.clock import SECOND, SystemClock
from agentflow.database import Database, open_database
from agentflow.database.migrate import migrate
from agentflow.database.port import T, Transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.database.sqlite_connection import BlockingSqlite
from agentflow.engine.lease import LeaseTerms, WorkerLease
from agentflow.storage.statements import MIGRATIONS

PATIENCE = 10.0


class Slow(BlockingSqlite):
    """A connection whose transactions end when the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entered = threading.Event()
        self.go = threading.Event()
        self.closed = False

    def transact(self, transaction: Transaction[T]) -> T:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        assert not self.closed
        return super().transact(transaction)

    def close(self) -> None:
        self.closed = True
        super().close()


class OnSlow(SqliteDatabase):
    """A database with a slow connection for the thread."""

    made: Slow | None = None

    def blocking(self) -> Slow:
        self.made = Slow(self.path)
        return self.made


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    clock = SystemClock()
    opened = open_database(str(tmp_path / "lease.db"))
    await migrate(opened, MIGRATIONS, clock)
    await opened.close()
    slow = OnSlow(tmp_path / "lease.db")
    yield slow
    await slow.close()


async def test_a_lease_that_ends_while_it_is_renewed_closes_its_connection_after_that(database: OnSlow) -> None:
    lease = WorkerLease(database, SystemClock(), LeaseTerms(30 * SECOND, 3_600 * SECOND), lambda: None)
    await lease.take(1, ["default"], [], [])
    slow = database.made
    assert slow is not None
    renewing = asyncio.create_task(asyncio.to_thread(lease.renew))
    assert await asyncio.to_thread(slow.entered.wait, PATIENCE)
    lease.close()
    assert not slow.closed
    slow.go.set()
    await renewing
    assert slow.closed
    lease.close()
