"""What pydantic-ai's documentation of durable agents shows, for each engine that it shows it for, with only the capability and the
decorator of the workflow changed: https://pydantic.dev/docs/ai/capabilities/durable_execution/."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import Agent, BinaryContent, FunctionToolset, RunContext
from pydantic_ai.capabilities import Capability, DynamicCapability, Hooks, ProcessEventStream, RequestInput, ResolveModelId, SetToolMetadata
from pydantic_ai.messages import (
    AgentStreamEvent,
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    PartDeltaEvent,
    TextPartDelta,
)
from pydantic_ai.models import Model, ModelResolutionContext
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults

from agentflow import Retry, context, step, task
from agentflow.agents.durability import Durability
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, Turn, call, scripted_model, text
from tests.agents.crashing import survived
from tests.agents.memory import Journal, MemoryRun

CAPITAL = "Mexico City (Ciudad de México, CDMX)"


def geography(*turns: Turn, **options: Any) -> Agent[Any, str]:
    """The agent of the examples."""
    model = scripted_model(*(turns or ([text(CAPITAL)],)))
    capabilities = [Durability(**options.pop("durability", {})), *options.pop("capabilities", ())]
    return Agent(model, instructions="You're an expert in geography.", name="geography", capabilities=capabilities, **options)


async def test_an_agent_that_is_called_in_a_workflow_is_durable(engine: Engine) -> None:
    agent = geography()

    @task
    async def geography_workflow(question: str) -> str:
        result = await agent.run(question)
        return result.output

    run = await engine.start(geography_workflow, "What is the capital of Mexico?")
    assert await run.result() == CAPITAL
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["geography#0/turn:1"]
    assert (await agent.run("And outside of a workflow?")).output == CAPITAL


async def test_a_workflow_that_goes_on_after_a_crash_asks_the_model_nothing_again(engine: Engine) -> None:
    model = scripted_model([text("one")], [text("two")])
    agent = Agent(model, name="resuming", capabilities=[Durability()])

    @task
    async def resuming_workflow() -> str:
        first = await agent.run("first")
        await context().wait("pause", _pause())
        second = await agent.run("second", message_history=first.all_messages())
        return f"{first.output} {second.output}"

    run = await engine.start(resuming_workflow)
    [pause] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.answer(pause.id, True, by="test")
    assert await run.result() == "one two"
    assert len(model.requests) == 2


def _pause() -> Any:
    from agentflow.engine.context import WaitRequest
    from agentflow.records import WaitKind

    return WaitRequest(kind=WaitKind.CALLBACK)


async def test_a_handler_of_the_capability_hears_each_event_once_and_a_replay_is_silent(engine: Engine) -> None:
    heard: list[str] = []

    async def event_stream_handler(ctx: RunContext[Any], stream: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in stream:
            if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                heard.append(event.delta.content_delta)
            elif isinstance(event, FunctionToolCallEvent):
                heard.append(f"calls {event.part.tool_name}")
            elif isinstance(event, FunctionToolResultEvent):
                heard.append(f"got {event.part.content}")

    agent = geography(
        [call("population", {"city": "Mexico City"}, id="c1")], [text(CAPITAL)], durability={"event_stream_handler": event_stream_handler}
    )

    @agent.tool_plain
    async def population(city: str) -> int:
        return 9_209_944

    @task
    async def heard_workflow() -> str:
        output = (await agent.run("go")).output
        await context().wait("pause", _pause())
        return output

    run = await engine.start(heard_workflow)
    [pause] = await engine.waiting(run)
    before = list(heard)
    await engine.crash()
    await engine.app.waitpoints.answer(pause.id, True, by="test")
    assert await run.result() == CAPITAL
    assert heard == before
    assert heard[:2] == ["calls population", "got 9209944"]
    assert "".join(heard[2:]) in CAPITAL
    events = [entry.key for entry in await engine.app.runs.journal(run.id) if "EventStreamHandler" in entry.key]
    assert len(events) == 2


async def test_a_handler_of_the_run_and_process_event_stream_hear_what_was_recorded(engine: Engine) -> None:
    heard: list[type[Any]] = []

    async def handler(ctx: RunContext[Any], stream: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in stream:
            heard.append(type(event))

    streaming = geography(capabilities=[ProcessEventStream(handler)])

    @task
    async def streaming_workflow() -> str:
        async with streaming.run_stream("go") as streamed:
            told = await streamed.get_output()
        return f"{told} {(await streaming.run('go', event_stream_handler=handler)).output}"

    assert await (await engine.start(streaming_workflow)).result() == f"{CAPITAL} {CAPITAL}"
    assert FinalResultEvent in heard


@dataclass
class User:
    """Whom the agent works for."""

    key: str


async def test_a_model_is_chosen_for_a_run_by_its_name_or_built_from_its_deps() -> None:
    built: list[str] = []
    usual, fast, own = scripted_model([text("usual")]), scripted_model([text("fast")]), scripted_model([text("own")])

    def resolve(ctx: ModelResolutionContext[User], model_id: str) -> Model | None:
        if model_id != "own":
            return None
        built.append(ctx.deps.key)
        return own

    capabilities: list[Any] = [ResolveModelId(resolve), Durability(models={"fast": fast})]
    agent = Agent(usual, name="choosing", deps_type=User, capabilities=capabilities)

    async def asked() -> list[str]:
        user = User("secret")
        return [(await agent.run("go", deps=user, **which)).output for which in _choices(fast)]

    assert (await survived(asked, usual, fast, own))[0] == ["usual", "fast", "fast", "own"]
    assert set(built) == {"secret"}


def _choices(fast: Model) -> list[dict[str, Any]]:
    return [{}, {"model": "fast"}, {"model": fast}, {"model": "own"}]


async def test_tools_are_configured_one_by_one_and_together() -> None:
    tries: dict[str, int] = {}
    toolset: FunctionToolset[Any] = FunctionToolset(id="research")

    @toolset.tool_plain(metadata={"agentflow": {"retry": Retry(attempts=2, initial="1ms"), "timeout": "10s"}})
    def fetch_data(url: str) -> str:
        tries[url] = tries.get(url, 0) + 1
        if tries[url] == 1:
            raise ConnectionError("away")
        return f"data of {url}"

    @toolset.tool_plain
    async def note(words: str) -> str:
        return words

    model = scripted_model([call("fetch_data", {"url": "a"}, id="c1"), call("note", {"words": "hm"}, id="c2")], [text("done")])
    quick = SetToolMetadata(tools=["note"], agentflow=False)
    agent = Agent(model, name="researcher", toolsets=[toolset], capabilities=[Durability(), quick])

    run = MemoryRun(Journal())
    assert (await run.drive(lambda: agent.run("go"))).output == "done"
    assert (tries, len(run.delays)) == ({"a": 2}, 1)
    keys = sorted(key for key in run.journal.results if ":c" in key)
    assert keys == ["researcher#0/turn:1/fetch_data:c1", "researcher#0/turn:1/note:c2/told"]


async def test_tools_of_a_capability_are_steps_and_a_dynamic_one_is_made_from_the_deps() -> None:
    async def capital_of(country: str) -> str:
        return f"capital of {country}"

    def for_user(ctx: RunContext[User]) -> Capability[User]:
        return Capability(id="user", tools=[capital_of], instructions=f"Key {ctx.deps.key}.")

    for capability in (Capability(id="geo", tools=[capital_of]), DynamicCapability(for_user, id="user-tools")):
        model = scripted_model([call("capital_of", {"country": "Mexico"}, id="c1")], [text(CAPITAL)])
        agent = Agent(model, name="capable", deps_type=User, capabilities=[Durability(), capability])

        async def asked(agent: Agent[User, str] = agent) -> str:
            return (await agent.run("go", deps=User("k"))).output

        output, journal = await survived(asked, model)
        assert output == CAPITAL
        assert "capable#0/turn:1/capital_of:c1" in journal.results


async def test_an_agent_that_a_tool_of_another_runs_is_recorded_with_its_tool(engine: Engine) -> None:
    inner_model = scripted_model([text(CAPITAL)])
    inner = Agent(inner_model, name="inner", capabilities=[Durability()])
    model = scripted_model([call("consult", {"question": "capital?"}, id="c1")], [text("done")])
    agent = Agent(model, name="outer", capabilities=[Durability()])

    @agent.tool
    async def consult(ctx: RunContext[Any], question: str) -> str:
        return (await inner.run(question, usage=ctx.usage)).output

    async def asked() -> str:
        return (await agent.run("go")).output

    assert (await survived(asked, model))[0] == "done"

    @task
    async def delegating_workflow() -> str:
        return await asked()

    assert await (await engine.start(delegating_workflow)).result() == "done"


async def test_a_person_is_asked_by_a_message_and_the_workflow_waits(engine: Engine) -> None:
    posted: list[tuple[str, list[str]]] = []

    async def post_to_slack(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults | None:
        posted.append((token, [one.tool_name for one in requests.approvals]))
        return None

    agent = geography(
        [call("rename_city", {"name": "Tenochtitlan"}, id="c1")],
        [text("renamed")],
        capabilities=[RequestInput(post_to_slack, timeout=timedelta(days=3), name="rename")],
    )

    @agent.tool_plain(requires_approval=True)
    async def rename_city(name: str) -> str:
        return await renamed(name)

    @task
    async def renaming_workflow() -> str:
        return (await agent.run("go")).output

    run = await engine.start(renaming_workflow)
    await engine.waiting(run)
    await engine.crash()
    [(token, tools)] = posted
    denied = {"approvals": {"c1": {"kind": "tool-denied", "message": "Never."}}, "calls": {}}
    await engine.app.waitpoints.answer(token, denied, by="slack")
    assert await run.result() == "renamed"
    assert tools == ["rename_city"]


@step
async def renamed(name: str) -> str:
    """Rename a city."""
    raise AssertionError(name)


async def test_hooks_of_a_run_run_again_and_what_they_guard_does_not(engine: Engine) -> None:
    seen: list[str] = []
    hooks: Hooks[Any] = Hooks()

    @hooks.on.before_tool_execute
    async def before(ctx: RunContext[Any], *, call: Any, tool_def: Any, args: Any) -> Any:
        seen.append(call.tool_name)
        return args

    agent = geography([call("population", {"city": "x"}, id="c1")], [text(CAPITAL)], capabilities=[hooks])
    ran: list[str] = []

    @agent.tool_plain
    async def population(city: str) -> int:
        ran.append(city)
        return 1

    @task
    async def hooked_workflow() -> str:
        output = (await agent.run("go")).output
        await context().wait("pause", _pause())
        return output

    run = await engine.start(hooked_workflow)
    [pause] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.answer(pause.id, True, by="test")
    assert await run.result() == CAPITAL
    assert (seen, ran) == (["population", "population"], ["x"])


async def test_what_cannot_be_stored_is_an_error_and_large_content_can(engine: Engine) -> None:
    picture = BinaryContent(b"\xff" * 300_000, media_type="image/png")
    agent = geography([call("map_of", {"city": "x"}, id="c1")], [text(CAPITAL)])

    @agent.tool_plain
    async def map_of(city: str) -> BinaryContent:
        return picture

    async def asked() -> str:
        return (await agent.run(["Where?", picture])).output

    assert isinstance(agent.model, ScriptedModel)
    assert (await survived(asked, agent.model))[0] == CAPITAL
    odd = geography([call("thing", id="c1")], [text(CAPITAL)])

    @odd.tool_plain
    async def thing() -> Any:
        return object()

    @task
    async def odd_workflow() -> str:
        return (await odd.run("go")).output

    with pytest.raises(Exception, match="cannot be stored"):
        await (await engine.start(odd_workflow)).result()
