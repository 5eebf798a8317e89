"""What the tests of recipes share: other models for their agents, and a model that falls silent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel

from agentflow import Agent
from agentflow.testing import Engine, ScriptedModel, scripted_model
from agentflow.testing.models import Delta
from cookbook import (
    approval_with_edits,
    chat_thread,
    evaluator_optimizer,
    incident,
    long_sleep,
    parallel_research,
    pr_reviewer,
    prompt_chaining,
    routing,
)
from tests.gates.sources import ROOT

PATIENCE = 120.0
"""Seconds until a test gives up: a program loads pydantic-ai and an SDK, which takes long on a busy machine."""


class Stage(FunctionModel):
    """The model of a recipe's agent for all tests, on which another plays in each.

    A worker loads its agents in a thread when it starts, so an agent that is given another model then may be built with the former one.
    """

    def __init__(self) -> None:
        super().__init__(stream_function=self._speak, model_name="stage")
        self.player = scripted_model()

    async def _speak(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Delta]:
        assert self.player.stream_function is not None
        async for delta in self.player.stream_function(messages, info):
            yield delta


RECIPES = (
    approval_with_edits,
    chat_thread,
    evaluator_optimizer,
    incident,
    long_sleep,
    parallel_research,
    pr_reviewer,
    prompt_chaining,
    routing,
)
AGENTS: list[Agent[Any]] = [one for recipe in RECIPES for one in vars(recipe).values() if isinstance(one, Agent)]
STAGES = {agent: Stage() for agent in AGENTS}
for one in AGENTS:
    one.agent_options["model"] = STAGES[one]


class Play(Protocol):
    """Has a model play for an agent of a recipe until the test ends."""

    def __call__(self, agent: Agent[Any], model: ScriptedModel) -> ScriptedModel: ...


@pytest.fixture
def play() -> Iterator[Play]:
    """So that no test asks a provider, whatever keys there are."""

    def begin(agent: Agent[Any], model: ScriptedModel) -> ScriptedModel:
        STAGES[agent].player = model
        return model

    yield begin
    for stage in STAGES.values():
        stage.player = scripted_model()


class Silence:
    """The pace of a model that falls silent before its `after`-th piece, counted from 0, until it is told to go on."""

    def __init__(self, after: int = 0) -> None:
        self._reached = asyncio.Event()
        self._over = asyncio.Event()
        self._left = after

    async def __call__(self, kind: str) -> None:
        self._left -= 1
        if self._left < 0:
            self._reached.set()
            await self._over.wait()

    async def begun(self) -> None:
        """Return once the model is silent."""
        await asyncio.wait_for(self._reached.wait(), PATIENCE)

    async def broken_by_crash_of(self, engine: Engine) -> None:
        """Kill the worker in the middle of the silence; another takes over, and the model speaks again."""
        await self.begun()
        await engine.stop()
        self._over.set()
        await engine.go_on()


class Repository:
    """A git repository on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        """Run git in it, as somebody without settings."""
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        who = ["-c", "user.name=Maria", "-c", "user.email=maria@example.com"]
        return subprocess.run(
            ["git", "-C", str(self.folder), *who, *arguments], check=True, env=env, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        """Commit files, each named by its stem; returns the commit."""
        for stem, content in files.items():
            (self.folder / f"{stem}.py").write_text(content, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-qm", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a base, and a branch that changes two files."""
    made = Repository(tmp_path / "repository")
    made.commit("Add the shop", shop="orders = []\n", till="open = True\n")
    made.git("checkout", "-q", "-b", "feature")
    made.commit("Take orders", shop="orders = []\nprint(orders)\n", till="try:\n    open()\nexcept:\n    pass\n")
    return made


def program(folder: Path, *words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m …` in a folder and without a key; where something is `typed`, at a terminal."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("AGENTFLOW_", "ANTHROPIC_", "OPENAI_"))}
    hand, keyboard = os.openpty()
    try:
        os.write(hand, (typed or "").encode())
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**known, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL if typed is None else keyboard,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(hand)
        os.close(keyboard)
