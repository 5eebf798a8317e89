"""One connection to PostgreSQL: how it is opened, and how statements and transactions run on it."""

from __future__ import annotations

import socket
from typing import Any

import asyncpg

from agentflow.database.port import Query, Row, Rows, T, Transaction
from agentflow.database.postgres_errors import FOREIGN, ended_before, meaning, refused, unknown_outcome, unreachable
from agentflow.database.postgres_url import PostgresOptions
from agentflow.database.statements import numbered
from agentflow.errors import DatabaseUnreachable, StorageError

_COMMIT = "COMMIT"
_ROLLBACK = "ROLLBACK"
_NOTHING = "SELECT 1"
_ONE_DAY = 86_400.0
SILENCE = 10.0
"""Seconds between two statements of a transaction after which the server ends it. Whoever is stopped or cut off in the middle of one holds
locks that all others wait for; who was only busy begins it again."""
_CLOSE_TIMEOUT = 2.0
_CACHED_STATEMENTS = 512

# Seconds: what is written and not acknowledged for that long, or silence and five unanswered probes, is a broken connection.
_UNHEARD, _SILENT, _PROBE = 20, 15, 3


class _Watched(asyncpg.Connection):
    """The kernel notices when the other side is gone without a word."""

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        _watch(transport.get_extra_info("socket"))


