"""The database under test, each of them in turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import pytest

from agentflow.clock import SystemClock
from agentflow.database import Database
from agentflow.database.migrate import migrate
from agentflow.storage import workers
from agentflow.storage.statements import MIGRATIONS
from tests.contracts import ledger
from tests.contracts.places import PLACES, Place, opened
from tests.contracts.stock import NOW, living
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str | None:
    """The PostgreSQL database whose tables a test begins with: those of the storage."""
    return request.getfixturevalue("migrated")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Generator[Place]:
    """A database without rows."""
    with PLACES[request.param](request) as found:
        yield found


@pytest.fixture
async def url(postgres_url: str) -> str:
    """A PostgreSQL database with a ledger."""
    async with opened(postgres_url) as database:
        await migrate(database, ledger.MIGRATIONS, SystemClock())
    return postgres_url


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncGenerator[Proxy]:
    """A network between us and PostgreSQL."""
    async with Proxy.running(postgres.port) as started:
        yield started


@pytest.fixture
async def database(place: Place) -> AsyncGenerator[Database]:
    """An open database with the schema of the storage, and two living workers: a and b."""
    database = place.open()
    await migrate(database, MIGRATIONS, SystemClock())
    for worker in ("a", "b"):
        await database.transact(workers.register(living(worker), (), NOW))
    yield database
    await database.close()


@pytest.fixture
async def other(place: Place, database: Database) -> AsyncGenerator[Database]:
    """A second process at the same database."""
    another = place.open()
    yield another
    await another.close()
