"""The TypeScript packages: their own tests, against a real server of ours where that matters."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.conftest import KEY
from tests.server.site import Site
from tools import frontend

PATIENCE = 300.0


async def test_the_client_and_the_hooks_hold_against_faults_and_a_real_server(site: Site, guarded: Site) -> None:
    try:
        await asyncio.to_thread(frontend.install)
    except frontend.NotInstalled as error:
        pytest.skip(f"npm cannot install here: {error}")
    vitest = await asyncio.create_subprocess_exec(
        *frontend.command("test"),
        cwd=frontend.FOLDER,
        env=frontend.environment(AGENTFLOW_URL=site.url, AGENTFLOW_GUARDED_URL=guarded.url, AGENTFLOW_KEY=KEY),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await vitest.communicate()
    finally:
        if vitest.returncode is None:
            vitest.kill()
            await vitest.wait()
    assert vitest.returncode == 0, said.decode()
