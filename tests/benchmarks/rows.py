"""Rows in a table with one index, as a journal has, and nothing else: what every durable engine has to write."""

from __future__ import annotations

import importlib
import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from tests.benchmarks.place import Place, sql


class Rows(Protocol):
    """The table in one of the databases."""

    async def append(self, run: int, seq: int) -> None:
        """Write a row and commit."""
        ...

    async def append_many(self, count: int) -> None:
        """Write so many rows and commit once."""
        ...

    async def load(self) -> list[object]:
        """Read and decode all values."""
        ...


@asynccontextmanager
async def open_rows(place: Place) -> AsyncGenerator[Rows]:
    """The table in the database of that place; it is made when there is none."""
    if place.database is None:
        table = SqliteRows(place.directory)
        try:
            yield table
        finally:
            table.close()
    else:
        asyncpg: Any = importlib.import_module("asyncpg")
        connection = await asyncpg.connect(place.database)
        try:
            yield await PostgresRows.make(connection)
        finally:
            await connection.close()


async def seconds_of_commits(rows: Rows, count: int) -> float:
    """How long so many rows take, each with its commit."""
    began = perf_counter()
    for seq in range(count):
        await rows.append(1, seq)
    return perf_counter() - began


class SqliteRows:
    """On the loop, since a thread would only add to it."""

    def __init__(self, directory: Path) -> None:
        self._append = sql("append")
        self._connection = sqlite3.connect(directory / "bare.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(sql("journal"))

    async def append(self, run: int, seq: int) -> None:
        """Write a row and commit."""
        self._connection.execute(self._append, _row(run, seq)).fetchall()

    async def append_many(self, count: int) -> None:
        """Write so many rows and commit once."""
        self._connection.execute("BEGIN IMMEDIATE")
        for seq in range(count):
            await self.append(0, seq)
        self._connection.execute("COMMIT")

    async def load(self) -> list[object]:
        """Read and decode all values."""
        return [json.loads(row[0]) for row in self._connection.execute(sql("load"))]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresRows:
    """On one connection, prepared."""

    def __init__(self, connection: Any, append: Any, append_many: Any) -> None:
        self._connection = connection
        self._append = append
        self._append_many = append_many

    @classmethod
    async def make(cls, connection: Any) -> PostgresRows:
        """Make the table if there is none, and prepare."""
        await connection.execute(sql("postgres/journal"))
        return cls(connection, await connection.prepare(sql("postgres/append")), await connection.prepare(sql("postgres/append_many")))

    async def append(self, run: int, seq: int) -> None:
        """Write a row and commit."""
        await self._append.fetch(*_row(run, seq))

    async def append_many(self, count: int) -> None:
        """Write so many rows and commit once."""
        columns: list[tuple[Any, ...]] = list(zip(*(_row(0, seq) for seq in range(count)), strict=True))
        await self._append_many.fetch(*columns)

    async def load(self) -> list[object]:
        """Read and decode all values."""
        return [json.loads(row[0]) for row in await self._connection.fetch(sql("load"))]


def _row(run: int, seq: int) -> tuple[int, int, str, str, int]:
    return run, seq, f"add#{seq}", json.dumps({"value": seq}), seq