class PostgresConnection:
    """A connection that one call uses at a time.

    What fails while nothing can have been committed raises `DatabaseUnreachable` or `DatabaseBusy`: it may be done again.
    `ConnectionLost` says that nobody knows.
    """

    __slots__ = ("_asyncpg", "_begin", "_begun", "_pooled", "busy")

    def __init__(self, connection: asyncpg.Connection, options: PostgresOptions) -> None:
        self._asyncpg = connection
        self._pooled = options.pooled
        self._begin = _beginning(options)
        self._begun = False
        # True while an answer is awaited or a transaction is open: whoever gives it back like that was interrupted.
        self.busy = False

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return not self._asyncpg.is_closed()

    async def fetch(self, query: Query) -> Rows:
        """Run a statement that only reads."""
        if self._pooled:
            return await self.transact(_one(query))
        rows = await self._run(query)
        self.busy = False
        return rows

    async def execute(self, query: Query) -> Rows:
        """Run a statement as a transaction of its own."""
        if self._pooled:
            return await self.transact(_one(query))
        text, names = numbered(query.statement.texts["postgres"])
        parameters = query.parameters
        return await self._write(query.statement.name, text, [parameters[name] for name in names])

    async def execute_many(self, queries: list[Query]) -> list[list[Row]]:
        """Run a statement's text for many, as one transaction; returns the rows of each."""
        statement = queries[0].statement
        text, names = numbered(statement.many["postgres"])
        arrays = [[query.parameters[name] for query in queries] for name in names]
        if self._pooled:
            await self._open()
            rows = await self._send(statement.name, text, arrays)
            await self._commit()
        else:
            rows = await self._write(statement.name, text, arrays)
        answers: list[list[Row]] = [[] for _ in queries]
        for row in rows:
            at: int = row["at"]
            answers[at - 1].append(row)
        return answers

    async def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; its generator is closed in any case but one: it did not begin."""
        await self._open()
        running = iter(transaction)
        try:
            query = next(running)
            while True:
                query = running.send(await self._run(query))
        except StopIteration as end:
            value = end.value
        finally:
            running.close()
        await self._commit()
        return value

    async def recover(self) -> None:
        """Make an interrupted connection usable again: what it was doing is cancelled and rolled back."""
        await self._asyncpg.execute(_ROLLBACK if self._begun else _NOTHING, timeout=_CLOSE_TIMEOUT)
        self.busy = self._begun = False

    async def close(self) -> None:
        """Say goodbye, and close."""
        try:
            await self._asyncpg.close(timeout=_CLOSE_TIMEOUT)
        except FOREIGN:
            self._asyncpg.terminate()

    def drop(self) -> None:
        """Close without a word."""
        self._asyncpg.terminate()

    async def _run(self, query: Query) -> Rows:
        statement = query.statement
        text, names = numbered(statement.texts["postgres"])
        parameters = query.parameters
        return await self._send(statement.name, text, [parameters[name] for name in names], _ONE_DAY if statement.slow else None)

    async def _send(self, name: str, text: str, values: list[Any], timeout: float | None = None) -> Rows:
        self.busy = True
        try:
            return await self._asyncpg.fetch(text, *values, timeout=timeout)
        except FOREIGN as error:
            raise self._failed(error, name) from error

    async def _write(self, name: str, text: str, values: list[Any]) -> Rows:
        """A statement that commits by itself: with its answer, the outcome is lost too."""
        self.busy = True
        try:
            rows = await self._asyncpg.fetch(text, *values)
        except FOREIGN as error:
            certain = refused(error, closed=not self.usable)
            self.busy = not certain
            ours = self._failed(error, name)
            raise (ours if certain else unknown_outcome(ours)) from error
        self.busy = False
        return rows

    async def _open(self) -> None:
        self._begun = True
        await self._command(self._begin)

    async def _command(self, text: str) -> str:
        self.busy = True
        try:
            return await self._asyncpg.execute(text)
        except FOREIGN as error:
            raise self._failed(error, text) from error

    async def _commit(self) -> None:
        try:
            status = await self._command(_COMMIT)
        except DatabaseUnreachable as error:
            if ended_before(error.__cause__):
                raise
            raise unknown_outcome(error) from error
        if status != _COMMIT:
            raise StorageError(f"PostgreSQL answered a commit with {status}.", hint="Nothing was written; read the server's log.")
        self.busy = self._begun = False

    def _failed(self, error: BaseException, name: str) -> StorageError:
        ours = meaning(error, name, closed=self._asyncpg.is_closed())
        if isinstance(ours, DatabaseUnreachable):
            # Also of one that is still open nothing good is to be expected: a standby, a network that swallows answers.
            self._asyncpg.terminate()
        return ours


async def connect(options: PostgresOptions) -> PostgresConnection:
    """Open a connection. Raises `DatabaseUnreachable` where it may help to try again, else another `StorageError`."""
    try:
        connection = await asyncpg.connect(
            options.dsn,
            timeout=options.connect_timeout,
            command_timeout=options.command_timeout,
            statement_cache_size=0 if options.pooled else _CACHED_STATEMENTS,
            max_cached_statement_lifetime=0,
            connection_class=_Watched,
            server_settings=_settings(options),
        )
    except FOREIGN as error:
        raise unreachable(error, options.place) from error
    return PostgresConnection(connection, options)


def _settings(options: PostgresOptions) -> dict[str, str]:
    if options.pooled:
        # A pooler refuses what it does not know, and its connections are not ours: see `_beginning`.
        return {}
    # A client that vanishes must not keep its locks: the server looks whether it is there, and how long it has been silent.
    settings = {"client_connection_check_interval": "5s", "idle_in_transaction_session_timeout": _silence(options), "jit": "off"}
    return settings if options.schema is None else {**settings, "search_path": options.schema}


def _beginning(options: PostgresOptions) -> str:
    begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
    if not options.pooled:
        return begin
    path = "" if options.schema is None else f'; SET LOCAL search_path = "{options.schema}"'
    return f"{begin}; SET LOCAL idle_in_transaction_session_timeout = '{_silence(options)}'{path}"


def _silence(options: PostgresOptions) -> str:
    return f"{max(1, round(min(SILENCE, options.command_timeout)))}s"


def _watch(own: socket.socket | None) -> None:
    if own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {"TCP_KEEPIDLE": _SILENT, "TCP_KEEPINTVL": _PROBE, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": _UNHEARD * 1000}
    for name, value in wanted.items():
        if hasattr(socket, name):
            own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _one(query: Query) -> Transaction[Rows]:
    return (yield query)
