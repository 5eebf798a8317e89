"""Budgets of runs, at the seam: which model call may begin, who is asked, and what a crash in between changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import Budget, Retry, approve, current_step, sleep, step, task
from agentflow.engine.context import StepCall, StepOptions, context
from agentflow.errors import DefinitionError, InvalidAnswer, RunFailed
from agentflow.records import RunState
from agentflow.serde import ANY, decode_failure, loads
from agentflow.streams.events import ApprovalRequested, Usage
from agentflow.testing import Engine
from tests.engine.speaking import speak, talk, used


@task(budget=Budget(tokens=100, on_limit="fail"))
async def failing(calls: list[int]) -> None:
    for tokens in calls:
        await speak(tokens)


@task(budget=Budget(tokens=100, turns=9, on_limit="ask"))
async def asking(calls: list[int]) -> int:
    return await talk(calls)


async def test_a_budget_is_exceeded_by_no_more_than_the_call_under_way_and_the_run_fails_with_its_code(engine: Engine) -> None:
    run = await engine.start(failing, [40, 40, 90, 1])
    with pytest.raises(RunFailed, match="This run has used 170 of 100 tokens"):
        await run.result()
    record = await engine.get(run)
    error = decode_failure(record.error or "")
    assert (error.code, error.type) == ("budget", "BudgetExceeded")
    assert (error.details or {})["limits"] == {"tokens": {"spent": 170, "limit": 100, "unknown": 0}}
    assert engine.calls(speak) == 3


async def test_code_may_go_on_without_a_model_where_its_budget_stops_it(engine: Engine) -> None:
    @task(name="stopping", budget=Budget(turns=2))
    async def stopping() -> int:
        return await talk([1, 1, 1])

    run = await engine.start(stopping)
    assert await run.result() == 2


async def test_a_refusal_is_recorded_and_a_replay_is_told_the_same(engine: Engine) -> None:
    run = await engine.start(refused_and_waiting)
    [waiting] = await engine.waiting(run)
    await engine.crash()
    await waiting.approve(by="maria")
    assert await run.result() == 1
    assert engine.calls(speak) == 1


@task(budget=Budget(usd=0.01))
async def refused_and_waiting() -> int:
    await speak(1, 0.01)
    made = await talk([1])
    await approve("Go on?")
    return made + 1


async def test_a_price_that_is_not_known_is_no_zero(engine: Engine) -> None:
    @task(name="unpriced", budget=Budget(usd=5, on_limit="fail"))
    async def unpriced() -> None:
        await speak(10, None)
        await speak(10, None)

    run = await engine.start(unpriced)
    with pytest.raises(RunFailed, match="1 call whose price is not known"):
        await run.result()


async def test_people_are_asked_once_with_what_was_used_and_a_yes_grants_it_once_more(engine: Engine) -> None:
    run = await engine.start(asking, [60, 60, 60, 60])
    [waiting] = await engine.waiting(run)
    subject = loads(waiting.record.subject)
    assert subject["title"] == "This run has used 120 of 100 tokens. May it go on?"
    assert subject["body"] == {"tokens": 200, "turns": 18}
    assert (await engine.get(run)).worker is None
    await waiting.approve(by="maria")
    assert await run.result() == 4
    assert await used(engine, run) == 240
    asked = [stored.event for stored in await engine.events(run) if isinstance(stored.event, ApprovalRequested)]
    assert [event.approval for event in asked] == [waiting.id]


async def test_an_answer_may_carry_the_new_limit(engine: Engine) -> None:
    run = await engine.start(asking, [60, 60, 60, 60])
    [waiting] = await engine.waiting(run)
    await waiting.approve(by="maria", edits={"tokens": 150})
    [again] = [one for one in await engine.waiting(run) if one.id != waiting.id]
    assert loads(again.record.subject)["title"] == "This run has used 180 of 150 tokens. May it go on?"
    await again.deny(by="maria")
    assert await run.result() == 3


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"tokens": "plenty"}, "tokens='plenty' is no limit"),
        ({"tokens": None}, "tokens=None is no limit"),
        ({"tokens": -5}, "tokens=-5 is no limit"),
        ({"tokens": 120}, "tokens=120 is used up with 120"),
        ({"turns": 30}, "tokens is reached, too"),
        ({"tokens": 500, "usd": 5}, "usd is not asked about"),
    ],
)
async def test_an_edit_that_lets_nothing_go_on_is_refused_and_the_question_stays_open(
    engine: Engine, edits: dict[str, Any], problem: str
) -> None:
    run = await engine.start(asking, [120, 60])
    [waiting] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer, match=problem):
        await waiting.approve(by="maria", edits=edits)
    assert [one.id for one in await engine.waiting(run)] == [waiting.id]
    await waiting.approve(by="maria", edits={"tokens": 150})
    assert await run.result() == 2


async def test_nobody_answering_is_a_no(engine: Engine) -> None:
    run = await engine.start(asking, [120, 60])
    await engine.waiting(run)
    await engine.clock.advance("8d")
    assert await run.result() == 1


async def test_a_crash_while_people_are_asked_asks_nothing_again(engine: Engine) -> None:
    run = await engine.start(asking, [60, 60, 60])
    [waiting] = await engine.waiting(run)
    await engine.crash()
    await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result() == 3
    assert engine.calls(speak) == 3
    assert len(await engine.app.waitpoints.list(run_id=run.id, state=None)) == 1


async def test_a_run_that_its_budget_ended_is_not_tried_again_and_has_it_anew_when_it_is_revived(engine: Engine) -> None:
    @task(name="tried_once", budget=Budget(turns=1, on_limit="fail"), retry=Retry(attempts=3, initial="1ms"))
    async def tried_once() -> int:
        return await speak(1) + await speak(2)

    run = await engine.start(tried_once)
    with pytest.raises(RunFailed):
        await run.result()
    assert (await engine.get(run)).attempt == 1
    revived = await engine.app.runs.revive(run.id)
    assert (await engine.app.runs.ended(revived.id)).output == "3"
    assert (await engine.app.runs.usage(revived.id)).own.calls == 1


async def test_a_call_that_was_given_up_is_under_way_no_longer(engine: Engine) -> None:
    began = asyncio.Event()

    @step(kind="llm", name="endless")
    async def endless() -> None:
        began.set()
        await asyncio.Event().wait()

    @task(name="impatient", budget=Budget(tokens=100))
    async def impatient() -> int:
        call = asyncio.ensure_future(endless())
        await began.wait()
        call.cancel()
        await asyncio.wait({call})
        return await talk([50])

    run = await engine.start(impatient)
    assert await run.result() == 1


async def test_a_call_of_a_worker_that_died_is_under_way_no_longer(engine: Engine) -> None:
    began, once = asyncio.Event(), asyncio.Event()

    @step(kind="llm", name="cut_off")
    async def cut_off() -> int:
        current_step().publish(Usage(model="m", input=50, output=0, cost=0.0))
        if not once.is_set():
            once.set()
            began.set()
            await asyncio.Event().wait()
        return 50

    @task(name="cut", budget=Budget(tokens=100, on_limit="fail"))
    async def cut() -> int:
        return await cut_off()

    run = await engine.start(cut)
    await asyncio.wait_for(began.wait(), 20)
    await engine.crash()
    assert await run.result() == 50
    assert await used(engine, run) == 50


async def test_time_counts_waits_and_work_does_not(engine: Engine) -> None:
    @task(name="long_time", budget=Budget(time="1h"))
    async def long_time() -> int:
        made = await talk([1])
        await sleep("2h")
        return made + await talk([1])

    @task(name="long_work", budget=Budget(active="1h"))
    async def long_work() -> int:
        made = await talk([1])
        await sleep("2h")
        return made + await talk([1])

    first, second = await engine.start(long_time), await engine.start(long_work)
    await engine.waiting(first)
    await engine.waiting(second)
    await engine.clock.advance("2h")
    assert (await first.result(), await second.result()) == (1, 2)


async def test_a_call_of_two_steps_is_let_begin_once_and_counted_once(engine: Engine) -> None:
    @task(name="in_background", budget=Budget(tokens=100, turns=2))
    async def in_background() -> int:
        async def begin() -> str:
            return "resp_1"

        async def follow() -> str:
            current_step().publish(Usage(model="m", input=60, output=0, cost=0.0))
            return "said"

        for number in range(2):
            first, rest = (StepOptions(kind="llm", share=share, call=f"call:{number}") for share in ("first", "rest"))
            await context().step(f"call:{number}/begin", StepCall("begin", begin, ANY, "", first))
            await context().step(f"call:{number}/rest", StepCall("rest", follow, ANY, "", rest))
        return await talk([1])

    run = await engine.start(in_background)
    assert await run.result() == 0
    spent = (await engine.app.runs.usage(run.id)).own
    assert (spent.calls, spent.tokens, spent.unmetered) == (2, 120, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tokens": 0},
        {"usd": "much"},
        {"tokens": 5, "per": "day"},
        {"tokens": 5, "per": "tag:"},
        {"tokens": 5, "per": "key"},
        {"tokens": 5, "on_limit": "wait"},
        {"tokens": 5, "on_limit": "panic"},
        {"tokens": 5, "per": "key", "window": "60d"},
        {"time": "1h", "per": "thread"},
    ],
)
def test_a_budget_that_cannot_be_is_an_error_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        Budget(**wrong)


def test_two_budgets_that_end_the_same_are_one() -> None:
    with pytest.raises(DefinitionError, match="count the same"):
        task(budget=[Budget(tokens=5), Budget(turns=5)])(asyncio.sleep)
