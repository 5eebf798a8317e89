"""A database whose connection breaks when a test says so, and a clock whose worker misses its heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from agentflow.clock import Clock
from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction
from agentflow.errors import ConnectionLost

Break = Literal["before", "after"] | None
"""Whether a write fails before it reaches the database, or after its commit."""


def never(name: str) -> Break:
    """Nothing breaks."""
    return None


class FlakyDatabase:
    """Asks `breaks` at every write whether its connection breaks; a transaction is called "transaction", a statement by its name.

    While `deaf` is set, renewals of leases fail. The answer to a statement in `held` is on its way until the event is set.
    """

    def __init__(self, database: Database) -> None:
        self.breaks: Callable[[str], Break] = never
        self.deaf = False
        self.held: dict[str, asyncio.Event] = {}
        self.broken: list[str] = []
        self.missed = 0
        self._database = database
        self.dialect = database.dialect

    async def transact(self, transaction: Transaction[T]) -> T:
        try:
            return await self._write("transaction", lambda: self._database.transact(transaction))
        finally:
            transaction.close()

    async def execute(self, query: Query) -> Rows:
        return await self._write(query.statement.name, lambda: self._database.execute(query))

    async def fetch(self, query: Query) -> Rows:
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        return _FlakyBlocking(self._database.blocking(), self)

    async def close(self) -> None:
        await self._database.close()

    async def _write(self, name: str, write: Callable[[], Awaitable[T]]) -> T:
        when = self.breaks(name)
        if when == "before":
            raise self._break(name, when)
        value = await write()
        if name in self.held:
            await self.held[name].wait()
        if when == "after":
            raise self._break(name, when)
        return value

    def _break(self, name: str, when: str) -> ConnectionLost:
        self.broken.append(name)
        return ConnectionLost(f"The connection broke {when} {name}.")


class _FlakyBlocking:
    def __init__(self, database: BlockingDatabase, owner: FlakyDatabase) -> None:
        self._database = database
        self._owner = owner

    def transact(self, transaction: Transaction[T]) -> T:
        if self._owner.deaf:
            self._owner.missed += 1
            transaction.close()
            raise ConnectionLost("The connection broke before a renewal.")
        return self._database.transact(transaction)

    def close(self) -> None:
        self._database.close()


class StoppedHeart:
    """A clock on which no lease is renewed: the process seems dead to all others, and does not know."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        return self._clock.now()

    async def sleep_until(self, when: int) -> None:
        await self._clock.sleep_until(when)

    def beat(self, interval: int, renew: Callable[[], None]) -> Callable[[], None]:
        return lambda: None
