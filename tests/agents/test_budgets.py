"""Budgets of agents: they stop with what they have, fail, or ask people, and go on with the same turn."""

from __future__ import annotations

import asyncio

import pydantic_ai
import pytest
from pydantic import BaseModel
from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Budget, Durability, ai, step, task
from agentflow.errors import RunFailed
from agentflow.records import RunState
from agentflow.serde import decode_failure, loads
from agentflow.testing import Engine
from agentflow.testing.models import Said, call, scripted_model, text, thinking, tokens
from tests.traffic.fixtures import Play

pytestmark = pytest.mark.both_databases


@step
async def look_into(order: str) -> str:
    """Look into an order."""
    return f"{order} is late"


def turn(number: int, *said: Said) -> list[Said]:
    return [*said, call("look_into", {"order": f"o-{number}"}, id=f"c{number}"), tokens(50, 10)]


async def test_a_budget_that_people_raise_continues_the_same_turn(engine: Engine) -> None:
    model = scripted_model(turn(1), turn(2), turn(3), [text("done"), tokens(50, 10)])
    support = Agent("budget_asking", model=model, tools=[look_into], budget=Budget(tokens=100, on_limit="ask"))
    run = await engine.start(support, "go")
    [waiting] = await engine.waiting(run)
    assert loads(waiting.record.subject)["title"] == "This run has used 120 of 100 tokens. May it go on?"
    await engine.crash()
    await engine.app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result() == "done"
    assert len(model.requests) == 4
    assert engine.calls(look_into) == 3
    assert (await engine.app.runs.usage(run.id)).own.tokens == 240


async def test_a_stopped_agent_ends_with_what_it_has_said_and_its_thread_goes_on(engine: Engine) -> None:
    def last(messages: list[ModelMessage]) -> list[Said]:
        return [text(f"after {len(messages)}"), tokens(10)]

    model = scripted_model(turn(1, text("First I look.")), turn(2, thinking("hm"), text("Then I look again.")), last, last)
    support = Agent("budget_stopping", model=model, tools=[look_into], budget=Budget(tokens=100, on_limit="stop"))
    run = await engine.start(support.using(thread="t-1"), "go")
    assert await run.result() == "First I look.\n\nThen I look again."
    assert len(model.requests) == 2
    again = await engine.start(support.using(thread="t-1"), "and?")
    assert await again.result() == "after 7"


async def test_a_stopped_agent_fails_where_what_it_has_is_no_answer(engine: Engine) -> None:
    class Order(BaseModel):
        late: bool

    typed = Agent("budget_typed", model=scripted_model(turn(1, text("hm"))), tools=[look_into], output=Order, budget=Budget(turns=1))
    silent = Agent("budget_silent", model=scripted_model(turn(1)), tools=[look_into], budget=Budget(turns=1))
    for run in (await engine.start(typed, "go"), await engine.start(silent, "go")):
        with pytest.raises(RunFailed, match="This run has used 1 of 1 model calls"):
            await run.result()
        assert decode_failure((await engine.get(run)).error or "").code == "budget"


async def test_an_agent_fails_at_its_budget_and_no_call_is_tried_again(engine: Engine) -> None:
    model = scripted_model(turn(1, text("hm")), turn(2), [text("done")])
    failing = Agent("budget_failing", model=model, tools=[look_into], budget=Budget(tokens=60, on_limit="fail"))
    run = await engine.start(failing, "go")
    with pytest.raises(RunFailed, match="This run has used 60 of 60 tokens"):
        await run.result()
    assert len(model.requests) == 1


async def test_an_agents_own_turns_end_it_as_a_budget_does(engine: Engine) -> None:
    model = scripted_model(turn(1), turn(2), [text("done")])
    run = await engine.start(Agent("budget_turns", model=model, tools=[look_into], turns=2), "go")
    with pytest.raises(RunFailed, match="budget_turns has used 2 of 2 model calls"):
        await run.result()
    assert decode_failure((await engine.get(run)).error or "").code == "budget"


async def test_a_budget_of_turns_takes_the_place_of_the_default(engine: Engine) -> None:
    model = scripted_model(*(turn(number) for number in range(52)), [text("done"), tokens(1)])
    many = Agent("budget_many_turns", model=model, tools=[look_into], budget=Budget(turns=60))
    run = await engine.start(many, "go")
    assert await run.result() == "done"


