"""A served app per test: real SQLite, a real stream server, a real uvicorn."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agentflow
from tests.server.site import Site, site_of
from tests.server.tasks import TASKS


@pytest.fixture
async def app(tmp_path: Path, stream_server: str, migrated_file: Path) -> AsyncIterator[Agentflow]:
    shutil.copy(migrated_file, tmp_path)
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server) as opened:
        yield opened


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with site_of(app, max_body=100_000) as opened:
        yield opened
