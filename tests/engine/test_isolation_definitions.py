"""What `@task(isolation=…)` takes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow import Isolation, task
from agentflow.errors import DefinitionError


def plain() -> None:
    """A function at the top level."""


def test_a_task_that_no_other_process_finds_is_refused_when_it_is_defined() -> None:
    async def inner() -> None: ...

    with pytest.raises(DefinitionError, match="defined in a function"):
        task(isolation="process")(inner)


def test_a_task_of_the_script_itself_is_refused_when_a_worker_starts(tmp_path: Path) -> None:
    script = """
import asyncio
from agentflow import Agentflow, task

@task(isolation="process")
async def inner() -> None: ...

async def main():
    async with Agentflow([inner], worker=False): ...
    async with Agentflow([inner]): ...

asyncio.run(main())
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DefinitionError: Task 'inner' is isolated, but it is defined in __main__" in done.stderr
    assert "agentflow worker FILE" in done.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: Isolation(memory="lots"), "no size"),
        (lambda: Isolation(memory="1MB"), "too little"),
        (lambda: Isolation(memory_after_oom="2GB"), "without memory"),
        (lambda: Isolation(memory="2GB", memory_after_oom="1GB"), "not larger"),
        (lambda: Isolation(kill_after="soon"), "not a duration"),
        (lambda: task(isolation="thread")(plain), "not known"),  # pyright: ignore[reportArgumentType] - what is refused
    ],
)
def test_an_isolation_that_cannot_be_is_refused(given: Callable[[], Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        given()


def test_sizes_are_bytes_or_have_a_unit() -> None:
    made = Isolation(memory=200_000_000, memory_after_oom="1.5GB")
    assert (made.limit, made.larger) == (200_000_000, 3 * 512 * 1024**2)
    assert Isolation().limit is None
