"""How we talk to a database; it knows no run."""

from __future__ import annotations

from pathlib import Path

from agentflow.database.port import BlockingDatabase, Database, Query, Row, Rows, Statement, Transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.database.statements import Statements
from agentflow.errors import ConfigurationError, DatabaseUnreadable

__all__ = ["BlockingDatabase", "Database", "Query", "Row", "Rows", "Statement", "Statements", "Transaction", "open_database"]

_SQLITE = "sqlite:///"


def open_database(url: str) -> Database:
    """Open the database at `url`: `sqlite:///relative.db`, `sqlite:////absolute.db` or a plain path; missing folders are made.

    Raises `ConfigurationError` for any other scheme, `DatabaseUnreadable` when the file cannot be opened or is no database.
    """
    path = _sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = f"Make {path.parent} a folder that this user may write, or point `database` elsewhere."
        raise DatabaseUnreadable(f"{path.parent} cannot be made: {error.strerror}.", hint=hint, path=str(path)) from error
    return SqliteDatabase(path)


def _sqlite_path(url: str) -> Path:
    if url.startswith(_SQLITE):
        url = url.removeprefix(_SQLITE)
    elif "://" in url:
        scheme = url.partition("://")[0]
        hint = "Use `sqlite:///path/to/file.db` or a plain path."
        raise ConfigurationError(f"A database of scheme {scheme}:// is not supported.", hint=hint)
    if not url or ":memory:" in url:
        raise ConfigurationError("The database needs a file.", hint="Use a path; a temporary folder will do for a test.")
    return Path(url)
