"""The pytest fixtures that come with the package."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from agentflow.database import open_database
from agentflow.database.migrate import migrate
from agentflow.engine.worker import WorkerSettings
from agentflow.storage.statements import MIGRATIONS
from agentflow.streams.embedded import EmbeddedServer
from agentflow.testing.clock import ManualClock
from agentflow.testing.engine import FILE, Engine


@pytest.fixture(scope="session")
def stream_server() -> Iterator[str]:
    """The URL of a real stream server that all tests of this process share: ids are unique, so they never meet."""
    folder = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    server = EmbeddedServer(folder)
    try:
        yield server.ensure()
    finally:
        server.leave()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with all tables and no rows: to copy it takes a tenth of the time that it takes to make one."""
    path = tmp_path_factory.mktemp("migrated") / "agentflow.db"

    async def make() -> None:
        database = open_database(str(path))
        await migrate(database, MIGRATIONS, ManualClock())
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    """How the engine under test works; `@pytest.mark.worker(slots=1)` changes it."""
    mark: Any = request.node.get_closest_marker("worker")
    return WorkerSettings(**cast("dict[str, Any]", mark.kwargs if mark else {}))


@pytest.fixture
def engine_database() -> str | None:
    """The URL of an empty database for the engine under test; None is a temporary SQLite. Override it to test on yours."""
    return None


@pytest_asyncio.fixture
async def engine(
    tmp_path: Path, stream_server: str, worker_settings: WorkerSettings, engine_database: str | None, migrated_file: Path
) -> AsyncIterator[Engine]:
    """An engine on a database of its own, with a clock that the test advances."""
    if engine_database is None:
        shutil.copyfile(migrated_file, tmp_path / FILE)
    made = Engine(tmp_path, stream_server, worker_settings, database=engine_database)
    await made.open()
    yield made
    await made.close()
