"""Faults that a test orders: a worker that dies at a chosen write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction


class Crashed(BaseException):
    """The worker that used the database is dead: nothing it does counts any more."""


class CrashingDatabase:
    """A database whose user dies at the n-th write.

    `after`: which write, counted from 1 when `transact` or `execute` is called; without it, none until `arm`.
    `mode`: `"before"`, it never reaches the database; `"after"`, it is committed but the caller never hears.
    From then on every call raises `Crashed`, also those that were under way and those of
    `blocking()` connections, whose writes are not counted: a heartbeat has no fixed place.

    >>> database = CrashingDatabase(open_database(path), after=3, mode="after")
    >>> await database.crashed.wait()
    """

    def __init__(self, database: Database, after: int | None = None, mode: Literal["before", "after"] = "before") -> None:
        self.writes = 0
        self.crashed = asyncio.Event()
        self._database = database
        self._after = after
        self._mode = mode

    def arm(self, after: int) -> None:
        """Die at the n-th write from now."""
        self._after = self.writes + after

    def disarm(self) -> None:
        """Live on, whatever is written: what was to be tried is over."""
        self._after = None

    @property
    def dialect(self) -> str:
        """That of the database inside."""
        return self._database.dialect

    async def transact(self, transaction: Transaction[T]) -> T:
        """As the database inside, until the crash."""
        try:
            return await self._write(self._database.transact, transaction)
        finally:
            transaction.close()

    async def execute(self, query: Query) -> Rows:
        """As the database inside, until the crash."""
        return await self._write(self._database.execute, query)

    async def fetch(self, query: Query) -> Rows:
        """As the database inside, until the crash."""
        self._live()
        rows = await self._database.fetch(query)
        self._live()
        return rows

    async def read(self, transaction: Transaction[T]) -> T:
        """As the database inside, until the crash."""
        self._live()
        value = await self._database.read(transaction)
        self._live()
        return value

    def blocking(self) -> BlockingDatabase:
        """A connection that dies with the others."""
        self._live()
        return _CrashingBlocking(self._database.blocking(), self.crashed)

    async def close(self) -> None:
        """Close the database inside, crashed or not."""
        await self._database.close()

    async def _write(self, write: Callable[[Any], Coroutine[Any, Any, T]], work: Any) -> T:
        self._live()
        self.writes += 1
        last = self.writes == self._after
        if last and self._mode == "before":
            self.crashed.set()
        self._live()
        try:
            return await write(work)
        finally:
            if last:
                self.crashed.set()
            self._live()

    def _live(self) -> None:
        if self.crashed.is_set():
            raise Crashed


class _CrashingBlocking:
    def __init__(self, database: BlockingDatabase, crashed: asyncio.Event) -> None:
        self._database = database
        self._crashed = crashed

    def transact(self, transaction: Transaction[T]) -> T:
        self._live(transaction)
        value = self._database.transact(transaction)
        self._live(transaction)
        return value

    def close(self) -> None:
        self._database.close()

    def _live(self, transaction: Transaction[Any]) -> None:
        if self._crashed.is_set():
            transaction.close()
            raise Crashed
