"""What a process suggests when it is up can be done as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow import Agentflow, task
from agentflow.cli.greeting import greet
from agentflow.cli.loading import Loaded


@task(name="greeted")
async def greeted(order: str, cents: int, share: float, gift: bool, tags: list[str], more: dict[str, int], note: str = "") -> None: ...


async def test_the_payload_that_is_suggested_fits_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Agentflow([greeted], directory=tmp_path) as app:
        greet("dev", Loaded(app, "app.py", made=True))
    suggested = capsys.readouterr().out.partition("--payload '")[2].partition("'")[0]
    greeted.payload.check(suggested)
