"""What PostgreSQL's errors mean to us, said once."""

from __future__ import annotations

from ssl import SSLCertVerificationError
from typing import Any

import asyncpg

from agentflow.errors import (
    ConfigurationError,
    ConnectionLost,
    DatabaseBusy,
    DatabaseFull,
    DatabaseUnreachable,
    DatabaseUnreadable,
    StorageError,
)

FOREIGN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError, ValueError, EOFError)
"""Whatever asyncpg raises."""

_Kind = tuple[type[StorageError], str]

_PRIMARY = "Point `database` at the primary; with several hosts in the URL add `target_session_attrs=read-write`."
_ROLE = "Grant this user CREATE and USAGE on the schema and all rights on its tables."
_LOGIN = "Check user and password in the database URL, and pg_hba.conf on the server."
_CONNECTIONS = "Raise max_connections on the server, lower `pool=` in the database URL, or put pgbouncer between (`pgbouncer=true`)."
_AWAY = "Check that the server runs and that its host and port are those of the database URL."
_TRUST = "Name the authority that signed it in the database URL (`sslrootcert=`), and the host as the certificate does."
_DEADLOCK = "Others write the same rows: it is safe to try again."
_LOCKED = "Find who holds the lock: pg_stat_activity joined with pg_locks."
_FULL = "Free space on the disk of the server; nothing acknowledged is lost."
_DAMAGED = "Read the server's log; restore a backup."
_SETTING = "The database URL names a setting that the server does not know; with a pooler in between add `pgbouncer=true`."
_MIGRATE = "Start a worker or server of this version once: it makes the tables."

_SILENT = "25P03"
_CODES: dict[str, _Kind] = {
    "28P01": (DatabaseUnreadable, _LOGIN),
    "28000": (DatabaseUnreadable, _LOGIN),
    "3D000": (DatabaseUnreadable, "Create the database (`createdb`), or name another one in the database URL."),
    "42501": (DatabaseUnreadable, _ROLE),
    "42704": (StorageError, _SETTING),
    "42P01": (StorageError, _MIGRATE),
    "3F000": (StorageError, _MIGRATE),
    "25006": (DatabaseUnreachable, _PRIMARY),
    _SILENT: (DatabaseUnreachable, "The transaction was silent for too long."),
    "40001": (DatabaseBusy, _DEADLOCK),
    "40P01": (DatabaseBusy, _DEADLOCK),
    "55P03": (DatabaseBusy, _LOCKED),
    "57014": (DatabaseBusy, "The server cancelled it: see its statement_timeout."),
    "53100": (DatabaseFull, _FULL),
    "53300": (DatabaseUnreachable, _CONNECTIONS),
    "58030": (DatabaseUnreadable, _DAMAGED),
}
_CLASSES: dict[str, _Kind] = {
    "08": (DatabaseUnreachable, _AWAY),
    "53": (DatabaseBusy, "The server lacks memory or another resource: read its log."),
    "57": (DatabaseUnreachable, "The server is shutting down or starting."),
    "XX": (DatabaseUnreadable, _DAMAGED),
}


def meaning(error: BaseException, statement: str = "", *, closed: bool = False) -> StorageError:
    """An error of asyncpg as one of ours, `statement` named. `closed`: the connection is gone, whatever it says."""
    kind, hint = _kind(error, closed)
    where = f" in statement {statement}" if statement else ""
    text = str(error).rstrip(".") or type(error).__name__
    ours = kind(f"PostgreSQL: {text}{where}.", hint=hint, **_details(error))
    ours.__cause__ = error
    return ours


def unreachable(error: BaseException, place: str) -> Exception:
    """Why there is no connection."""
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return ConfigurationError(f"The database URL cannot be used: {error}.", hint="See the libpq documentation of connection URIs.")
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate is not None:
        return meaning(error)
    if isinstance(error, SSLCertVerificationError):
        return DatabaseUnreadable(f"PostgreSQL at {place} has a certificate that is not trusted: {error.verify_message}.", hint=_TRUST)
    text = "no answer in time" if isinstance(error, TimeoutError) else str(error).rstrip(".") or type(error).__name__
    ours = DatabaseUnreachable(f"PostgreSQL at {place} cannot be reached: {text}.", hint=_AWAY)
    ours.__cause__ = error
    return ours


def unknown_outcome(error: StorageError) -> ConnectionLost:
    """The connection broke while a commit was under way."""
    hint = "Read before writing again: it may or may not be there."
    ours = ConnectionLost(error.message, hint=hint, **error.details)
    ours.__cause__ = error
    return ours


def refused(error: BaseException, *, closed: bool) -> bool:
    """Whether the server, or asyncpg before it asked the server, said no: then nothing was written for sure."""
    code: Any = getattr(error, "sqlstate", None)
    if isinstance(code, str):
        return not code.startswith(("08", "57P"))
    return not closed and isinstance(error, asyncpg.InterfaceError | ValueError)


def ended_before(error: BaseException | None) -> bool:
    """Whether the server had ended the transaction for its silence, before its commit was sent.

    asyncpg may say so, or find its connection in an odd state.
    """
    return isinstance(error, asyncpg.InternalClientError) or getattr(error, "sqlstate", None) == _SILENT


def another(error: StorageError) -> StorageError:
    """A copy to raise in another task, since each adds its own traceback."""
    copy = type(error)(error.message, hint=error.hint, **error.details)
    copy.__cause__ = error.__cause__
    return copy


def _kind(error: BaseException, closed: bool) -> _Kind:
    if isinstance(error, TimeoutError):
        return DatabaseUnreachable, "It did not answer in time (`command_timeout`): a lock is held for long, or the network is cut."
    if isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return DatabaseBusy, "The schema was changed meanwhile: it is safe to try again."
    code: Any = getattr(error, "sqlstate", None)
    if isinstance(code, str):
        return _CODES.get(code) or _CLASSES.get(code[:2]) or (DatabaseUnreachable if closed else StorageError, "")
    if closed or isinstance(error, OSError):
        return DatabaseUnreachable, _AWAY
    return StorageError, ""


def _details(error: BaseException) -> dict[str, str]:
    found = {"sqlstate": getattr(error, "sqlstate", None), "constraint": getattr(error, "constraint_name", None)}
    return {name: value for name, value in found.items() if isinstance(value, str)}
