"""Calls of one statement that are made at the same moment go to PostgreSQL as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

from agentflow.database.port import Query, Row, Rows
from agentflow.database.postgres_errors import another
from agentflow.errors import ConnectionLost, DatabaseBusy, DatabaseFull, DatabaseUnreachable, DatabaseUnreadable, StorageError

BATCH_LIMIT = 1_000
BATCHES_IN_FLIGHT = 2

# Not the fault of one query, so each of them alone would meet the same.
_COMMON = (ConnectionLost, DatabaseBusy, DatabaseFull, DatabaseUnreachable, DatabaseUnreadable)

_Asked = tuple[Query, "asyncio.Future[Rows]"]


class Batches:
    """The calls of one statement: gathered for one turn of the event loop, and while `BATCHES_IN_FLIGHT` are under way.

    `one` runs a query by itself, `many` several as one transaction. When that is refused each runs by itself, and the guilty fails alone.
    """

    def __init__(self, one: Callable[[Query], Awaitable[Rows]], many: Callable[[list[Query]], Awaitable[list[list[Row]]]]) -> None:
        self.sent = 0
        self._one = one
        self._many = many
        self._waiting: list[_Asked] = []
        self._scheduled = False
        self._under_way: set[asyncio.Task[None]] = set()

    def ask(self, query: Query) -> asyncio.Future[Rows]:
        """Run a query with others; the answer is its own rows."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Rows] = loop.create_future()
        self._waiting.append((query, future))
        if not self._scheduled and len(self._under_way) < BATCHES_IN_FLIGHT:
            self._scheduled = True
            # Outside of the caller's context: the batch is nobody's branch, and outlives whoever asked first.
            loop.call_soon(self._send, context=Context())
        return future

    async def finish(self) -> None:
        """Wait for what is under way, also for callers that have gone."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._under_way) < BATCHES_IN_FLIGHT:
            batch = [asked for asked in self._waiting[:BATCH_LIMIT] if not asked[1].done()]
            del self._waiting[:BATCH_LIMIT]
            if batch:
                self.sent += 1
                task = asyncio.get_running_loop().create_task(self._run(batch))
                self._under_way.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    async def _run(self, batch: list[_Asked]) -> None:
        if len(batch) == 1:
            return await self._run_alone(*batch[0])
        try:
            answers = await self._many([query for query, _ in batch])
        except _COMMON as error:
            for _, future in batch:
                _fail(future, another(error))
        except StorageError:
            await asyncio.gather(*(self._run_alone(query, future) for query, future in batch))
        except BaseException:
            _cancel(batch)
            raise
        else:
            for (_, future), rows in zip(batch, answers, strict=True):
                _answer(future, rows)

    async def _run_alone(self, query: Query, future: asyncio.Future[Rows]) -> None:
        try:
            rows = await self._one(query)
        except StorageError as error:
            _fail(future, error)
        except BaseException:
            _cancel([(query, future)])
            raise
        else:
            _answer(future, rows)


def _answer(future: asyncio.Future[Rows], rows: Rows) -> None:
    if not future.done():
        future.set_result(rows)


def _fail(future: asyncio.Future[Rows], error: StorageError) -> None:
    if not future.done():
        future.set_exception(error)


def _cancel(batch: list[_Asked]) -> None:
    for _, future in batch:
        future.cancel()
