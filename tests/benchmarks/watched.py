"""When a worker took a run."""

from __future__ import annotations

from time import perf_counter

from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction
from agentflow.storage.queues import Claimed


class WatchedDatabase:
    """A database that remembers when a transaction last gave its worker runs."""

    def __init__(self, database: Database) -> None:
        self.claimed_at = 0.0
        self._database = database

    @property
    def dialect(self) -> str:
        """That of the database inside."""
        return self._database.dialect

    async def transact(self, transaction: Transaction[T]) -> T:
        """As the database inside."""
        value = await self._database.transact(transaction)
        if isinstance(value, Claimed) and value.runs:
            self.claimed_at = perf_counter()
        return value

    async def execute(self, query: Query) -> Rows:
        """As the database inside."""
        return await self._database.execute(query)

    async def fetch(self, query: Query) -> Rows:
        """As the database inside."""
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        """As the database inside."""
        return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        """As the database inside."""
        return self._database.blocking()

    async def close(self) -> None:
        """As the database inside."""
        await self._database.close()
