"""The connections of one process to one PostgreSQL, opened when they are needed, and how long a call waits for one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import Context
from secrets import SystemRandom

from agentflow.database.postgres_connection import PostgresConnection, connect
from agentflow.database.postgres_errors import FOREIGN
from agentflow.database.postgres_url import PostgresOptions
from agentflow.errors import DatabaseBusy, DatabaseUnreachable, StorageError

FIRST_DELAY, LONGEST_DELAY, DELAY_GROWTH = 0.01, 1.0, 2.0

_log = logging.getLogger("agentflow.database")
_random = SystemRandom()


class Patience:
    """The time that a call has for trying again; `limit` in seconds."""

    def __init__(self, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay = FIRST_DELAY
        self.until = self._loop.time() + limit

    async def after(self, error: StorageError) -> None:
        """Wait a moment after a failure, or raise it when the time is over."""
        delay = self._delay * (0.5 + _random.random())
        if self._loop.time() + delay > self.until:
            raise error
        self._delay = min(self._delay * DELAY_GROWTH, LONGEST_DELAY)
        await asyncio.sleep(delay)


class PostgresPool:
    """Up to `options.pool` connections. The one used last is used first; who waits is served in order."""

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._idle: list[PostgresConnection] = []
        self._waiters: deque[asyncio.Future[PostgresConnection | None]] = deque()
        self._size = 0
        self._work: set[asyncio.Task[None]] = set()
        self._told = False

    def idle(self) -> PostgresConnection | None:
        """A connection that is free at once."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._size -= 1
        return None

    async def acquire(self, patience: Patience) -> PostgresConnection:
        """A connection, to be released. Raises `DatabaseUnreachable` when patience ends, `DatabaseBusy` when all stay in use."""
        while True:
            connection = self.idle()
            if connection is not None:
                return connection
            if self._size < self._options.pool:
                return await self._open(patience)
            connection = await self._wait(patience)
            if connection is not None:
                return connection

    def release(self, connection: PostgresConnection) -> None:
        """Give a connection back. One that was interrupted is recovered first."""
        if not connection.usable:
            self._size -= 1
            self._next(None)
        elif connection.busy:
            task = asyncio.get_running_loop().create_task(self._recover(connection), context=Context())
            self._work.add(task)
            task.add_done_callback(self._work.discard)
        elif not self._next(connection):
            self._idle.append(connection)

    async def close(self) -> None:
        """Close all connections; none is in use any more."""
        while self._work:
            await asyncio.wait(self._work)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close() for connection in idle))

    def _next(self, connection: PostgresConnection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    async def _recover(self, connection: PostgresConnection) -> None:
        try:
            await connection.recover()
        except (*FOREIGN, asyncio.CancelledError):
            connection.drop()
        self.release(connection)

    async def _open(self, patience: Patience) -> PostgresConnection:
        self._size += 1
        try:
            while True:
                try:
                    connection = await connect(self._options)
                except DatabaseUnreachable as error:
                    self._tell(error)
                    await patience.after(error)
                else:
                    self._told = False
                    return connection
        except BaseException:
            self._size -= 1
            self._next(None)
            raise

    def _tell(self, error: StorageError) -> None:
        if not self._told:
            self._told = True
            _log.warning("%s Trying again for %g s.", error, self._options.patience)

    async def _wait(self, patience: Patience) -> PostgresConnection | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[PostgresConnection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_at(patience.until + self._options.command_timeout, self._give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            raise
        finally:
            timer.cancel()

    def _pass_on(self, connection: PostgresConnection | None) -> None:
        if connection is None:
            self._next(None)
        else:
            self.release(connection)

    def _give_up(self, waiter: asyncio.Future[PostgresConnection | None]) -> None:
        if not waiter.done():
            hint = "Raise `pool=` in the database URL, or find what takes so long: pg_stat_activity."
            waiter.set_exception(DatabaseBusy(f"All {self._options.pool} connections to PostgreSQL stay in use.", hint=hint))
