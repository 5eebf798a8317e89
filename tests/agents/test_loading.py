"""What an agent needs is loaded by one thread at a time, and by none once the app has closed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pydantic_ai
from pydantic_ai.tools import ToolDefinition

from agentflow import Agent, Agentflow
from agentflow.engine.calls import in_thread
from agentflow.testing import Engine
from agentflow.testing.models import scripted_model, text
from tests.engine.zombies import reach


class SlowTool(pydantic_ai.Tool[Any]):
    """A tool that keeps whoever makes an agent with it, until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__(_nothing, takes_ctx=False, name="nothing")
        self.entered, self.go_on = threading.Event(), threading.Event()

    @property
    def tool_def(self) -> ToolDefinition:
        self.entered.set()
        assert self.go_on.wait(30)
        return super().tool_def


def _nothing() -> None:
    """Do nothing."""


async def test_a_run_waits_for_the_thread_that_loads_and_the_loop_goes_on(engine: Engine) -> None:
    tool, model = SlowTool(), scripted_model([text("hello")])
    loading = asyncio.ensure_future(in_thread(Agent("loads-slowly", model=scripted_model([text("no")]), tools=[tool]).warm))
    await reach(tool.entered.is_set)
    run = await engine.start(Agent("waits-for-loading", model=model), "hi")
    await engine.until(run, "running")
    await engine.settle()
    assert model.requests == []
    tool.go_on.set()
    assert await run.result() == "hello"
    await loading


async def test_an_app_that_has_closed_loads_nothing_more(tmp_path: Path, stream_server: str) -> None:
    tool = SlowTool()
    agent = Agent("loads-while-closing", model=scripted_model([text("no")]), tools=[tool])
    app = Agentflow([agent], directory=tmp_path, redis=stream_server)
    await app.open()
    await reach(tool.entered.is_set)
    closing = asyncio.ensure_future(app.close())
    await asyncio.wait({closing}, timeout=0.2)
    assert not closing.done()
    tool.go_on.set()
    await closing
