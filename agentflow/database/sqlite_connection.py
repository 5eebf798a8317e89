"""One SQLite connection: how it is opened, how a transaction is driven on it, and what its errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Event
from typing import Any

from agentflow.database.port import Query, Rows, T, Transaction
from agentflow.database.sqlite_turn import WriteTurn
from agentflow.errors import DatabaseBusy, DatabaseFull, DatabaseUnreadable, StorageError

BEGIN = "BEGIN IMMEDIATE"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"

OPEN_TIMEOUT = 5.0
_OPEN_TRIES = 100
_UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FORBIDDEN = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# SQLite says FULL only for ENOSPC; a quota or a file size limit arrives as a failed write.
_NO_ROOM = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE}


def connect(path: Path, *, busy_timeout: float, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection that waits `busy_timeout` seconds for another's lock. Raises `DatabaseUnreadable` or `DatabaseBusy`."""
    try:
        connection = sqlite3.connect(path, timeout=OPEN_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=512)
    except sqlite3.Error as error:
        raise meaning(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {int(read_only)}")
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout * 1000)}")
    except sqlite3.Error as error:
        connection.close()
        raise meaning(error, path) from error
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two processes that make a new file a WAL database at once deadlock, so SQLite refuses one without asking its busy handler.
    for _ in range(_OPEN_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        Event().wait(OPEN_TIMEOUT / _OPEN_TRIES)
    connection.execute("PRAGMA journal_mode = WAL")


def drive(connection: sqlite3.Connection, transaction: Transaction[T]) -> T:
    """Run a transaction's statements; return its value. An error of the database ends it: it cannot be caught inside, as on PostgreSQL."""
    running = iter(transaction)
    try:
        query = next(running)
        while True:
            query = running.send(run(connection, query))
    except StopIteration as end:
        return end.value
    finally:
        running.close()


def run(connection: sqlite3.Connection, query: Query) -> Rows:
    """Run one statement and read all its rows."""
    try:
        return connection.execute(query.statement.texts["sqlite"], query.parameters).fetchall()
    except sqlite3.Error as error:
        error.add_note(f"in statement {query.statement.name}")
        raise


def is_busy(error: BaseException) -> bool:
    """Whether another connection holds the lock."""
    return isinstance(error, sqlite3.Error) and _code(error) & 0xFF in _BUSY


def meaning(error: BaseException, path: Path) -> BaseException:
    """An error of SQLite as one of ours; any other as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    kind, hint = _kind(_code(error), path)
    where = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    ours = kind(f"SQLite: {error}{where}.", hint=hint, path=str(path), sqlite=getattr(error, "sqlite_errorname", ""))
    ours.__cause__ = error
    return ours


def _code(error: sqlite3.Error) -> int:
    code: Any = getattr(error, "sqlite_errorcode", None)
    return code if isinstance(code, int) else sqlite3.SQLITE_ERROR


def _kind(code: int, path: Path) -> tuple[type[StorageError], str]:
    primary = code & 0xFF
    if primary in _BUSY:
        return DatabaseBusy, f"Another process keeps the write lock of {path}: find it with `fuser {path}`."
    if primary in _UNREADABLE:
        return DatabaseUnreadable, f"{path} is damaged or is no SQLite database: restore a backup, or point `database` elsewhere."
    if primary in _FORBIDDEN:
        return DatabaseUnreadable, f"Check that {path.parent} exists and that this user may write it and the files in it."
    if primary == sqlite3.SQLITE_FULL or code in _NO_ROOM:
        return DatabaseFull, f"Free space on the disk of {path.parent} or raise its quota; nothing acknowledged is lost."
    return StorageError, ""


class BlockingSqlite:
    """A connection that one thread owns; it waits up to five seconds for another's write lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path, busy_timeout=OPEN_TIMEOUT)
        self._turns = WriteTurn(path)

    def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. What it raises rolls it back."""
        try:
            self._turns.ask()
            self._connection.execute(BEGIN)
            self._turns.got()
            value = drive(self._connection, transaction)
            self._connection.execute(COMMIT)
        except sqlite3.Error as error:
            raise meaning(error, self._path) from error
        finally:
            self._turns.got()
            transaction.close()
            roll_back(self._connection)
        return value

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._turns.close()


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo what is not committed; SQLite may have done so itself."""
    try:
        if connection.in_transaction:
            connection.execute(ROLLBACK)
    except sqlite3.Error:
        if connection.in_transaction:
            raise
