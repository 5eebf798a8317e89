"""What an agent waits for without a slot: people, events from outside, results of external tools, a model that works in the background."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ExternalToolset, ToolDefinition
from pydantic_ai.capabilities import RequestInput
from pydantic_ai.external_events import wait_for_external_event
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolReturnPart
from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext
from pydantic_ai.usage import RequestUsage

from agentflow import Agent, ai, step, task
from agentflow.agents.answers import edited
from agentflow.agents.durability import Durability
from agentflow.records import RunState, WaitKind
from agentflow.streams.events import ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text

pytestmark = pytest.mark.both_databases


@step
async def transfer(account: str, cents: int) -> str:
    """Send money."""
    return f"{cents} to {account}"


@task
async def ship_when_asked(order: str) -> str:
    """Ship an order."""
    return f"shipped {order}"


def returned(model: ScriptedModel) -> dict[str, Any]:
    """What the model was told of its calls, by their ids."""
    return {part.tool_call_id: part.content for part in model.requests[-1].messages[-1].parts if isinstance(part, ToolReturnPart)}


async def test_two_tools_of_one_turn_wait_and_are_answered_in_reverse_after_a_restart_each_at_its_own_call(engine: Engine) -> None:
    model = scripted_model(
        [call("transfer", {"account": "a", "cents": 1}, id="c1"), call("ship_when_asked", {"order": "o-1"}, id="c2")], [text("done")]
    )
    one = Agent("cashier", model=model, tools=[ai.tool(transfer, approval=True), ai.tool(ship_when_asked, approval=True)])
    run = await engine.start(one, "go")
    asked = {one.record.key: one for one in await engine.waiting(run, 2)}
    first, second = asked["cashier#0/turn:1/transfer:c1/approval"], asked["cashier#0/turn:1/ship_when_asked:c2/approval"]
    await engine.crash()
    await engine.app.waitpoints.approve(second.id, by="maria")
    await engine.waiting(run, 1)
    await engine.crash()
    await engine.app.waitpoints.approve(first.id, by="otto", edits={"account": "a", "cents": 2})
    assert await run.result() == "done"
    changed = edited("transfer", {"account": "a", "cents": 2})
    assert returned(model) == {"c1": f"2 to a\n\n{changed}", "c2": "shipped o-1"}
    assert (engine.calls(ship_when_asked), len(model.requests)) == (1, 2)


async def test_a_tool_of_pydantic_ai_that_needs_approval_says_what_a_person_changed(engine: Engine) -> None:
    model = scripted_model(
        [call("pay", {"cents": cents}, id=f"c{cents}") for cents in (5, 7)], [call("pay", {"cents": 5}, id="c5")], [text("done")]
    )
    existing = PydanticAgent(model, name="paying", capabilities=[Durability()])

    @existing.tool_plain(requires_approval=True)
    async def pay(cents: int) -> str:
        return f"paid {cents}"

    @task
    async def pays() -> str:
        return (await existing.run("go")).output

    run = await engine.start(pays)
    asked = {one.record.key: one for one in await engine.waiting(run, 2)}
    await asked["paying#0/turn:1/pay:c7/approval"].approve(by="maria", edits={"cents": 7})
    await asked["paying#0/turn:1/pay:c5/approval"].approve(by="maria", edits={"cents": 4})
    [again] = await engine.waiting(run)
    await engine.crash()
    changed = edited("pay", {"cents": 4})
    assert returned(model) == {"c5": f"paid 4\n\n{changed}", "c7": "paid 7"}
    await again.approve(by="maria")
    assert await run.result() == "done"
    assert returned(model) == {"c5": "paid 5"}, "the id is another call's in another turn"


async def test_an_answer_from_outside_that_an_agent_asked_for_survives_a_crash_and_is_asked_for_once(engine: Engine) -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="c1")], [text("refunded")])
    tokens: list[str] = []
    refunds: list[int] = []

    async def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults | None:
        tokens.append(token)
        return None

    existing = PydanticAgent(model, name="asking", capabilities=[Durability(), RequestInput(ask)])

    @existing.tool_plain(requires_approval=True)
    async def refund(cents: int) -> str:
        refunds.append(cents)
        return "ok"

    @task
    async def waits_for_input() -> str:
        return (await existing.run("go")).output

    run = await engine.start(waits_for_input)
    [waiting] = await engine.waiting(run)
    assert waiting.record.kind is WaitKind.CALLBACK
    await engine.crash()
    await engine.app.waitpoints.answer(tokens[0], {"approvals": {"c1": True}, "calls": {}}, by="slack")
    assert await run.result() == "refunded"
    assert (tokens, refunds, len(model.requests)) == ([waiting.id], [5], 2)


async def test_an_answer_that_comes_at_once_is_recorded_and_nothing_is_left_open(engine: Engine) -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="c1")], [call("hold", id="c2")], [text("refunded")])
    asked: list[str] = []

    def policy(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults | None:
        asked.append(token)
        return requests.build_results(approve_all=True)

    existing = PydanticAgent(model, name="policed", capabilities=[RequestInput(policy), Durability()])

    @existing.tool_plain(requires_approval=True)
    async def refund(cents: int) -> str:
        return "ok"

    @existing.tool_plain(metadata={"agentflow": False})
    async def hold() -> str:
        return await ship_when_asked("o-1")

    @task
    async def follows_policy() -> str:
        return (await existing.run("go")).output

    run = await engine.start(follows_policy)
    assert await run.result() == "refunded"
    assert len(asked) == 1
    assert await engine.app.waitpoints.list(run_id=run.id) == []


async def test_an_event_that_nobody_sends_in_time_is_told_to_whoever_waits(engine: Engine) -> None:
    model = scripted_model([call("refund", {"cents": 5}, id="c1")], [text("sorry")])

    async def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> None:
        return None

    existing = PydanticAgent(model, name="impatient", capabilities=[Durability(), RequestInput(ask, timeout=timedelta(hours=1))])

    @existing.tool_plain(requires_approval=True)
    async def refund(cents: int) -> str:
        raise AssertionError(cents)

    @task
    async def gives_up() -> str:
        return (await existing.run("go")).output

    run = await engine.start(gives_up)
    await engine.waiting(run)
    await engine.clock.advance("61m")
    assert await run.result() == "sorry"


async def test_the_result_of_an_external_tool_is_waited_for(engine: Engine) -> None:
    schema = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
    browser = ExternalToolset([ToolDefinition(name="open_page", parameters_json_schema=schema)])
    model = scripted_model([call("open_page", {"url": "https://example.com"}, id="c1")], [text("read")])
    run = await engine.start(Agent("browsing", model=model, toolsets=[browser]), "go")
    [waiting] = await engine.waiting(run)
    assert (waiting.record.kind, json.loads(waiting.record.subject)["body"]) == (WaitKind.CALLBACK, {"url": "https://example.com"})
    await engine.crash()
    await engine.app.waitpoints.answer(waiting.id, {"title": "Example"}, by="browser")
    assert await run.result() == "read"
    assert returned(model) == {"c1": {"title": "Example"}}
    assert [stored.event.output for stored in await engine.events(run) if isinstance(stored.event, ToolOutput)] == [{"title": "Example"}]


class Background(WrapperModel):
    """A model whose answers take a while: asked again, it says how far it is."""

    def __init__(self, polls: int) -> None:
        super().__init__(TestModel())
        self.polls = polls
        self.asked: list[str | None] = []
        self.cancelled: list[str | None] = []

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        last = messages[-1]
        self.asked.append(last.provider_response_id if isinstance(last, ModelResponse) else None)
        done = len(self.asked) > self.polls
        response = ModelResponse(
            [TextPart("at last")] if done else [],
            usage=RequestUsage(input_tokens=3, output_tokens=2) if done else RequestUsage(),
            provider_response_id="resp_1",
            provider_name="scripted",
            state="complete" if done else "suspended",
        )
        yield CompletedStreamedResponse(response, model_request_parameters=model_request_parameters)

    def continuation_delay(self, response: ModelResponse) -> float | None:
        return 30.0

    async def cancel_suspended_response(self, response: ModelResponse) -> None:
        self.cancelled.append(response.provider_response_id)


async def test_a_model_that_works_in_the_background_is_looked_at_again_without_a_slot_and_asked_once(engine: Engine) -> None:
    model = Background(polls=3)
    run = await engine.start(Agent("patient", model=model), "go")
    for looked in (1, 2, 3):
        await engine.until(run, RunState.WAITING)
        assert len(model.asked) == looked
        if looked == 2:
            await engine.crash()
        else:
            await engine.clock.advance("31s")
    assert await run.result() == "at last"
    assert model.asked == [None, "resp_1", "resp_1", "resp_1"]
    assert model.cancelled == []


async def test_work_in_the_background_is_called_off_when_its_run_is_cancelled(engine: Engine) -> None:
    model = Background(polls=99)
    run = await engine.start(Agent("revoked", model=model), "go")
    await engine.until(run, RunState.WAITING)
    await run.cancel("not wanted")
    await engine.until(run, RunState.CANCELLED)
    assert model.cancelled == ["resp_1"]


async def test_code_of_a_run_outside_of_an_agent_has_no_event_to_wait_for_in_a_step(engine: Engine) -> None:
    model = scripted_model([call("look", id="c1")], [text("done")])

    async def look() -> str:
        await wait_for_external_event("never", ask=lambda token: None)
        return ""

    existing = PydanticAgent(model, name="inward", tools=[look], capabilities=[Durability()])

    @task
    async def waits_in_a_step() -> str:
        return (await existing.run("go")).output

    run = await engine.start(waits_in_a_step)
    with pytest.raises(Exception, match="durable unit"):
        await run.result()
