"""What a database must do for us. It knows no run and no step.

A transaction is a generator that yields `Query` objects and is sent their rows. It holds the decisions; the driver holds the connection,
so the same transaction runs on every database, in the event loop or in a thread.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from agentflow.errors import StorageError

T = TypeVar("T")

DIALECTS = ("sqlite", "postgres")


class Row(Protocol):
    """One row; columns by name."""

    def __getitem__(self, column: str, /) -> Any: ...


Rows = Sequence[Row]


@dataclass(slots=True, eq=False)
class Statement:
    """SQL with a name: a text for every dialect, and the `:name` parameters that all of them take.

    Called with its parameters it makes a `Query`. Raises `StorageError` when one is missing or unknown.

    >>> lock = statement("runs/lock")
    >>> lock(id=run_id)
    """

    name: str
    texts: Mapping[str, str]
    parameters: frozenset[str]

    def __call__(self, /, **parameters: Any) -> Query:
        if parameters.keys() != self.parameters:
            raise self._mismatch(parameters.keys())
        return Query(self, parameters)

    def _mismatch(self, given: Any) -> StorageError:
        missing, unknown = sorted(self.parameters - given), sorted(given - self.parameters)
        return StorageError(
            f"Statement {self.name} was called with the wrong parameters.",
            hint=f"Missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}.",
            statement=self.name,
        )


@dataclass(slots=True, eq=False)
class Query:
    """A statement with its parameters. Made by calling the statement; mutable only because freezing costs time on the hot path."""

    statement: Statement
    parameters: dict[str, Any]


Transaction = Generator[Query, Rows, T]


class Database(Protocol):
    """An open database."""

    @property
    def dialect(self) -> str:
        """Which of a statement's texts it runs: one of `DIALECTS`."""
        ...

    async def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. An exception that it raises rolls back its writes alone."""
        ...

    async def execute(self, query: Query) -> Rows:
        """Run one writing statement as a transaction of its own."""
        ...

    async def fetch(self, query: Query) -> Rows:
        """Read, on a connection of its own, what is committed."""
        ...

    async def read(self, transaction: Transaction[T]) -> T:
        """As `fetch`, for a transaction that only reads."""
        ...

    def blocking(self) -> BlockingDatabase:
        """A second connection for one other thread."""
        ...

    async def close(self) -> None:
        """Finish what was asked for, then close."""
        ...


class BlockingDatabase(Protocol):
    """A database connection that one thread owns."""

    def transact(self, transaction: Transaction[T]) -> T:
        """As `Database.transact`, blocking the calling thread."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
