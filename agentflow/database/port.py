"""What a database must do for us. It knows no run and no step.

A transaction is a generator that yields `Query` objects and is sent their rows. It holds the decisions; the driver holds the connection,
so the same transaction runs on every database, in the event loop or in a thread. One that is made by a function under `@transaction` can be
begun again, which is what a database that breaks deadlocks needs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from agentflow.errors import StorageError

P = ParamSpec("P")
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

    `many`: for a dialect that has one, a text that answers many calls at once. It takes every parameter as an array, and its rows
    have a column `at` more: which call, counted from 1, a row answers.
    `slow`: it may take longer than a database lets others take.

    >>> lock = statement("runs/lock")
    >>> lock(id=run_id)
    """

    name: str
    texts: Mapping[str, str]
    parameters: frozenset[str]
    many: Mapping[str, str] = field(default_factory=dict[str, str])
    slow: bool = False

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


class Restartable(Generator[Query, Rows, T]):
    """A transaction that remembers how it was made: `iter` makes it anew. `yield from` and drivers do that; else it is any generator."""

    __slots__ = ("_arguments", "_function", "_named", "_running")

    def __init__(self, function: Callable[..., Transaction[T]], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._function = function
        self._arguments = arguments
        self._named = named
        self._running: Transaction[T] | None = None

    @property
    def __name__(self) -> str:
        return getattr(self._function, "__name__", "")

    def __iter__(self) -> Transaction[T]:
        return self._function(*self._arguments, **self._named)

    def send(self, value: Any, /) -> Query:
        """As a generator's."""
        if self._running is None:
            self._running = iter(self)
        return self._running.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> Query:
        """As a generator's."""
        if self._running is None:
            self._running = iter(self)
        return self._running.throw(kind if value is None else value)

    def close(self) -> None:
        """As a generator's."""
        if self._running is not None:
            self._running.close()


def transaction(function: Callable[P, Transaction[T]]) -> Callable[P, Transaction[T]]:
    """Make the transactions of a generator function such that a database may begin them again, after a deadlock for example.

    The function decides by its arguments and by what it reads in the database alone, and changes nothing else: it may run several times.

    >>> @transaction
    ... def suspend(lease: Lease, now: int) -> Transaction[None]: ...
    """

    @wraps(function)
    def make(*arguments: P.args, **named: P.kwargs) -> Transaction[T]:
        return Restartable(function, arguments, named)

    return make


class Database(Protocol):
    """An open database."""

    @property
    def dialect(self) -> str:
        """Which of a statement's texts it runs: one of `DIALECTS`."""
        ...

    async def transact(self, transaction: Transaction[T]) -> T:
        """Run a transaction; return its value once it is durable. An exception that it raises rolls back its writes alone.

        One that `@transaction` made may be begun again. Raises `ConnectionLost` when nobody knows whether it was committed.
        """
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
