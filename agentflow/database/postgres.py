"""PostgreSQL through asyncpg.

A transaction runs in READ COMMITTED on one connection, a single statement without BEGIN. What cannot have been committed is done again:
for up to `patience` while the server is away, and after a deadlock, if the transaction was made by `@transaction`. When the connection
breaks while a commit is under way nobody knows, and the caller, who can find out, gets `ConnectionLost`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import GEN_CREATED, getgeneratorstate, isgenerator
from typing import TypeVar, cast

from agentflow.database.port import Query, Row, Rows, Statement, T, Transaction
from agentflow.database.postgres_batches import Batches
from agentflow.database.postgres_blocking import BlockingPostgres
from agentflow.database.postgres_connection import PostgresConnection
from agentflow.database.postgres_pool import Patience, PostgresPool
from agentflow.database.postgres_url import PostgresOptions
from agentflow.errors import DatabaseBusy, DatabaseUnreachable, StorageError

_Work = TypeVar("_Work")

_AGAIN = (DatabaseBusy, DatabaseUnreachable)
# The thread that renews a lease must hear in time that it could not: seconds.
_BLOCKING_PATIENCE = 5.0


class PostgresDatabase:
    """A PostgreSQL database. Used by one event loop; any number of processes on any number of hosts may use the same."""

    dialect = "postgres"

    def __init__(self, options: PostgresOptions) -> None:
        self.options = options
        self._pool = PostgresPool(options)
        self._batches: dict[Statement, Batches] = {}
        self._calls = 0
        self._closing = False
        self._drained = asyncio.Event()

    @property
    def batches(self) -> int:
        """How many batches were sent for the calls of statements that have a text for many."""
        return sum(batches.sent for batches in self._batches.values())

    async def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. An exception that it raises rolls back its writes alone."""
        self._begin_call()
        try:
            return await self._run(cast("Callable[[PostgresConnection, Transaction[T]], Awaitable[T]]", _TRANSACT), transaction)
        finally:
            self._end_call()

    async def execute(self, query: Query) -> Rows:
        """Run one writing statement as a transaction of its own; calls that can go as many go together."""
        self._begin_call()
        try:
            if "postgres" in query.statement.many:
                return await self._batches_of(query.statement).ask(query)
            return await self._run(_EXECUTE, query)
        finally:
            self._end_call()

    async def fetch(self, query: Query) -> Rows:
        """Read what is committed."""
        self._begin_call()
        try:
            return await self._run(_FETCH, query)
        finally:
            self._end_call()

    async def read(self, transaction: Transaction[T]) -> T:
        """Read by a transaction that only reads: each of its statements sees what is committed by then."""
        self._begin_call()
        running = iter(transaction)
        try:
            query = next(running)
            while True:
                query = running.send(await self._run(_FETCH, query))
        except StopIteration as end:
            return end.value
        finally:
            running.close()
            self._end_call()

    def blocking(self) -> BlockingPostgres:
        """A second connection for one other thread, which closes it. It gives up after seconds."""
        limit = _BLOCKING_PATIENCE
        options = replace(self.options, pool=1, patience=limit, command_timeout=limit, connect_timeout=limit)
        return BlockingPostgres(lambda: PostgresDatabase(options))

    async def close(self) -> None:
        """Finish what was asked for, then close; a second time does nothing."""
        self._closing = True
        if self._calls:
            await self._drained.wait()
        for batches in self._batches.values():
            await batches.finish()
        await self._pool.close()

    async def _run(self, method: Callable[[PostgresConnection, _Work], Awaitable[T]], work: _Work) -> T:
        patience = Patience(self.options.patience)
        while True:
            connection = self._pool.idle() or await self._pool.acquire(patience)
            try:
                return await method(connection, work)
            except _AGAIN as error:
                if isgenerator(work) and getgeneratorstate(work) != GEN_CREATED:
                    raise
                failure = error
            finally:
                self._pool.release(connection)
            await patience.after(failure)

    def _batches_of(self, statement: Statement) -> Batches:
        found = self._batches.get(statement)
        if found is None:
            found = self._batches[statement] = Batches(self._one, self._many)
        return found

    async def _one(self, query: Query) -> Rows:
        return await self._run(_EXECUTE, query)

    async def _many(self, queries: list[Query]) -> list[list[Row]]:
        return await self._run(_EXECUTE_MANY, queries)

    def _begin_call(self) -> None:
        if self._closing:
            raise StorageError("The database is closed.", hint="Keep it open until the last run has been dropped.")
        self._calls += 1

    def _end_call(self) -> None:
        self._calls -= 1
        if self._closing and not self._calls:
            self._drained.set()


_TRANSACT = PostgresConnection.transact
_EXECUTE = PostgresConnection.execute
_EXECUTE_MANY = PostgresConnection.execute_many
_FETCH = PostgresConnection.fetch
