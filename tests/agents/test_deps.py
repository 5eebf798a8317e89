"""What tools need and no record can hold, and who else has the word in a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage

from agentflow import Agent, ai, context, step, task
from agentflow.agents.durability import Durability
from agentflow.errors import DefinitionError, RunFailed
from agentflow.handle import RunHandle
from agentflow.serde import ANY
from agentflow.streams.events import ChildStarted, ToolInput, ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import Said, call, scripted_model, text
from tests.agents.crashing import survived


@dataclass
class Shop:
    """A connection, which nothing can store."""

    number: int
    open: bool = True


made: list[Shop] = []


@asynccontextmanager
async def shop() -> AsyncGenerator[Shop]:
    made.append(Shop(len(made) + 1))
    yield made[-1]
    made[-1].open = False


async def stock(ctx: RunContext[Shop], item: str) -> str:
    """How much there is."""
    assert ctx.deps.open
    return f"shop {ctx.deps.number} has {item}"


@step
async def sell(item: str) -> str:
    """Sell an item."""
    return f"sold {item}"


def greeting(ctx: RunContext[Shop]) -> str:
    return f"You work in shop {ctx.deps.number}."


async def test_deps_are_made_anew_by_the_worker_that_takes_a_run_over_and_closed_when_it_ends(engine: Engine) -> None:
    made.clear()
    turns = [[call("stock", {"item": "tea"}, id="c1")], [call("sell", {"item": "tea"}, id="c2")], [call("stock", {"item": "rum"}, id="c3")]]
    model = scripted_model(*turns, [text("done")])
    clerk = Agent("clerk", model=model, deps=shop, instructions=["Be brief.", greeting], tools=[stock, ai.tool(sell, approval=True)])
    run = await engine.start(clerk, "go")
    [waiting] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result() == "done"
    assert [one.number for one in made] == [1, 2]
    assert not made[-1].open
    assert "shop 1 has tea" in repr(model.requests[1].messages)
    assert "shop 2 has rum" in repr(model.requests[3].messages)
    assert model.requests[0].instructions == "Be brief.\n\nYou work in shop 1."
    assert "shop" not in (await engine.get(run)).input


async def test_deps_may_be_any_function() -> None:
    async def later() -> Shop:
        return Shop(7)

    for number, factory in ((7, later), (8, lambda: Shop(8))):
        model = scripted_model([call("stock", {"item": "tea"}, id="c1")], [text("done")])
        clerk = Agent("clerk", model=model, deps=factory, tools=[stock])
        assert (await survived(lambda one=clerk: one.plain("go"), model))[0] == "done"
        assert f"shop {number} has tea" in repr(model.requests[1].messages)


async def test_an_agent_of_pydantic_ai_is_given_its_deps_by_the_task_around_it(engine: Engine) -> None:
    model = scripted_model([call("stock", {"item": "tea"}, id="c1")], [text("done")])
    existing = PydanticAgent(model, name="clerk", deps_type=Shop, tools=[stock], capabilities=[Durability()])

    @task
    async def serves_a_shop() -> str:
        return (await existing.run("go", deps=Shop(3))).output

    assert await (await engine.start(serves_a_shop)).result() == "done"
    assert "shop 3 has tea" in repr(model.requests[1].messages)


class Bill(BaseModel):
    cents: int


def spoken(messages: list[ModelMessage]) -> str:
    return repr([part for message in messages for part in message.parts])


async def test_the_conversation_goes_on_with_the_agent_that_it_is_handed_to(engine: Engine) -> None:
    asked = scripted_model([call("transfer_to_billing", id="c1")])
    billed = scripted_model([], [call("sell", {"item": "tea"}, id="c2")], [call("final_result", {"cents": 5}, id="c3")])
    billing = Agent("billing", model=billed, instructions="You bill.", tools=[sell], output=Bill)
    triage = Agent("triage", model=asked, instructions="You sort.", tools=[ai.handoff(billing, description="For bills.")])
    run = await engine.start(triage, "What do I owe?")
    assert await run.result() == Bill(cents=5)
    assert (len(asked.requests), len(billed.requests)) == (1, 2)
    assert asked.requests[0].tools == ["transfer_to_billing"]
    assert billed.requests[0].instructions == "You bill."
    assert "What do I owe?" in spoken(billed.requests[0].messages)
    assert "billing has the word now." in spoken(billed.requests[0].messages)
    events = [stored.event for stored in await engine.events(run)]
    assert [event.name for event in events if isinstance(event, ToolInput)] == ["transfer_to_billing", "sell"]
    assert [event.output for event in events if isinstance(event, ToolOutput)] == [{"agent": "billing"}, "sold tea"]
    keys = [entry.key for entry in await engine.app.runs.journal(run.id)]
    assert keys == ["triage#0/turn:1", "handoff#0", "billing#0/turn:1", "billing#0/turn:1/sell:c2", "billing#0/turn:2"]


async def test_a_hand_off_survives_a_crash_behind_each_record() -> None:
    asked, answered = scripted_model([call("transfer_to_expert", id="c1")]), scripted_model([], [text("42")])
    expert = Agent("expert", model=answered)
    triage = Agent("triage", model=asked, tools=[ai.handoff(expert)])
    assert (await survived(lambda: triage.plain("why?"), asked, answered))[0] == "42"


async def test_agents_may_hand_over_to_each_other_within_their_turns(engine: Engine) -> None:
    def over(name: str) -> list[Said]:
        return [call(f"transfer_to_{name}")]

    first = Agent("ping", model=scripted_model(*[over("pong")] * 9), tools=[ai.handoff("pong")], turns=4)
    second = Agent("pong", model=scripted_model(*[over("ping")] * 9), tools=[ai.handoff(first)])
    assert second.name == "pong"
    with pytest.raises(RunFailed, match="used 4 of 4 model calls"):
        await (await engine.start(first, "go")).result()
    lost = Agent("lost", model=scripted_model([call("transfer_to_nobody")]), tools=[ai.handoff("nobody")])
    with pytest.raises(DefinitionError, match="no agent 'nobody'"):
        await lost.plain("go")


async def test_a_thread_keeps_what_all_of_them_said(engine: Engine) -> None:
    asked = scripted_model([call("transfer_to_expert", id="c1")], [], [text("as my colleague said")])
    answered = scripted_model([], [text("forty-two")])
    triage = Agent("triage", model=asked, tools=[ai.handoff(Agent("expert", model=answered))])
    assert await (await engine.start(triage.using(thread="t-9"), "why?")).result() == "forty-two"
    assert await (await engine.start(triage.using(thread="t-9"), "really?")).result() == "as my colleague said"
    told = spoken(await engine.app.thread("t-9").history())
    assert [told.count(words) for words in ("why?", "expert has the word now.", "forty-two", "really?", "as my colleague said")] == [1] * 5


@task
async def parcel_of(order: str) -> str:
    """Find an order."""
    context().metadata["order"] = order
    return f"{order} left"


async def test_a_sub_agent_is_a_child_run_that_is_started_once_whatever_crashes(engine: Engine) -> None:
    knows = scripted_model([call("parcel_of", {"order": "o-1"}, id="k1")], [text("it left")])
    finder = Agent("parcel_finder", model=knows, tools=[ai.tool(parcel_of, approval=True)], description="Finds orders.")
    model = scripted_model([call("parcel_finder", {"prompt": "o-1?"}, id="c1")], [text("your order left")])
    support = Agent("support", model=model, tools=[finder])
    run = await engine.start(support, "Where is o-1?")
    await engine.waiting(run)
    [started] = [stored.event for stored in await engine.events(run) if isinstance(stored.event, ChildStarted)]
    await engine.waiting(RunHandle(started.run, engine.app.verbs, ANY), kind="approval")
    await engine.crash()
    [question] = await engine.app.runs.waiting_for(started.run)
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == "your order left"
    assert (len(knows.requests), len(model.requests), engine.calls(parcel_of)) == (2, 2, 1)
    assert started.call == "c1"
