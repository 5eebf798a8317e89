"""The databases that every contract is held to. A new one joins by an entry in `PLACES`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agentflow.database import Database, open_database
from agentflow.database.postgres import PostgresDatabase
from agentflow.database.postgres_url import read_url
from agentflow.database.sqlite import SqliteDatabase
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer

PATIENCE = 30


class Place:
    """Where a database is: its URL for other processes, and how to open it here."""

    def __init__(self, url: str, opener: Callable[[str], Database] = open_database) -> None:
        self.url = url
        self._opener = opener

    def open(self) -> Database:
        return self._opener(self.url)


@contextmanager
def _sqlite(request: pytest.FixtureRequest) -> Generator[Place]:
    yield Place(f"sqlite:///{_folder(request)}/ledger.db")


@contextmanager
def _sqlite_on_a_slow_disk(request: pytest.FixtureRequest) -> Generator[Place]:
    yield Place(str(_folder(request) / "ledger.db"), lambda url: SqliteDatabase(Path(url), slow_commit=0))


@contextmanager
def _postgres(request: pytest.FixtureRequest) -> Generator[Place]:
    server: PostgresServer = request.getfixturevalue("postgres")
    with _origin(request, server) as url:
        yield Place(url)


@contextmanager
def _postgres_schema(request: pytest.FixtureRequest) -> Generator[Place]:
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield Place(f"{url}?schema=one_of_many")


@contextmanager
def _pgbouncer(request: pytest.FixtureRequest) -> Generator[Place]:
    bouncer: PgBouncer = request.getfixturevalue("pgbouncer")
    with _origin(request, bouncer.server) as url:
        yield Place(bouncer.url(url))


def _origin(request: pytest.FixtureRequest, server: PostgresServer) -> AbstractContextManager[str]:
    """A database with the tables that the test begins with, if any."""
    template: str | None = request.getfixturevalue("template")
    return server.database() if template is None else server.emptied(template)


def _folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue("tmp_path")


PLACES: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[Place]]] = {
    "sqlite": _sqlite,
    "sqlite on a slow disk": _sqlite_on_a_slow_disk,
    "postgres": _postgres,
    "postgres schema": _postgres_schema,
    "pgbouncer": _pgbouncer,
}


@asynccontextmanager
async def opened(url: str, **options: str) -> AsyncGenerator[PostgresDatabase]:
    """The database at a URL, with options of it; nothing that is done with it takes longer than `PATIENCE`."""
    database = PostgresDatabase(read_url(with_options(url, **options)))
    async with asyncio.timeout(PATIENCE):
        try:
            yield database
        finally:
            await database.close()


def with_options(url: str, **options: str) -> str:
    """A URL with options."""
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(f'{name}={value}' for name, value in options.items())}" if options else url


def through(url: str, port: int) -> str:
    """A URL by way of a proxy on this machine."""
    return urlsplit(url)._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    while not holds():
        await asyncio.sleep(0)
