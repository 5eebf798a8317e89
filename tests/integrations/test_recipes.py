"""The recipes and READMEs of the integrations, done as they are written, against a model on the loopback interface."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from agentflow.testing import Engine, call, text, thinking
from agentflow.testing.contracts import Turn
from tests.gates.sources import ROOT
from tests.integrations.scripted import ANTHROPIC, RESPONSES, scripted
from tests.test_readme import FENCED, module_of

TURNS: list[Turn] = [[thinking("First I look."), call("find_order", {"order_id": "o-81"}, id="c1")], [text("It left on Monday.")]]


async def run(recipe: str, folder: Path, **environment: str) -> str:
    """What a recipe says, started as its docstring tells."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPENAI_"))}
    command = [sys.executable, "-m", recipe]
    env = {**kept, "PYTHONPATH": str(ROOT), **environment}
    started = await asyncio.create_subprocess_exec(*command, cwd=folder, env=env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(60):
            shown = (await started.communicate())[0].decode()
    finally:
        if started.returncode is None:
            started.kill()
    assert started.returncode == 0, shown
    return shown


async def test_the_loop_on_anthropic_looks_up_asks_and_pays(tmp_path: Path) -> None:
    calls = [call("find_parcel", {"order_id": "o-81"}, id="c1"), call("reimburse", {"order_id": "o-81", "cents": 4900}, id="c2")]
    turns: list[Turn] = [[thinking("Both at once."), *calls], [text("You have your money back.")]]
    async with scripted(ANTHROPIC, turns, None) as model:
        shown = await run("cookbook.own_loop_anthropic", tmp_path, ANTHROPIC_BASE_URL=model.url, ANTHROPIC_API_KEY="key")
        assert model.results() == {"c1": "The parcel of o-81 was delivered on Monday.", "c2": "paid 49.00 for o-81"}
    assert shown.strip().endswith("You have your money back.")


async def test_the_loop_on_openai_asks_for_each_response_once_in_the_background(tmp_path: Path) -> None:
    turns: list[Turn] = [[call("sales_figures", {"quarter": 2}, id="c1")], [text("The north is growing.")]]
    async with scripted(RESPONSES, turns, None) as model:
        shown = await run("cookbook.own_loop_openai", tmp_path, OPENAI_BASE_URL=model.openai_url)
        assert model.results() == {"c1": '{"north":240000,"south":90000}'}
        assert [request.body["background"] for request in model.requests] == [True, True]
    assert shown.strip().endswith("The north is growing.")


def readme(integration: str) -> tuple[str, str]:
    """The program of a README, and the task that the command below it starts."""
    blocks = [(found[1], found[2]) for found in FENCED.finditer((ROOT / f"integrations/{integration}/README.md").read_text())]
    [program] = [body for language, body in blocks if language == "python"]
    [started] = re.findall(r"agentflow start (\w+)", "".join(body for _, body in blocks))
    return program, started


@pytest.mark.parametrize("integration", ["anthropic", "openai"])
async def test_the_example_of_a_readme_answers(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integration: str) -> None:
    program, started = readme(integration)
    async with scripted(ANTHROPIC if integration == "anthropic" else RESPONSES, TURNS, None) as model:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", model.url)
        monkeypatch.setenv("OPENAI_BASE_URL", model.openai_url)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, "key")
        shown: Any = module_of(f"readme_{integration}", tmp_path / f"{started}.py", program)
        asked = await engine.start(getattr(shown, started), "Where is o-81?")
        assert await asked.result() == "It left on Monday."
        assert model.results() == {"c1": "o-81 left on Monday."}
        await shown.client.close()
