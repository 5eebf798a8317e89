"""The arguments that a person agreed to are those that run, and a no that stops lets nothing more begin."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.toolsets import FunctionToolset, ToolsetTool, WrapperToolset

from agentflow import Agent, Approval, Durability, ai, task
from agentflow.agents.approval import ToolCall, seal
from agentflow.errors import InvalidAnswer, RunCancelled, WaitpointTimedOut
from agentflow.serde import loads
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text
from tests.agents.loops import LOOPS, Make


@pytest.fixture(params=LOOPS, ids=lambda make: make.__name__)
def loop(request: pytest.FixtureRequest) -> Make:
    """Who asks for the calls."""
    return request.param


class Doubling(AbstractCapability[Any]):
    """A hook that changes the arguments of a call on their way to the tool."""

    factor = 2

    async def before_tool_execute(self, ctx: RunContext[Any], *, call: Any, tool_def: Any, args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "cents": args["cents"] * self.factor}


class Rounding(WrapperToolset[Any]):
    """A toolset around a tool, inside of all that asks people."""

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        return await super().call_tool(name, {**tool_args, "cents": tool_args["cents"] // 100 * 100}, ctx, tool)


paid: list[int] = []
sent: list[str] = []


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    paid.clear()
    sent.clear()


async def send(order: str, cents: int) -> str:
    """Send money for an order."""
    sent.append(order)
    return f"sent {cents}"


async def give(cents: int) -> str:
    """Give money."""
    paid.append(cents)
    return f"gave {cents}"


async def test_a_hook_before_the_question_is_part_of_what_people_see(engine: Engine) -> None:
    model = scripted_model([call("give", {"cents": 5}, id="c1")], [text("done")])
    giver = Agent("consent-hook", model=model, tools=[ai.tool(give, approval=True)], capabilities=[Doubling()])
    run = await engine.start(giver, "go")
    [question] = await engine.waiting(run)
    assert loads(question.record.subject)["body"] == {"cents": 10}
    await question.approve(by="maria")
    assert await run.result() == "done"
    assert paid == [10]


async def test_arguments_that_a_toolset_changes_after_the_yes_are_asked_about_and_run_as_seen(engine: Engine) -> None:
    model = scripted_model([call("give", {"cents": 1_050}, id="c1")], [text("done")])
    tool = ai.tool(give, approval=Approval(groups=["finance"])).to_pydantic_ai()
    giver = Agent("consent-wrapped", model=model, toolsets=[Rounding(FunctionToolset([tool], id="money"))])
    run = await engine.start(giver, "go")
    [first] = await engine.waiting(run)
    await first.approve(by="maria")
    [second] = await engine.waiting(run)
    asked = loads(second.record.subject)
    assert (asked["body"], asked["supersedes"], asked["groups"]) == ({"cents": 1_000}, first.id, ["finance"])
    assert asked["digest"] != loads(first.record.subject)["digest"]
    assert paid == []
    await engine.crash()
    await second.approve(by="maria")
    assert await run.result() == "done"
    assert paid == [1_000]


async def test_a_no_to_the_changed_arguments_is_a_no_and_other_ones_run_as_they_were_written(engine: Engine) -> None:
    model = scripted_model([call("give", {"cents": 1_050}, id="c1"), call("give", {"cents": 2_050}, id="c2")], [text("done")])
    tool = ai.tool(give, approval=True).to_pydantic_ai()
    giver = Agent("consent-rewritten", model=model, toolsets=[Rounding(FunctionToolset([tool], id="money"))])
    run = await engine.start(giver, "go")
    for question in await engine.waiting(run, 2):
        await question.approve(by="maria")
    small, large = sorted(await engine.waiting(run, 2), key=lambda one: loads(one.record.subject)["body"]["cents"])
    await small.deny(by="maria")
    await large.approve(by="maria", edits={"cents": 1_999})
    assert await run.result() == "done"
    assert paid == [1_999], "what a person wrote is changed by nobody"


async def test_hooks_around_a_tool_of_pydantic_ai_supersede_the_approval_that_came_before_them(engine: Engine) -> None:
    model = scripted_model([call("give", {"cents": 5}, id="c1")], [text("done")])
    existing = PydanticAgent(model, name="consent-deferred", capabilities=[Durability(), Doubling()])
    existing.tool_plain(requires_approval=True)(give)

    @task(name="consent-deferred-task")
    async def gives() -> str:
        return (await existing.run("go")).output

    run = await engine.start(gives)
    [first] = await engine.waiting(run)
    assert loads(first.record.subject)["body"] == {"cents": 5}
    await first.approve(by="maria")
    [second] = await engine.waiting(run)
    asked = loads(second.record.subject)
    assert (asked["body"], asked["supersedes"], paid) == ({"cents": 10}, first.id, [])
    await second.approve(by="maria")
    assert await run.result() == "done"
    assert paid == [10]


async def test_a_deploy_that_changes_the_schema_of_a_tool_asks_again(engine: Engine) -> None:
    def made(function: Any) -> Agent[str]:
        model = scripted_model([call("give", {"cents": 5}, id="c1")], [text("done")])
        return Agent("consent-deployed", model=model, tools=[ai.tool(function, name="give", approval=True)])

    async def give_in_euro(cents: int, currency: str = "EUR") -> str:
        """Give money."""
        paid.append(cents)
        return f"gave {cents} {currency}"

    run = await engine.start(made(give), "go")
    [first] = await engine.waiting(run)
    await engine.stop()
    await engine.go_on({"consent-deployed": made(give_in_euro)})
    await first.approve(by="maria")
    [second] = await engine.waiting(run)
    assert loads(second.record.subject)["supersedes"] == first.id
    assert paid == []
    await second.approve(by="maria")
    assert await run.result() == "done"
    assert paid == [5]


def test_a_seal_is_of_tool_schema_arguments_and_target_and_not_of_the_order_of_names() -> None:
    one = ToolCall("c1", "give", "agent", {}, {"a": 1, "b": 2}, {"type": "object"}, "task:give")
    same = ToolCall("c2", "give", "other", {"a": 1}, {"b": 2, "a": 1}, {"type": "object"}, "task:give", supersedes="wp_1")
    assert seal(one) == seal(same)
    others = [
        ToolCall("c1", "take", "agent", {}, one.shown, one.schema, one.target),
        ToolCall("c1", "give", "agent", {}, {"a": True, "b": 2}, one.schema, one.target),
        ToolCall("c1", "give", "agent", {}, one.shown, {"type": "object", "title": "x"}, one.target),
        ToolCall("c1", "give", "agent", {}, one.shown, one.schema, "task:give-2"),
    ]
    assert len({seal(one), *map(seal, others)}) == 5


async def test_an_edit_cannot_switch_the_tool(engine: Engine) -> None:
    model = scripted_model([call("give", {"cents": 5}, id="c1")], [text("done")])
    giver = Agent("consent-switch", model=model, tools=[ai.tool(give, approval=True), ai.tool(send)])
    run = await engine.start(giver, "go")
    [question] = await engine.waiting(run)
    for edits in ({"tool": "send", "cents": 5}, {"cents": 5, "order": "o-1"}):
        with pytest.raises(InvalidAnswer):
            await question.approve(by="maria", edits=edits)
    with pytest.raises(InvalidAnswer):
        await engine.app.waitpoints.answer(question.id, {"approved": True, "tool": "send"}, by="maria")
    await question.approve(by="maria")
    assert await run.result() == "done"
    assert (paid, sent) == ([5], [])


# -- a no that stops ---------------------------------------------------------------------------------------------------------------------


async def test_a_no_that_stops_ends_the_run_and_supersedes_what_else_it_asks(engine: Engine, loop: Make) -> None:
    calls = [("send", {"order": f"o-{n}", "cents": n}) for n in (1, 2, 3)]
    made = loop([ai.tool(send, approval=True)], calls)
    run = await engine.start(made.task, "go")
    first, second, third = await engine.waiting(run, 3, kind="approval")
    await second.deny(by="ana", reason="wrong customer", stop=True)
    for late in (first, third):
        with pytest.raises(WaitpointTimedOut) as told:
            await late.approve(by="maria")
        assert "ana stopped its run" in told.value.message
    with pytest.raises(RunCancelled, match="ana stopped it: wrong customer"):
        await run.result()
    assert sent == []
    assert made.told == [], "the model is asked no more"


async def test_a_stop_survives_the_worker_and_is_for_tool_calls_that_are_denied(engine: Engine) -> None:
    model = scripted_model([call("send", {"order": "o-1", "cents": 1}, id="c1")])
    run = await engine.start(Agent("consent-stopped", model=model, tools=[ai.tool(send, approval=True)]), "go")
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer):
        await engine.app.waitpoints.answer(question.id, {"approved": True, "stop": True}, by="ana")
    await engine.crash()
    await question.deny(by="ana", stop=True)
    with pytest.raises(RunCancelled, match="ana stopped it"):
        await run.result()
    assert len(model.requests) == 1
