"""Where steering, stopping, hand-off and budgets meet."""

from __future__ import annotations

import asyncio
import gc

import pydantic_ai
import pytest
from pydantic_ai.usage import UsageLimits

from agentflow import Agent, Budget, Durability, RunCancelled, RunFailed, ai, step
from agentflow.errors import RunError
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.serde import ANY
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text, tokens
from tests.agents.test_steering import Gate
from tests.agents.test_threads import words


@step
async def look_it_up(order: str) -> str:
    """Look an order up."""
    return f"{order} is late"


async def history(engine: Engine) -> list[str]:
    return words(await engine.app.thread("t-7").history())


async def test_a_message_during_the_turn_that_hands_over_is_heard_by_who_takes_over(engine: Engine) -> None:
    gate = Gate()
    asked = scripted_model([text("I pass you on."), call("transfer_to_cashier", id="c1")], [text("nobody")], pace=gate.pace)
    paid = scripted_model([], [text("paid, quickly")])
    triage = Agent("first_desk", model=asked, tools=[ai.handoff(Agent("cashier", model=paid))])
    run = await engine.start(triage.using(thread="t-7"), "pay me")
    await gate.reached.wait()
    await engine.app.thread("t-7").send("quick please", mode="steer")
    gate.open.set()
    assert await run.result() == "paid, quickly"
    assert (len(asked.requests), len(paid.requests)) == (1, 1)
    assert "quick please" in words(paid.requests[0].messages)


async def test_what_was_said_in_an_older_turn_is_kept_once_by_a_stop(engine: Engine) -> None:
    model = scripted_model([text("Let me look."), call("look_it_up", {"order": "o1"}, id="c1"), tokens(200)], [text("never")])
    asking = Agent("asks_for_more", model=model, tools=[look_it_up], budget=Budget(tokens=100, on_limit="ask"))
    run = await engine.start(asking.using(thread="t-7"), "go")
    await engine.waiting(run)
    await engine.app.thread("t-7").stop()
    with pytest.raises(RunCancelled):
        await run.result()
    assert (await history(engine)).count("Let me look.") == 1


async def test_a_stop_between_two_agents_keeps_what_the_first_one_said(engine: Engine) -> None:
    began, never = asyncio.Event(), asyncio.Event()

    async def deps() -> None:
        began.set()
        await never.wait()

    slow = Agent("slow_desk", model=scripted_model([text("never")]), deps=deps)
    model = scripted_model([text("I pass you on."), call("transfer_to_slow_desk", id="c1")])
    run = await engine.start(Agent("passing_desk", model=model, tools=[ai.handoff(slow)]).using(thread="t-7"), "what do I owe?")
    await began.wait()
    await engine.app.thread("t-7").stop()
    with pytest.raises(RunCancelled):
        await run.result()
    assert (await history(engine))[:2] == ["what do I owe?", "I pass you on."]


async def test_a_budget_that_stops_after_a_hand_off_ends_with_what_all_have_said(engine: Engine) -> None:
    asked = scripted_model([text("I pass you on."), call("transfer_to_silent", id="c1"), tokens(200)])
    silent = Agent("silent", model=scripted_model([text("never")]))
    first = Agent("spends_it_all", model=asked, tools=[ai.handoff(silent)], budget=Budget(tokens=100, on_limit="stop"))
    assert await (await engine.start(first, "pay me")).result() == "I pass you on."


async def test_a_message_after_the_last_turn_that_an_agent_has_is_the_next_run(engine: Engine) -> None:
    gate = Gate()
    model = scripted_model([text("It is red.")], [text("It is blue.")], pace=gate.pace)
    brief = Agent("brief", model=model, turns=1)
    run = await engine.start(brief.using(thread="t-7"), "colour?")
    await gate.reached.wait()
    await engine.app.thread("t-7").send("no, blue", mode="steer")
    gate.open.set()
    assert await run.result() == "It is red."
    [after, _] = await engine.app.thread("t-7").runs()
    assert (await engine.app.runs.ended(after.id)).output == '"It is blue."'
    assert await history(engine) == ["colour?", "It is red.", "no, blue", "It is blue."]


