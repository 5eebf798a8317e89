"""Toolsets of every kind are steps, also those that come after construction: dynamic, prepared, filtered, renamed, combined, deferred."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import CombinedToolset, FunctionToolset, RunContext, Tool, ToolDefinition
from pydantic_ai.capabilities import SetToolMetadata
from pydantic_ai.tools import ToolSelector
from pydantic_ai.toolsets import AbstractToolset, DynamicToolset

from agentflow import Agent, step, task
from agentflow.agents.durability import Durability
from agentflow.errors import DefinitionError
from agentflow.retry import Retry
from agentflow.streams.events import ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text
from tests.agents.crashing import survived
from tests.agents.memory import Journal, MemoryRun

seen: list[str] = []


async def look_up(order: str) -> str:
    """Find an order."""
    seen.append(order)
    return f"{order} left"


def shop(id: str = "shop") -> FunctionToolset[Any]:
    return FunctionToolset([look_up], id=id)


def asks(tool: str = "look_up") -> ScriptedModel:
    return scripted_model([call(tool, {"order": "o-1"}, id="c1")], [text("it left")])


def dynamic(ctx: RunContext[Any]) -> AbstractToolset[Any]:
    return shop()


async def only(ctx: RunContext[Any], found: list[ToolDefinition]) -> list[ToolDefinition]:
    return [one for one in found if one.name == "look_up"]


OF_EVERY_KIND: list[tuple[AbstractToolset[Any], str]] = [
    (shop(), "look_up"),
    (shop().prefixed("shop"), "shop_look_up"),
    (shop().renamed({"find": "look_up"}), "find"),
    (shop().filtered(lambda ctx, tool: True), "look_up"),
    (shop().prepared(only), "look_up"),
    (CombinedToolset([shop(), FunctionToolset(id="other")]), "look_up"),
    (DynamicToolset(dynamic, id="dynamic"), "look_up"),
]


@pytest.mark.parametrize(
    ("toolset", "tool"),
    OF_EVERY_KIND,
    ids=["function", "prefixed", "renamed", "filtered", "prepared", "combined", "dynamic"],
)
async def test_a_call_of_any_toolset_is_one_step_and_survives_a_crash_anywhere(toolset: AbstractToolset[Any], tool: str) -> None:
    model = asks(tool)
    output, journal = await survived(lambda: Agent("clerk", model=model, toolsets=[toolset]).plain("go"), model)
    assert output == "it left"
    assert [key for key in journal.results if key.endswith(":c1")] == ["clerk#0/turn:1/look_up:c1"]
    assert [event.output for event in journal.of(ToolOutput)] == ["o-1 left"]


async def test_toolsets_that_come_after_construction_are_steps_too(engine: Engine) -> None:
    seen.clear()
    model = scripted_model([call("look_up", {"order": "o-1"}, id="c1"), call("late_look_up", {"order": "o-2"}, id="c2")], [text("both")])
    existing = PydanticAgent(model, name="clerk", capabilities=[Durability()])

    @existing.toolset(id="decorated")
    def decorated(ctx: RunContext[Any]) -> AbstractToolset[Any]:
        return shop("inner")

    async def asked() -> str:
        return (await existing.run("go", toolsets=[shop("late").prefixed("late")])).output

    output, journal = await survived(asked, model)
    assert output == "both"
    assert [key for key in journal.results if ":c" in key] == ["clerk#0/turn:1/look_up:c1", "clerk#0/turn:1/look_up:c2"]

    @task
    async def looks_late() -> str:
        return await asked()

    seen.clear()
    assert await (await engine.start(looks_late)).result() == "both"
    assert sorted(seen) == ["o-1", "o-2"]


async def test_a_dynamic_toolset_without_an_id_is_an_error_that_says_so() -> None:
    existing = PydanticAgent(asks(), name="clerk", capabilities=[Durability()])

    @existing.toolset
    def nameless(ctx: RunContext[Any]) -> AbstractToolset[Any]:
        return shop()

    with pytest.raises(DefinitionError, match="no id"):
        await MemoryRun(Journal()).drive(lambda: existing.run("go"))


async def test_tools_that_are_loaded_when_they_are_searched_for_are_found_again_on_replay() -> None:
    def search(messages: Any) -> Any:
        return [call("search_tools", {"queries": ["order"]}, id="s1")]

    model = scripted_model(search, [call("look_up", {"order": "o-1"}, id="c1")], [text("it left")])
    deferred = FunctionToolset([Tool(look_up, defer_loading=True)], id="deferred")
    one = Agent("searching", model=model, toolsets=[deferred])
    output, journal = await survived(lambda: one.plain("go"), model)
    assert output == "it left"
    assert "searching#0/turn:2/look_up:c1" in journal.results


@step
async def booked(order: str) -> str:
    """Book an order."""
    return f"booked {order}"


@task
async def carried_by_agent(order: str) -> str:
    """Carry an order."""
    return f"carried {order}"


async def carry(order: str) -> str:
    """Carry an order, in the agent's own code."""
    return f"{await booked(order)} and {await carried_by_agent(order)}"


async def test_metadata_turns_the_step_around_a_tool_off_and_its_own_steps_and_tasks_are_recorded(engine: Engine) -> None:
    model = asks("carry")
    selector: ToolSelector[Any] = ["carry"]
    tools = [Tool(carry)]
    capabilities = [SetToolMetadata(tools=selector, agentflow=False)]
    run = await engine.start(Agent("carrier", model=model, tools=tools, capabilities=capabilities), "go")
    assert await run.result() == "it left"
    assert (engine.calls(booked), engine.calls(carried_by_agent)) == (1, 1)
    keys = [entry.key for entry in await engine.app.runs.journal(run.id)]
    assert "carrier#0/turn:1/carry:c1" not in keys
    assert [event.output for stored in await engine.events(run) if isinstance(event := stored.event, ToolOutput)] == [
        "booked o-1 and carried o-1"
    ]


async def test_metadata_says_how_the_tools_of_a_whole_toolset_are_tried() -> None:
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("away")
        return "fine"

    model = scripted_model([call("flaky", id="c1")], [text("done")])
    toolset = FunctionToolset([flaky], id="flaky").with_metadata(agentflow={"retry": Retry(attempts=3), "timeout": "5s"})
    run = MemoryRun(Journal())
    assert await run.drive(lambda: Agent("trying", model=model, toolsets=[toolset]).plain("go")) == "done"
    assert (len(tries), len(run.delays)) == (3, 2)
