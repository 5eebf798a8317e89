"""Approvals: a person says yes or no, once; silence, a crash or a mistake is a no."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, approve, step, task
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import RunState
from agentflow.streams.events import ApprovalRequested, ApprovalResolved
from agentflow.testing import Engine, call, scripted_model, text


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 86_400_000_000)


@step
async def think(about: str) -> str:
    return f"thought about {about}"


@step
async def pay(order: str) -> str:
    return f"paid {order}"


@task
async def guarded(order: str) -> dict[str, Any]:
    decision = await approve(f"Pay {order}?", body={"order": order}, groups=["finance"], expires="3d")
    paid = await pay(order) if decision.approved else None
    return {"paid": paid, "by": decision.by, "reason": decision.reason, "edits": decision.edits, "expired": decision.expired}


async def test_over_a_whole_run_the_model_is_asked_twice_the_tool_runs_once_and_the_question_is_asked_once(engine: Engine) -> None:
    """T34"""

    @task
    async def agent(order: str) -> str:
        await think(order)
        decision = await approve("Pay?")
        paid = await pay(order) if decision.approved else "nothing"
        return await think(paid)

    run = await engine.start(agent, "o-1")
    [question] = await engine.waiting(run)
    await engine.crash()
    await question.approve(by="maria")
    assert await run.result() == "thought about paid o-1"
    assert (engine.calls(think), engine.calls(pay)) == (2, 1)
    asked = [event for event in await engine.events(run) if isinstance(event.event, ApprovalRequested)]
    assert len(asked) == 1


async def test_a_yes_brings_who_why_and_what_they_changed(engine: Engine) -> None:
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    await question.approve(by="maria", reason="fine", edits={"order": "o-2"})
    assert await run.result() == {"paid": "paid o-1", "by": "maria", "reason": "fine", "edits": {"order": "o-2"}, "expired": False}


async def test_a_no_keeps_the_tool_from_running(engine: Engine) -> None:
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    await question.deny(by="maria", reason="too much")
    assert await run.result() == {"paid": None, "by": "maria", "reason": "too much", "edits": None, "expired": False}
    assert engine.calls(pay) == 0


async def test_an_approval_that_expires_is_a_no(engine: Engine) -> None:
    """T37"""
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    await engine.clock.advance("3d")
    assert await run.result() == {"paid": None, "by": None, "reason": "timed_out", "edits": None, "expired": True}
    assert engine.calls(pay) == 0
    with pytest.raises(WaitpointTimedOut) as late:
        await question.approve(by="maria")
    assert late.value.http_status == 410


async def test_a_handler_that_crashes_before_it_answers_leaves_the_tool_alone(engine: Engine) -> None:
    """T37"""

    async def handler() -> None:
        raise ConnectionError("the chat server is away")

    run = await engine.start(guarded, "o-1")
    await engine.waiting(run)
    with pytest.raises(ConnectionError):
        await handler()
    await engine.crash()
    assert (await engine.get(run)).state is RunState.WAITING
    assert engine.calls(pay) == 0
    await engine.clock.advance("3d")
    assert (await run.result())["expired"] is True
    assert engine.calls(pay) == 0


WRONG: list[Any] = [
    True,
    None,
    "yes",
    [],
    {},
    {"approved": "yes"},
    {"approved": 1},
    {"approved": None},
    {"approved": True, "who": "me"},
    {"approved": True, "edits": [1]},
    {"reason": "because"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_an_answer_that_does_not_fit_is_refused_and_the_run_still_waits(engine: Engine, wrong: Any) -> None:
    """T38"""
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer, match="approved") as refused:
        await question.answer(wrong)
    assert refused.value.http_status == 422
    assert (await engine.get(run)).state is RunState.WAITING
    assert (await engine.app.waitpoints.get(question.id)).answer is None
    await question.approve(by="maria")
    assert (await run.result())["paid"] == "paid o-1"


async def test_the_second_decision_is_refused_and_shown_the_first(engine: Engine) -> None:
    """T39"""
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    await question.deny(by="maria", reason="no")
    with pytest.raises(WaitpointAlreadyAnswered) as refused:
        await question.approve(by="peter")
    assert refused.value.details["answer"] == {"approved": False, "reason": "no"}
    assert (await run.result())["paid"] is None


async def test_parallel_approvals_answered_in_reverse_order_each_go_to_their_own_call(engine: Engine) -> None:
    """T33"""

    @task
    async def many() -> list[Any]:
        decisions = await asyncio.gather(*(approve(f"{number}?") for number in range(5)))
        return [decision.reason for decision in decisions]

    run = await engine.start(many)
    questions = await engine.waiting(run, 5)
    for question in reversed(questions):
        title = title_of(question.record.subject)
        await question.approve(by="maria", reason=f"because of {title}")
        await engine.settle()
    assert await run.result() == [f"because of {number}?" for number in range(5)]
    assert len(await engine.app.waitpoints.list(state=None, run_id=run.id)) == 5


async def test_branches_go_on_one_by_one_as_their_answers_come(engine: Engine) -> None:
    """T33"""

    async def one(order: str) -> str:
        decision = await approve(order)
        return await pay(order) if decision.approved else f"kept {order}"

    @task
    async def many() -> list[str]:
        return list(await asyncio.gather(*(one(f"o-{number}") for number in range(3))))

    run = await engine.start(many)
    questions = await engine.waiting(run, 3)
    by_title = {title_of(question.record.subject): question for question in questions}
    await by_title["o-2"].approve(by="maria")
    await engine.settle()
    assert engine.calls(pay) == 1
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.crash()
    await by_title["o-0"].deny(by="maria")
    await engine.settle()
    await by_title["o-1"].approve(by="maria")
    assert await run.result() == ["kept o-0", "paid o-1", "paid o-2"]
    assert engine.calls(pay) == 2


async def test_readers_of_the_run_see_the_question_and_the_decision(engine: Engine) -> None:
    run = await engine.start(guarded, "o-1")
    [question] = await engine.waiting(run)
    await question.approve(by="maria", reason="fine")
    await run.result()
    said = [event.event for event in await engine.events(run)]
    [asked] = [event for event in said if isinstance(event, ApprovalRequested)]
    [told] = [event for event in said if isinstance(event, ApprovalResolved)]
    assert (asked.title, asked.input) == ("Pay o-1?", {"order": "o-1"})
    assert said.index(asked) < said.index(told)


def title_of(subject: str) -> str:
    return json.loads(subject)["title"]


async def test_edits_of_a_call_that_nobody_may_edit_are_refused_and_the_question_stays_open(engine: Engine) -> None:
    @task
    async def pay_out(cents: int) -> str:
        return f"paid {cents}"

    tools = [ai.tool(pay_out, approval=Approval(can_edit=False))]
    cashier = Agent("cashier", model=scripted_model([call("pay_out", {"cents": 190}, id="c1")], [text("done")]), tools=tools)
    run = await engine.start(cashier, "pay")
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer, match=f"The arguments of {question.id} cannot be edited"):
        await question.approve(by="maria", edits={"cents": 95})
    assert engine.calls(pay_out) == 0
    await question.approve(by="maria")
    assert await run.result() == "done"
