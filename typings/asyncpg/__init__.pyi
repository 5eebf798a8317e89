"""What we use of asyncpg, which has no types of its own."""

from collections.abc import Mapping
from typing import Any

from asyncpg import exceptions as exceptions

class Record:
    def __getitem__(self, column: str, /) -> Any: ...

class Connection:
    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None: ...
    async def fetch(self, query: str, *args: Any, timeout: float | None = None) -> list[Record]: ...
    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str: ...
    async def close(self, *, timeout: float | None = None) -> None: ...
    def terminate(self) -> None: ...
    def is_closed(self) -> bool: ...

async def connect(
    dsn: str,
    *,
    timeout: float,
    command_timeout: float | None = None,
    statement_cache_size: int = 100,
    max_cached_statement_lifetime: int = 300,
    connection_class: type[Connection] = Connection,
    server_settings: Mapping[str, str] | None = None,
) -> Connection: ...

PostgresError = exceptions.PostgresError
InterfaceError = exceptions.InterfaceError
InternalClientError = exceptions.InternalClientError
InvalidCachedStatementError = exceptions.InvalidCachedStatementError
OutdatedSchemaCacheError = exceptions.OutdatedSchemaCacheError