async def test_agents_as_tools_are_within_the_budget_of_who_calls_them(engine: Engine) -> None:
    expert = Agent("budget_expert", model=scripted_model(turn(1, text("It is late.")), turn(2), [text("never")]), tools=[look_into])
    asked = [call("budget_expert", {"prompt": "why?"}, id="e1"), text("I ask."), tokens(50)]
    boss = Agent("budget_boss", model=scripted_model(asked, [text("never")]), tools=[ai.tool(expert)], budget=Budget(tokens=100))
    run = await engine.start(boss, "go")
    assert await run.result() == "I ask."
    [child] = await engine.app.runs.list(parent=run.id)
    assert loads(child.output or "") == "It is late."
    assert (await engine.app.runs.usage(run.id)).total.tokens == 110


async def test_any_pydantic_ai_agent_is_within_the_budget_of_its_task(engine: Engine) -> None:
    model = scripted_model(turn(1, text("I look.")), turn(2), [text("done")])
    existing = pydantic_ai.Agent(model, name="existing", tools=[look_into.function], capabilities=[Durability()])

    @task(name="budget_durability", budget=Budget(tokens=100, on_limit="ask"))
    async def work() -> str:
        return (await existing.run("go")).output

    run = await engine.start(work)
    [waiting] = await engine.waiting(run)
    await waiting.deny(by="maria")
    assert await run.result() == "I look."
    assert len(model.requests) == 2


async def test_agents_whose_settings_limit_their_answers_speak_at_the_same_time_under_a_budget(engine: Engine) -> None:
    """Those that do not go one after the other: nobody knows what their answers will take."""
    open_, most, expected = 0, 0, 4
    reached = asyncio.Event()

    async def pace(_: str) -> None:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        if most >= expected:
            reached.set()
        await asyncio.wait_for(reached.wait(), 10)
        open_ -= 1

    model = scripted_model([text("hi"), tokens(50, 10)], pace=pace)
    sized = Agent("budget_sized", model=model, settings={"max_tokens": 500})
    unsized = Agent("budget_unsized", model=model)

    @task(name="budget_four", budget=Budget(tokens=100_000))
    async def four(limited: bool) -> list[str]:
        return list(await asyncio.gather(*((sized if limited else unsized)("go") for _ in range(4))))

    assert await (await engine.start(four, True)).result() == ["hi"] * 4
    assert most == 4
    most, expected = 0, 1
    assert await (await engine.start(four, False)).result() == ["hi"] * 4
    assert most == 1


async def test_what_a_model_had_told_of_its_use_when_it_was_cancelled_counts(engine: Engine) -> None:
    pieces, speaking = 0, asyncio.Event()

    async def pace(_: str) -> None:
        nonlocal pieces
        pieces += 1
        if pieces > 2:
            speaking.set()
            await asyncio.Event().wait()

    model = scripted_model([text("What is said, and what is never said")], pace=pace)
    run = await engine.start(Agent("budget_cut_off", model=model, budget=Budget(tokens=100)), "go")
    await asyncio.wait_for(speaking.wait(), 10)
    await engine.app.runs.cancel(run.id)
    await engine.until(run, RunState.CANCELLED)
    used = (await engine.app.runs.usage(run.id)).own
    assert (used.calls, used.unmetered) == (1, 0)
    assert used.input > 0
    assert used.output > 0


@step
async def get_user_country() -> str:
    """The user's country."""
    return "Mexico"


async def test_dollars_of_a_real_provider_are_counted_and_limited(engine: Engine, provider: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    played = await provider("anthropic/anthropic_tool_with_thinking")
    thinking_on = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}}
    budget = Budget(usd="0.001", turns=10, on_limit="ask")
    support = Agent(
        "budget_claude",
        model="anthropic:claude-sonnet-4-6",
        base_url=played.url,
        tools=[get_user_country],
        settings=thinking_on,
        budget=budget,
    )
    run = await engine.start(support, "What is the largest city?")
    [waiting] = await engine.waiting(run)
    assert len(played.requests) == 1
    assert "of 0.001 USD" in loads(waiting.record.subject)["title"]
    await waiting.approve(by="maria", edits={"usd": 1})
    assert "Mexico City" in await run.result()
    assert len(played.requests) == 2
    used = (await engine.app.runs.usage(run.id)).own
    assert (used.calls, used.unpriced, used.unmetered) == (2, 0, 0)
    assert used.cost > 1_000_000
    await support.close()
