"""MCP servers as tools, over HTTP and over stdio: what they are asked is recorded, and one that is away is a clear, retried error."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ToolReturnPart

from agentflow import Agent
from agentflow.agents.durability import Durability
from agentflow.agents.failures import ToolServerUnreachable
from agentflow.streams.events import ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text
from tests.agents.crashing import survived
from tests.agents.mcp_server import NOTES, serving
from tests.agents.memory import Journal, MemoryRun

ROOT = Path(__file__).parents[2]
SUM = [call("add", {"a": 1, "b": 2}, id="c1")]


@pytest.fixture(autouse=True)
def quiet() -> Generator[None]:
    """The server configures logging for its whole process."""
    kept = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = kept


def over_stdio(notes: Path) -> MCPToolset[Any]:
    environment = {**os.environ, NOTES: str(notes)}
    transport = StdioTransport(sys.executable, ["-m", "tests.agents.mcp_server"], environment, str(ROOT), keep_alive=False)
    return MCPToolset(transport, id="sums", include_instructions=True, init_timeout=60)


def over_http(port: int) -> MCPToolset[Any]:
    return MCPToolset(f"http://127.0.0.1:{port}/mcp", id="sums", include_instructions=True)


def told(model: ScriptedModel) -> list[Any]:
    return [part.content for part in model.requests[-1].messages[-1].parts if isinstance(part, ToolReturnPart)]


async def test_the_tools_of_a_server_over_http_are_listed_and_called_once_whatever_crashes(tmp_path: Path, engine: Engine) -> None:
    notes, model = tmp_path / "notes", scripted_model(SUM, [text("3")])
    async with serving(notes) as port:
        adder = Agent("adder", model=model, toolsets=[over_http(port)])
        run = await engine.start(adder, "go")
        assert await run.result() == "3"
        assert told(model) == [3]
        assert "Add with me." in (model.requests[0].instructions or "")
        assert [event.output for stored in await engine.events(run) if isinstance(event := stored.event, ToolOutput)] == [3]
        journal = [entry.key for entry in await engine.app.runs.journal(run.id)]
        assert journal[:3] == ["adder#0/sums.tools", "adder#0/sums.instructions", "adder#0/turn:1"]
        assert notes.read_text() == "1+2\n"
        assert (await survived(lambda: adder.plain("go"), model))[0] == "3"
    # The server is gone, and a replay does not miss it.
    assert not (await engine.replay(run)).diverges


async def test_a_server_over_stdio_is_a_process_of_the_run(tmp_path: Path) -> None:
    notes, model = tmp_path / "notes", scripted_model(SUM, [text("3")])
    adder = Agent("adder", model=model, toolsets=[over_stdio(notes)])
    assert await MemoryRun(Journal()).drive(lambda: adder.plain("go")) == "3"
    assert told(model) == [3]
    assert not [one for one in psutil.Process().children(recursive=True) if "tests.agents.mcp_server" in one.cmdline()]


async def test_what_a_server_refuses_is_told_to_the_model() -> None:
    model = scripted_model([call("add", {"a": -1, "b": 2}, id="c1")], [call("add", {"a": 1, "b": 2}, id="c2")], [text("3")])
    existing = PydanticAgent(model, name="adder", toolsets=[over_stdio(Path(os.devnull))], capabilities=[Durability()])
    await MemoryRun(Journal()).drive(lambda: existing.run("go"))
    assert "Error executing tool add" in repr(model.requests[1].messages[-1])
    assert told(model) == [3]


async def test_a_server_that_is_away_is_tried_again_and_then_a_clear_error_after_which_the_run_can_go_on(tmp_path: Path) -> None:
    notes, model = tmp_path / "notes", scripted_model(SUM, [text("3")])
    async with serving(notes) as port:
        pass
    adder = Agent("adder", model=model, toolsets=[over_http(port)])
    away = MemoryRun(Journal())
    with pytest.raises(ToolServerUnreachable, match="'sums' cannot be reached"):
        await away.drive(lambda: adder.plain("go"))
    assert len(away.delays) == 4
    async with serving(notes, port):
        assert await MemoryRun(away.journal).drive(lambda: adder.plain("go")) == "3"


async def test_a_session_that_broke_is_opened_anew_and_the_call_in_flight_is_not_repeated(tmp_path: Path) -> None:
    async def pace(kind: str) -> None:
        if kind == "call" and len(model.requests) == 2:
            for one in psutil.Process().children(recursive=True):
                if "tests.agents.mcp_server" in one.cmdline():
                    one.send_signal(signal.SIGKILL)
                    psutil.wait_procs([one], timeout=10)

    notes = tmp_path / "notes"
    second, third = [call("add", {"a": 2, "b": 2}, id="c2")], [call("add", {"a": 3, "b": 2}, id="c3")]
    model = scripted_model(SUM, second, third, [text("5")], pace=pace)
    adder = Agent("adder", model=model, toolsets=[over_stdio(notes)])
    assert await MemoryRun(Journal()).drive(lambda: adder.plain("go")) == "5"
    assert "Connection closed" in repr(model.requests[2].messages[-1])
    assert told(model) == [5]
    assert notes.read_text() == "1+2\n3+2\n"
