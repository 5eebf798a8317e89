"""Messages and items of runs in processes of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentflow import Agentflow, WorkerSettings
from tests.engine.isolated_tasks import TASKS, heard, listens, numbers

PATIENCE = 40.0


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_an_isolated_run_receives_tells_its_readers_and_sends_to_another(folder: Path, stream_server: str) -> None:
    """Its process is gone while it waits, and the next one goes on where it was."""
    async with Agentflow(TASKS, directory=folder, redis=stream_server, worker=WorkerSettings(poll=0.2)) as app:
        second = await listens.start(None)
        first = await listens.start(second.id)
        assert [await first.send(numbers, 1), await first.send(numbers, 2)] == [1, 2]
        assert await first.result(timeout=PATIENCE) == await second.result(timeout=PATIENCE) == [1, 2]
        for run in (first, second):
            assert [item.data async for item in run.stream(heard)] == [1, 2]
        assert [entry.key for entry in await app.runs.journal(first.id)] == [
            "numbers.receive#0",
            "stream.heard#0",
            "send.numbers#0",
            "numbers.receive#1",
            "stream.heard#1",
            "send.numbers#1",
        ]
