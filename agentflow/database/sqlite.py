"""SQLite with group commit: what is asked for in one turn of the event loop is one commit.

Statements run on the loop, because handing the GIL to a writer thread costs more than the fsync. Only the commit goes to a thread, and
only while the disk is slow. Another process's write lock is never waited for on the loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

from agentflow.database.port import Query, Rows, T, Transaction
from agentflow.database.sqlite_connection import BEGIN, COMMIT, BlockingSqlite, connect, drive, is_busy, meaning, roll_back, run
from agentflow.database.sqlite_turn import WriteTurn
from agentflow.errors import StorageError

_SAVEPOINT = "SAVEPOINT one"
_RELEASE = "RELEASE one"
_UNDO = "ROLLBACK TO one"

GROUP_LIMIT = 256
FIRST_DELAY, LONGEST_DELAY, DELAY_GROWTH = 0.001, 0.05, 1.2
# A busy writer looks this often, in seconds, whether another process waits, and then leaves the lock free for longer than their tries take.
FAIR_INTERVAL, FAIR_PAUSE = 0.01, 0.002


class CommitWatch:
    """Decides from the last commits whether the disk is too slow for the event loop; `limit` in seconds."""

    def __init__(self, limit: float) -> None:
        self.slow = limit <= 0
        self._limit = limit
        self._times: list[float] = []

    def record(self, seconds: float) -> None:
        """A commit took this long. Every 32 the median decides, or, in a thread, the quartile: waiting for the GIL lengthens those."""
        times = self._times
        times.append(seconds)
        if len(times) == 32:
            times.sort()
            self.slow = times[8 if self.slow else 16] > self._limit
            times.clear()


class _Job:
    __slots__ = ("error", "future", "refused_at", "value", "work")

    def __init__(self, work: Query | Transaction[Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.refused_at: float | None = None
        self.value: Any = None
        self.error: BaseException | None = None


class _GroupLost(Exception):
    """SQLite rolled the whole transaction back by itself; `__cause__` is why."""


class SqliteDatabase:
    """The database in one file. Used by one event loop; other processes may use the same file.

    `busy_limit`: seconds that a write waits for another process's lock before `DatabaseBusy`.
    `slow_commit`: seconds; while the median commit takes longer, commits go to a thread.
    """

    dialect = "sqlite"

    def __init__(self, path: Path, *, busy_limit: float = 30.0, slow_commit: float = 0.002) -> None:
        self.path = path
        self._busy_limit = busy_limit
        self._writer = connect(path, busy_timeout=0)
        self._reader = connect(path, busy_timeout=0, read_only=True)
        self._turns = WriteTurn(path)
        self._looked_at = 0.0
        self._watch = CommitWatch(slow_commit)
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[_Job] = []
        self._delay = FIRST_DELAY
        self._refused = False
        # True from the first request until nothing waits: a turn is scheduled, running, committing or to be tried again.
        self._active = False
        self._closing = False
        self._drained: asyncio.Future[None] | None = None

    async def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. An exception that it raises rolls back its writes alone."""
        return await self._ask(transaction)

    async def execute(self, query: Query) -> Rows:
        """Run one writing statement as a transaction of its own."""
        return await self._ask(query)

    async def fetch(self, query: Query) -> Rows:
        """Read what is committed."""
        return await self.read(_one(query))

    async def read(self, transaction: Transaction[T]) -> T:
        """Read what is committed, by a transaction that only reads."""
        if self._closing:
            raise _closed()
        running = iter(transaction)
        try:
            query = next(running)
            while True:
                query = running.send(await self._read_one(query))
        except StopIteration as end:
            return end.value
        finally:
            running.close()

    async def _read_one(self, query: Query) -> Rows:
        delay, waited = FIRST_DELAY, 0.0
        while True:
            try:
                return run(self._reader, query)
            except sqlite3.Error as error:
                if not is_busy(error) or waited > self._busy_limit:
                    raise meaning(error, self.path) from error
            await asyncio.sleep(delay)
            delay, waited = min(delay * DELAY_GROWTH, LONGEST_DELAY), waited + delay

    def blocking(self) -> BlockingSqlite:
        """A second connection for one other thread, which closes it."""
        return BlockingSqlite(self.path)

    async def close(self) -> None:
        """Finish what was asked for, then close; a second time does nothing."""
        self._closing = True
        if self._active:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self._thread is not None:
            self._thread.shutdown()
        self._reader.close()
        self._writer.close()
        self._turns.close()

    def _ask(self, work: Query | Transaction[Any]) -> asyncio.Future[Any]:
        if self._closing:
            raise _closed()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(_Job(work, future))
        if not self._active:
            self._active = True
            loop.call_soon(self._turn, loop)
        return future

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._must_pause(loop):
            loop.call_later(FAIR_PAUSE, self._turn, loop)
            return
        group = self._waiting[:GROUP_LIMIT]
        del self._waiting[:GROUP_LIMIT]
        try:
            if len(group) == 1 and type(group[0].work) is Query and not self._watch.slow:
                self._run_statement(loop, group[0], group[0].work)
            else:
                self._run_group(loop, group)
        except BaseException as error:
            self._lose(loop, group, error)
            if not isinstance(error, Exception):
                raise

    def _must_pause(self, loop: asyncio.AbstractEventLoop) -> bool:
        now = loop.time()
        if now - self._looked_at < FAIR_INTERVAL:
            return False
        self._looked_at = now
        return not self._refused and self._turns.wanted()

    def _stop_asking(self) -> None:
        if self._refused:
            self._refused = False
            self._delay = FIRST_DELAY
            self._turns.got()

    def _run_statement(self, loop: asyncio.AbstractEventLoop, job: _Job, query: Query) -> None:
        """A statement alone is its own transaction: the commit is in its last row."""
        if not job.future.cancelled():
            started = loop.time()
            try:
                job.value = run(self._writer, query)
            except sqlite3.Error as error:
                if is_busy(error):
                    return self._refuse(loop, [job], error)
                raise
            self._watch.record(loop.time() - started)
            self._stop_asking()
        self._settle(loop, [job])

    def _run_group(self, loop: asyncio.AbstractEventLoop, group: list[_Job]) -> None:
        writer = self._writer
        try:
            writer.execute(BEGIN)
        except sqlite3.Error as error:
            if is_busy(error):
                return self._refuse(loop, group, error)
            raise
        self._stop_asking()
        alone = len(group) == 1
        for job in group:
            self._run_job(job, alone)
        if alone and group[0].error is not None:
            roll_back(writer)
            self._settle(loop, group)
        elif self._watch.slow:
            self._commit_in_thread(loop, group)
        else:
            self._watch.record(self._commit(loop))
            self._settle(loop, group)

    def _run_job(self, job: _Job, alone: bool) -> None:
        if job.future.cancelled():
            return _discard(job.work)
        # A failed statement undoes itself, and a transaction alone is undone with the group.
        savepoint = not alone and type(job.work) is not Query
        if savepoint:
            self._writer.execute(_SAVEPOINT)
        try:
            job.value = self._value(job.work)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if not self._writer.in_transaction:
                raise _GroupLost from error
            job.error = error
            if savepoint:
                self._writer.execute(_UNDO)
        if savepoint:
            self._writer.execute(_RELEASE)

    def _value(self, work: Query | Transaction[Any]) -> Any:
        if type(work) is Query:
            return run(self._writer, work)
        return drive(self._writer, cast("Transaction[Any]", work))

    def _commit(self, loop: asyncio.AbstractEventLoop) -> float:
        started = loop.time()
        self._writer.execute(COMMIT)
        return loop.time() - started

    def _commit_in_thread(self, loop: asyncio.AbstractEventLoop, group: list[_Job]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "agentflow-commit")
        commit = loop.run_in_executor(self._thread, self._commit, loop)
        commit.add_done_callback(partial(self._committed, loop, group))

    def _committed(self, loop: asyncio.AbstractEventLoop, group: list[_Job], commit: asyncio.Future[float]) -> None:
        error = commit.exception()
        if error is not None:
            self._lose(loop, group, error)
        else:
            self._watch.record(commit.result())
            self._settle(loop, group)

    def _settle(self, loop: asyncio.AbstractEventLoop, group: Sequence[_Job]) -> None:
        for job in group:
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.value)
            else:
                job.future.set_exception(meaning(job.error, self.path))
        if self._waiting:
            loop.call_soon(self._turn, loop)
        else:
            self._active = False
            self._stop_asking()
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)

    def _lose(self, loop: asyncio.AbstractEventLoop, group: Sequence[_Job], error: BaseException) -> None:
        """Nothing of the group is committed: also a refusal counts for nothing, since it may rest on a write that is gone."""
        cause = error.__cause__ if isinstance(error, _GroupLost) and error.__cause__ else error
        if not isinstance(cause, Exception):
            # It leaves the loop once, by itself: raised again in every caller's task it would leave it many times.
            cause = StorageError("The write was interrupted.", hint="Read before writing again: it may or may not be there.")
        try:
            roll_back(self._writer)
        finally:
            for job in group:
                _discard(job.work)
                job.error = cause
            self._settle(loop, group)

    def _refuse(self, loop: asyncio.AbstractEventLoop, group: list[_Job], error: sqlite3.Error) -> None:
        """Another process holds the write lock: try again soon, but give up on those that have waited too long."""
        self._waiting[:0] = group
        self._refused = True
        self._turns.ask()
        now = loop.time()
        tired: list[_Job] = []
        for job in self._waiting:
            if job.refused_at is None:
                job.refused_at = now
            elif now - job.refused_at >= self._busy_limit:
                tired.append(job)
        if tired:
            self._waiting = self._waiting[len(tired) :]
            self._stop_asking()
            return self._lose(loop, tired, error)
        delay, self._delay = self._delay, min(self._delay * DELAY_GROWTH, LONGEST_DELAY)
        loop.call_later(delay, self._turn, loop)


def _one(query: Query) -> Transaction[Rows]:
    return (yield query)


def _discard(work: Query | Transaction[Any]) -> None:
    if type(work) is not Query:
        cast("Transaction[Any]", work).close()


def _closed() -> StorageError:
    return StorageError("The database is closed.", hint="Keep it open until the last run has been dropped.")
