"""The pytest fixtures that come with the package."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from agentflow.engine.worker import WorkerSettings
from agentflow.streams.embedded import EmbeddedServer
from agentflow.testing.engine import Engine


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
async def engine(tmp_path: Path, stream_server: str, worker_settings: WorkerSettings, engine_database: str | None) -> AsyncIterator[Engine]:
    """An engine on a database of its own, with a clock that the test advances."""
    made = Engine(tmp_path, stream_server, worker_settings, database=engine_database)
    await made.open()
    yield made
    await made.close()