async def test_limits_of_an_agent_inside_a_tool_are_its_own(engine: Engine) -> None:
    inner = pydantic_ai.Agent(scripted_model([text("never")]), name="inner_one", capabilities=[Durability()])

    async def delegate() -> str:
        """Ask another one."""
        return (await inner.run("hi", usage_limits=UsageLimits(request_limit=0))).output

    outer = Agent("outer_one", model=scripted_model([call("delegate", id="c1")]), tools=[delegate])
    with pytest.raises(RunFailed, match="request_limit of 0"):
        await (await engine.start(outer, "go")).result()


async def test_a_later_run_of_a_thread_may_read_on_in_what_its_history_shows(engine: Engine) -> None:
    async def long_list() -> str:
        return "x" * 100

    reads = [call("read_result", {"result": "12345678"}, id="r1")]
    model = scripted_model([call("long_list", id="c1")], [text("long")], reads, [text("it is gone")])
    lists = Agent("lists", model=model, tools=[ai.tool(long_list, limit=20)])
    assert await (await engine.start(lists.using(thread="t-7"), "list")).result() == "long"
    assert await (await engine.start(lists.using(thread="t-7"), "go on")).result() == "it is gone"
    assert "There is no result '12345678' in this run." in str(model.requests[-1].messages)


async def test_an_agent_that_its_budget_stops_says_its_last_answer_once_whatever_it_heard_since(engine: Engine) -> None:
    gate = Gate()
    model = scripted_model([text("It is red."), tokens(200)], [text("It is blue.")], pace=gate.pace)
    run = await engine.start(Agent("poor", model=model, budget=Budget(tokens=100, on_limit="stop")).using(thread="t-7"), "colour?")
    await gate.reached.wait()
    await engine.app.thread("t-7").send("no, blue", mode="steer")
    await engine.app.thread("t-7").send("or green?", mode="steer")
    gate.open.set()
    assert await run.result() == "It is red."
    assert (await history(engine))[:3] == ["colour?", "It is red.", "no, blue"]


class Failing:
    """A step that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    async def check(self) -> str:
        """Check something."""
        if not self.mended:
            raise ValueError("broken")
        return "fine"


async def test_a_revived_run_of_a_thread_waits_for_the_run_that_is_at_work(engine: Engine) -> None:
    gate, failing = Gate(), Failing()
    checked = scripted_model([call("check", id="c1")], [text("revived")])
    checks = Agent("checks", model=checked, tools=[failing.check])
    talks = Agent("talks", model=scripted_model([text("second")], pace=gate.pace))
    first = await engine.start(checks.using(thread="t-7"), "q1")
    with pytest.raises(RunFailed):
        await first.result()
    second = await engine.start(talks.using(thread="t-7"), "q2")
    await gate.reached.wait()
    failing.mended = True
    revived = await engine.app.runs.revive(first.id)
    [turn] = await engine.waiting(RunHandle(revived.id, engine.app.runs, ANY))
    assert turn.record.target == second.id
    assert len(checked.requests) == 1
    gate.open.set()
    assert await second.result() == "second"
    assert (await engine.app.runs.ended(revived.id)).state is RunState.COMPLETED
    assert words(await engine.app.thread("t-7").history())[:2] == ["q2", "second"]


async def test_a_failed_regeneration_is_not_taken_up_again_for_it_would_erase_what_was_said_since(engine: Engine) -> None:
    failing = Failing()
    turns = iter([[text("a1")], [call("check", id="c1")]])
    model = scripted_model(lambda _: next(turns), [text("a2")])
    again = Agent("answers_again", model=model, tools=[failing.check])
    await (await engine.start(again.using(thread="t-7"), "q1")).result()
    run = await engine.app.thread("t-7").regenerate()
    with pytest.raises(RunFailed):
        await run.result()
    await (await engine.app.thread("t-7").send("q2")).result()
    with pytest.raises(RunError, match=r"thread\.regenerate"):
        await engine.app.runs.revive(run.id)
    assert await history(engine) == ["q1", "a1", "q2", "a2"]


async def test_what_a_test_starts_is_known_to_its_engine_though_nobody_else_holds_it(engine: Engine) -> None:
    model = scripted_model([call("look_it_up", {"order": "o1"}, id="c1")], [text("late")])
    run = await engine.start(Agent("held_by_nobody", model=model, tools=[ai.tool(look_it_up, approval=True)]), "go")
    [question] = await engine.waiting(run)
    await engine.crash()
    gc.collect()
    await question.approve(by="maria")
    assert await run.result() == "late"
