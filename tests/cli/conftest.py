"""A folder with an app, programs in it, and the command line in this process."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agentflow.cli.main import app
from agentflow.streams.embedded import EmbeddedServer
from tests.cli.programs import Program

SHOP = '''
"""A shop."""
import asyncio, time
from pathlib import Path
from agentflow import approve, sleep, step, task

@step
async def look_up(order_id: str) -> str:
    return f"order {order_id}"

@step
def hold(seconds: float) -> None:
    Path("holding").touch()
    time.sleep(seconds)

@task
async def greet(name: str) -> str:
    """Say hello."""
    return f"Hello {name}"

@task
async def refund(order_id: str) -> str:
    """Refund an order."""
    await look_up(order_id)
    decision = await approve("Refund it?", body={"order": order_id}, expires="3d")
    return "refunded" if decision.approved else f"denied: {decision.reason}"

@task
async def broken() -> None:
    """Fail."""
    raise ValueError("no such order")

@task
async def slow(seconds: float) -> str:
    """Take time."""
    await hold(seconds)
    return "done"
'''

Start = Callable[..., Program]
Call = Callable[..., Result]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project folder with an app in `shop.py`; its path is short, for the socket of the embedded server."""
    made = Path(tempfile.mkdtemp(prefix="af-cli-", dir="/tmp"))
    (made / "shop.py").write_text(SHOP)
    yield made
    if (made / ".agentflow/valkey.sock").exists():
        # A killed program leaves the server behind: whoever comes last takes it along.
        server = EmbeddedServer(made / ".agentflow")
        server.ensure()
        server.leave()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start programs in the folder."""
    programs: list[Program] = []

    def begin(*words: str) -> Program:
        programs.append(Program(folder, *words))
        return programs[-1]

    yield begin
    for one in programs:
        one.close()


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command in this process, in the folder."""
    monkeypatch.chdir(folder)
    for name in ("DATABASE", "REDIS", "DIRECTORY", "API_KEY", "APP"):
        monkeypatch.delenv(f"AGENTFLOW_{name}", raising=False)
    runner = CliRunner()

    def call(*words: str, stdin: str | None = None) -> Result:
        return runner.invoke(app, list(words), input=stdin, catch_exceptions=False)

    return call


def as_json(result: Result) -> Any:
    """What a command printed, as JSON."""
    return json.loads(result.stdout)
