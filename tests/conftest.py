"""Settings and servers that every test shares."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import certifi
import pytest
from hypothesis import settings

from agentflow.clock import SystemClock
from agentflow.database import open_database
from agentflow.database.migrate import migrate
from agentflow.storage.statements import MIGRATIONS
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer

# A busy machine may stall any example; a deadline would report that as a defect.
settings.register_profile("agentflow", deadline=None)
settings.load_profile("agentflow")


# What is loaded to collect the tests stays: to look for garbage in it takes a fifth of that time.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage, and what is loaded is none."""
    gc.enable()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both_databases`, and has an engine, on each of them."""
    if metafunc.definition.get_closest_marker("both_databases") and "engine_database" in metafunc.fixturenames:
        metafunc.parametrize("engine_database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """HTTP clients know one authority of the world's 150: no test speaks to the world, and to read all takes each client 25 ms."""
    path = tmp_path_factory.mktemp("authority") / "one.pem"
    end = "-----END CERTIFICATE-----\n"
    path.write_text(certifi.contents().partition(end)[0] + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture
def engine_database(request: pytest.FixtureRequest) -> str | None:
    """Where the engine under test keeps what is true: SQLite, or a PostgreSQL of the test's own."""
    return request.getfixturevalue("migrated_url") if getattr(request, "param", "sqlite") == "postgres" else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this process; `with postgres.database() as url` makes a database in it. Nobody may stop it."""
    with PostgresServer.running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The name of a database with all tables and no rows, to make others from."""
    name = postgres.create()

    async def prepare() -> None:
        database = open_database(postgres.url(name))
        await migrate(database, MIGRATIONS, SystemClock())
        await database.close()

    asyncio.run(prepare())
    postgres.remember(name)
    return name


@pytest.fixture
def migrated_url(postgres: PostgresServer, migrated: str) -> Iterator[str]:
    """The URL of a database with all tables and no rows."""
    with postgres.emptied(migrated) as url:
        yield url


@pytest.fixture(scope="session")
def pgbouncer(postgres: PostgresServer) -> Iterator[PgBouncer]:
    """A pooler in transaction mode in front of `postgres`."""
    program = PgBouncer.find()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with PgBouncer.running(postgres, program) as pooler:
        yield pooler
