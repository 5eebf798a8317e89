"""A served app that browsers may call, as the tests of the server have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agentflow
from tests.frontend.tasks import TASKS
from tests.server.site import Site, site_of

KEY = "an api key that is long enough to sign with"


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server) as app, site_of(app, cors_origins=["*"]) as opened:
        yield opened


@pytest.fixture
async def guarded(site: Site) -> AsyncIterator[Site]:
    """The same app behind an API key, for pages that come with tokens."""
    async with site_of(site.app, api_key=KEY, cors_origins=["*"]) as opened:
        yield opened
