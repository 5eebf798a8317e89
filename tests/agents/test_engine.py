"""Agents on the real engine: crashes, people, child runs, and a stream that tells each thing once."""

from __future__ import annotations

import asyncio
from collections import Counter

from agentflow import ai, step, task
from agentflow.agents.agent import Agent
from agentflow.streams.events import RunAttempt, TextDelta, ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, thinking


@step
async def charge(order: str) -> str:
    """Charge an order."""
    return f"charged {order}"


@task
async def dispatch(order: str) -> str:
    """Send an order off."""
    return f"sent {order}"


async def test_a_crash_while_a_person_is_asked_costs_no_turn_and_no_call(engine: Engine) -> None:
    calls = [call("charge", {"order": "o-1"}, id="c1"), call("dispatch", {"order": "o-1"}, id="c2")]
    model = scripted_model([thinking("both"), *calls], [text("done")])
    support = Agent("support", model=model, tools=[charge, ai.tool(dispatch, approval=True)])
    run = await engine.start(support, "send o-1")
    [waiting] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result() == "done"
    assert len(model.requests) == 2
    assert engine.calls(dispatch) == 1
    told = Counter(stored.event.type for stored in await engine.events(run))
    assert (told["tool.input"], told["tool.output"], told["approval.requested"], told["approval.resolved"]) == (2, 2, 1, 1)


async def test_what_earlier_turns_did_is_not_told_again_after_a_crash(engine: Engine) -> None:
    turns = [[call("dispatch", {"order": f"o-{turn}"}, id=f"c{turn}")] for turn in (1, 2, 3)]
    support = Agent("support", model=scripted_model(*turns, [text("done")]), tools=[ai.tool(dispatch, approval=True)])
    run = await engine.start(support, "go")
    for _ in turns:
        [waiting] = await engine.waiting(run)
        await engine.crash()
        await engine.app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result() == "done"
    told = Counter(stored.event.call for stored in await engine.events(run) if isinstance(stored.event, ToolOutput))
    assert told == {"c1": 1, "c2": 1, "c3": 1}


async def test_a_crash_while_the_model_speaks_asks_it_again_and_voids_what_it_said(engine: Engine) -> None:
    speaking = asyncio.Event()
    silence = asyncio.Event()

    async def pace(kind: str) -> None:
        if speaking.is_set():
            await silence.wait()
        speaking.set()

    model = scripted_model([text("a long answer in pieces")], pace=pace)
    support = Agent("support", model=model)
    run = await engine.start(support, "go")
    await asyncio.wait_for(speaking.wait(), 10)
    await engine.stop()
    silence.set()
    await engine.go_on()
    assert await run.result() == "a long answer in pieces"
    assert len(model.requests) == 2
    events = [stored.event for stored in await engine.events(run)]
    [again] = [event for event in events if isinstance(event, RunAttempt)]
    said = [event.delta for event in events[events.index(again) :] if isinstance(event, TextDelta)]
    assert "".join(said) == "a long answer in pieces"


async def test_each_call_of_a_task_is_one_child_run(engine: Engine) -> None:
    model = scripted_model([call("dispatch", {"order": "o-1"}, id="c1"), call("dispatch", {"order": "o-2"}, id="c2")], [text("done")])
    support = Agent("support", model=model, tools=[dispatch])
    run = await engine.start(support, "go")
    assert await run.result() == "done"
    assert engine.calls(dispatch) == 2
    told = Counter(stored.event.type for stored in await engine.events(run))
    assert (told["child.started"], told["child.finished"], told["tool.output"]) == (2, 2, 2)


async def test_an_agent_called_in_a_task_is_a_child_run(engine: Engine) -> None:
    expert = Agent("expert", model=scripted_model([text("42")]))

    @task
    async def ask() -> str:
        return await expert("why?")

    run = await engine.start(ask)
    assert await run.result() == "42"
