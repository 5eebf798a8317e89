"""What goes wrong with the database."""

from __future__ import annotations

from agentflow.errors.root import AgentflowError


class StorageError(AgentflowError):
    """The database refused or failed."""

    code = "storage"
    http_status = 503


class DatabaseBusy(StorageError):
    """Others kept a lock for too long, or got in each other's way too often; nothing was written."""

    code = "database_busy"


class DatabaseUnreachable(StorageError):
    """The database server cannot be reached, takes no connections or does not answer; nothing was written."""

    code = "database_unreachable"


class DatabaseUnreadable(StorageError):
    """There is no such database, or it is damaged, or may not be used by this user."""

    code = "database_unreadable"


class DatabaseFull(StorageError):
    """There is no room left to write."""

    code = "database_full"


class SchemaNewer(StorageError):
    """The database was migrated by a newer agentflow."""

    code = "schema_newer"


class ConnectionLost(StorageError):
    """The connection to the database broke; the transaction may or may not have been committed."""

    code = "connection_lost"
