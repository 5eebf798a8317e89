"""What model calls used: recorded with their step, for the run, those above it and its conversation."""

from __future__ import annotations

import pytest

from agentflow import Agent, Retry, ai, current_step, step, task
from agentflow.errors import RunNotFound
from agentflow.records import UsageRecord
from agentflow.streams.events import Usage
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, tokens


@step(kind="llm")
async def ask_priced(dollars: float | None) -> str:
    """A model call that tells what it cost."""
    current_step().publish(Usage(model="m", input=100, output=20, cached=50, cost=dollars))
    return "said"


@task
async def three_priced_calls() -> None:
    for dollars in (0.1, 0.2, None):
        await ask_priced(dollars)


async def test_the_usage_of_each_model_call_is_recorded_with_its_step(engine: Engine) -> None:
    support = Agent(
        "usage_support",
        model=scripted_model([call("charge_usage", id="c1"), tokens(100, 10)], [text("done"), tokens(200, 20)]),
        tools=[charge_usage],
    )
    run = await engine.start(support, "go")
    assert await run.result() == "done"
    used = await engine.app.runs.usage(run.id)
    assert (used.own.calls, used.own.input, used.own.output, used.own.tokens) == (2, 300, 30, 330)
    assert used.total == used.own
    keys = {entry.seq: entry.key for entry in await engine.app.runs.journal(run.id)}
    assert {keys[seq]: one.tokens for seq, one in (await engine.app.runs.usage_of_steps(run.id)).items()} == {
        "usage_support#0/turn:1": 110,
        "usage_support#0/turn:2": 220,
    }


@step
async def charge_usage() -> str:
    return "charged"


async def test_costs_are_summed_exactly_and_an_unknown_price_is_no_zero(engine: Engine) -> None:
    run = await engine.start(three_priced_calls)
    await run.result()
    used = (await engine.app.runs.usage(run.id)).own
    assert (used.calls, used.unpriced, used.cost, used.usd) == (3, 1, 300_000_000, "0.3")
    assert used.cached == 150


async def test_a_run_without_any_known_price_has_no_cost(engine: Engine) -> None:
    run = await engine.start(Agent("usage_free", model=scripted_model([text("hi"), tokens(5, 5)])), "go")
    await run.result()
    used = (await engine.app.runs.usage(run.id)).own
    assert (used.usd, used.unpriced, used.tokens) == (None, 1, 10)
    assert UsageRecord().usd == "0"


async def test_the_price_of_a_known_model_is_looked_up_for_calls_that_tell_none(engine: Engine) -> None:
    @step(kind="llm", name="ask_known")
    async def ask() -> None:
        current_step().publish(Usage(provider="anthropic", model="claude-sonnet-4-6", input=1_000, output=100))

    @task(name="usage_known_price")
    async def work() -> None:
        await ask()

    run = await engine.start(work)
    await run.result()
    assert (await engine.app.runs.usage(run.id)).own.usd == "0.0045"
    told = [stored.event for stored in await engine.events(run) if isinstance(stored.event, Usage)]
    assert [event.cost for event in told] == [0.0045]


async def test_a_run_counts_what_the_runs_below_it_used(engine: Engine) -> None:
    expert = Agent(
        "usage_expert", model=scripted_model([call("usage_helper", {"prompt": "?"}, id="h1"), tokens(10)], [text("42"), tokens(20)])
    )
    helper = Agent("usage_helper", model=scripted_model([text("hm"), tokens(7)]))
    expert = Agent("usage_expert", model=expert.agent_options.get("model", ""), tools=[helper])
    boss = Agent(
        "usage_boss",
        model=scripted_model([call("usage_expert", {"prompt": "why?"}, id="c1"), tokens(100)], [text("done"), tokens(200)]),
        tools=[ai.tool(expert)],
    )
    run = await engine.start(boss.using(thread="t-7"), "go")
    await run.result()
    used = await engine.app.runs.usage(run.id)
    assert (used.own.tokens, used.total.tokens, used.total.calls) == (300, 337, 5)
    [child] = await engine.app.runs.list(parent=run.id)
    assert (await engine.app.runs.usage(child.id)).total.tokens == 37
    assert (await engine.app.threads.usage("t-7")).tokens == 337


async def test_a_failed_try_that_told_its_usage_counts(engine: Engine) -> None:
    @step(kind="llm", name="ask_flaky", retry=Retry(attempts=2, initial="1ms"))
    async def ask() -> str:
        current_step().publish(Usage(model="m", input=10, output=current_step().attempt))
        if current_step().attempt == 1:
            raise ConnectionError("cut")
        return "said"

    @task(name="usage_flaky")
    async def work() -> str:
        return await ask()

    run = await engine.start(work)
    await engine.clock.advance("1s")
    assert await run.result() == "said"
    used = (await engine.app.runs.usage(run.id)).own
    assert (used.calls, used.output) == (2, 3)


async def test_a_model_call_that_tells_nothing_is_a_call_of_which_nothing_is_known(engine: Engine) -> None:
    @step(kind="llm", name="ask_silent")
    async def ask() -> str:
        return "said"

    @task(name="usage_silent")
    async def work() -> str:
        return await ask()

    run = await engine.start(work)
    await run.result()
    assert (await engine.app.runs.usage(run.id)).own == UsageRecord(calls=1, unpriced=1, unmetered=1)


async def test_a_tool_that_asks_a_model_by_itself_is_counted(engine: Engine) -> None:
    @step(name="usage_tool")
    async def tool() -> str:
        current_step().publish(Usage(model="m", input=1, output=2, cost=0.5))
        return "said"

    @task(name="usage_of_a_tool")
    async def work() -> str:
        return await tool()

    run = await engine.start(work)
    await run.result()
    assert (await engine.app.runs.usage(run.id)).own.usd == "0.5"


async def test_a_replay_counts_nothing_twice_and_usage_goes_with_its_run(engine: Engine) -> None:
    model = scripted_model([call("usage_send", id="c1"), tokens(100)], [text("done"), tokens(200)])
    support = Agent("usage_replayed", model=model, tools=[ai.tool(usage_send, approval=True)])
    run = await engine.start(support, "go")
    [waiting] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(waiting.id, by="maria")
    await run.result()
    assert (await engine.app.runs.usage(run.id)).own.tokens == 300
    for one in [run.id, *(child.id for child in await engine.app.runs.list(parent=run.id))]:
        await engine.app.runs.delete(one)
    with pytest.raises(RunNotFound):
        await engine.app.runs.usage(run.id)


@task
async def usage_send() -> str:
    return "sent"
