"""How we talk to a database; it knows no run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from agentflow.database.port import BlockingDatabase, Database, Query, Row, Rows, Statement, Transaction, transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.database.statements import Statements
from agentflow.errors import ConfigurationError, DatabaseUnreadable

__all__ = [
    "BlockingDatabase",
    "Database",
    "Query",
    "Row",
    "Rows",
    "Statement",
    "Statements",
    "Transaction",
    "open_database",
    "transaction",
]

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def open_database(url: str, schema: str | None = None) -> Database:
    """Open the database at `url`.

    `sqlite:///relative.db`, `sqlite:////absolute.db` or a plain path is a file; missing folders are made.
    `postgresql://user@host/database` is a server, to which the first call connects. Its `schema` keeps several installations in one
    database apart; `pool=`, `patience=`, `command_timeout=` and `pgbouncer=true` may follow in the URL, see `PostgresOptions`.

    Raises `ConfigurationError` for any other scheme, `DatabaseUnreadable` when the file cannot be opened or is no database.
    """
    if url.startswith(_POSTGRES):
        return _open_postgres(url, schema)
    if schema is not None:
        raise ConfigurationError("A SQLite database has no schemas.", hint="Use another file for another installation.")
    path = _sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = f"Make {path.parent} a folder that this user may write, or point `database` elsewhere."
        raise DatabaseUnreadable(f"{path.parent} cannot be made: {error.strerror}.", hint=hint, path=str(path)) from error
    return SqliteDatabase(path)


def _open_postgres(url: str, schema: str | None) -> Database:
    if find_spec("asyncpg") is None:
        raise ConfigurationError("PostgreSQL needs the package asyncpg.", hint="pip install asyncpg")
    from agentflow.database.postgres import PostgresDatabase
    from agentflow.database.postgres_url import read_url

    return PostgresDatabase(read_url(url, schema))


def _sqlite_path(url: str) -> Path:
    if url.startswith(_SQLITE):
        url = url.removeprefix(_SQLITE)
    elif "://" in url:
        scheme = url.partition("://")[0]
        hint = "Use `postgresql://user@host/database`, `sqlite:///path/to/file.db` or a plain path."
        raise ConfigurationError(f"A database of scheme {scheme}:// is not supported.", hint=hint)
    if not url or ":memory:" in url:
        raise ConfigurationError("The database needs a file.", hint="Use a path; a temporary folder will do for a test.")
    return Path(url)
