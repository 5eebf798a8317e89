"""Budgets at the seam: which model call may begin, who is asked, and what a crash in between changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from agentflow import Budget, BudgetExceeded, current_step, step, task
from agentflow.engine.context import StepCall, StepOptions, context
from agentflow.errors import DefinitionError, RunFailed
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.serde import ANY, decode_failure, loads
from agentflow.streams.events import ApprovalRequested, Usage
from agentflow.testing import Engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine_database(request: pytest.FixtureRequest) -> str | None:
    """Where the engine under test keeps what is true."""
    return None if request.param == "sqlite" else request.getfixturevalue("migrated_url")


@step(kind="llm")
async def speak(tokens: int, dollars: float | None = 0.0) -> int:
    """A model call that uses so many tokens."""
    current_step().publish(Usage(model="m", input=tokens, output=0, cost=dollars))
    return tokens


async def talk(calls: list[int]) -> int:
    """Make model calls until the budget lets none begin; returns how many there were."""
    made = 0
    for tokens in calls:
        try:
            await speak(tokens)
        except BudgetExceeded:
            return made
        made += 1
    return made


async def used(engine: Engine, run: RunHandle[Any]) -> int:
    """Tokens that a run and all below it used."""
    return (await engine.app.runs.usage(run.id)).total.tokens


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
    from agentflow import approve

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


async def test_an_edit_that_is_no_limit_raises_nothing_and_the_question_comes_again(engine: Engine) -> None:
    run = await engine.start(asking, [120, 60])
    [waiting] = await engine.waiting(run)
    await waiting.approve(by="maria", edits={"tokens": "plenty"})
    [again] = [one for one in await engine.waiting(run) if one.id != waiting.id]
    await again.deny(by="maria")
    assert await run.result() == 1


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


@task
async def part(calls: list[int]) -> int:
    return await talk(calls)


@task(budget=Budget(tokens=100))
async def whole(calls: list[int]) -> list[int]:
    return [await part(calls), await part(calls)]


@task(budget=Budget(tokens=100, on_limit="ask"))
async def fan(calls: list[int], parts: int) -> list[int]:
    return list(await asyncio.gather(*(part(calls) for _ in range(parts))))


async def test_the_runs_below_a_run_are_within_its_budget(engine: Engine) -> None:
    run = await engine.start(whole, [30, 30])
    assert await run.result() == [2, 2]
    more = await engine.start(whole, [50, 30, 40, 30])
    assert await more.result() == [3, 0]
    assert await used(engine, more) == 120


async def test_a_detached_run_is_within_the_budget_of_who_started_it(engine: Engine) -> None:
    @task(name="launching", budget=Budget(tokens=50))
    async def launching() -> str:
        await speak(60)
        return (await part.start([10])).id

    run = await engine.start(launching)
    child = await run.result()
    assert (await engine.app.runs.ended(child)).output == "0"


async def test_parallel_runs_ask_one_question_and_all_go_on_with_its_answer(engine: Engine) -> None:
    run = await engine.start(fan, [40, 40], 3)
    await engine.until(run, RunState.WAITING)
    asked = await approvals(engine)
    await engine.app.waitpoints.approve(asked[0].id, by="maria")
    again = await approvals(engine)
    assert loads(again[0].subject)["title"] == "The run above this one has used 200 of 200 tokens. May it go on?"
    await engine.app.waitpoints.approve(again[0].id, by="maria")
    assert await run.result() == [2, 2, 2]
    assert await used(engine, run) == 240


async def approvals(engine: Engine) -> list[Any]:
    """The open questions, once there is one and nobody works any more."""
    async with asyncio.timeout(20):
        while True:
            found = await engine.app.waitpoints.list(kind="approval")
            running = await engine.app.runs.list(status=RunState.RUNNING)
            if found and not running:
                assert len(found) == 1
                return found
            await asyncio.sleep(0)


@pytest.mark.parametrize("sizes", [[40, 40, 40, 40, 40], [10, 35, 35, 35, 35], [130, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
async def test_parallel_calls_exceed_a_budget_by_less_than_one_call(engine: Engine, sizes: list[int]) -> None:
    """Sizes of the calls of five parallel runs; only the first is unlike the others, and goes alone."""
    open_: set[int] = set()
    most, together = 0, asyncio.Event()

    @step(kind="llm", name="speak_long")
    async def speak_long(number: int, tokens: int) -> int:
        nonlocal most
        open_.add(number)
        most = max(most, len(open_))
        if most > 1:
            together.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await together.wait()
        open_.discard(number)
        current_step().publish(Usage(model="m", input=tokens, output=0, cost=0.0))
        return tokens

    @task(name="one_of_five")
    async def one(number: int) -> int:
        made = 0
        for tokens in sizes:
            try:
                made += await speak_long(number, tokens)
            except BudgetExceeded:
                break
        return made

    @task(name="five", budget=Budget(tokens=100))
    async def five() -> int:
        return sum(await asyncio.gather(*(one(number) for number in range(5))))

    run = await engine.start(five)
    spent = await run.result()
    assert spent == await used(engine, run)
    assert spent < 100 + max(sizes)
    assert (most == 1) == (sizes[0] >= 40)
    assert spent == 25 if sizes == [1] * 5 else spent >= 100


@task(budget=Budget(tokens=100, per="key", window="1d", on_limit="ask"))
async def shared(calls: list[int]) -> int:
    return await talk(calls)


async def test_who_asked_may_be_cancelled_and_somebody_else_asks(engine: Engine) -> None:
    await (await engine.start(shared.using(concurrency_key="acme"), [120])).result()
    first = await engine.start(shared.using(concurrency_key="acme"), [1])
    [question] = await engine.waiting(first)
    second = await engine.start(shared.using(concurrency_key="acme"), [2])
    [wait] = await engine.waiting(second)
    assert wait.record.target == question.id
    await engine.app.runs.cancel(first.id)
    await engine.until(first, RunState.CANCELLED)
    [again] = await approvals(engine)
    assert again.run_id == second.id
    await engine.app.waitpoints.approve(again.id, by="maria")
    assert await second.result() == 1


async def test_what_was_granted_to_a_window_ends_with_it(engine: Engine) -> None:
    await (await engine.start(shared.using(concurrency_key="acme"), [120])).result()
    run = await engine.start(shared.using(concurrency_key="acme"), [1])
    [question] = await engine.waiting(run)
    await question.deny(by="maria")
    assert await run.result() == 0
    assert await (await engine.start(shared.using(concurrency_key="acme"), [1])).result() == 0
    await engine.clock.advance("25h")
    assert await (await engine.start(shared.using(concurrency_key="acme"), [120])).result() == 1
    asked = await engine.start(shared.using(concurrency_key="acme"), [1])
    [_] = await engine.waiting(asked)


@task(budget=Budget(tokens=100, per="key", window="1d", on_limit="wait"))
async def metered(calls: list[int]) -> int:
    return await talk(calls)


async def test_a_key_waits_without_a_slot_until_enough_has_left_its_window(engine: Engine) -> None:
    acme = metered.using(concurrency_key="acme")
    await (await engine.start(acme, [60])).result()
    await engine.clock.advance("1h")
    await (await engine.start(acme, [60])).result()
    run = await engine.start(acme, [10])
    [timer] = await engine.waiting(run)
    assert (await engine.get(run)).worker is None
    other = await engine.start(metered.using(concurrency_key="umbrella"), [10])
    assert await other.result() == 1
    await engine.clock.advance("22h")
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.crash()
    await engine.clock.advance("1h")
    assert timer.record.due_at is not None
    assert await run.result() == 1


async def test_a_thread_and_a_tag_are_counted_over_their_runs_and_a_run_without_is_counted_alone(engine: Engine) -> None:
    @task(name="of_thread", budget=[Budget(tokens=100, per="thread"), Budget(turns=2, per="tag:vip", window="1h")])
    async def of_thread(calls: list[int]) -> int:
        return await talk(calls)

    for expected in (1, 1, 0):
        run = await engine.start(of_thread.using(thread="t-1"), [60])
        assert await run.result() == expected
    for expected in (1, 1, 0):
        run = await engine.start(of_thread.using(tags=["vip"]), [1])
        assert await run.result() == expected
    alone = await engine.start(of_thread, [60, 60, 1])
    assert await alone.result() == 2


async def test_time_counts_waits_and_work_does_not(engine: Engine) -> None:
    from agentflow import sleep

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
            await context().step(f"call:{number}/begin", StepCall("begin", begin, ANY, "", StepOptions(kind="llm", share="first")))
            await context().step(f"call:{number}/rest", StepCall("rest", follow, ANY, "", StepOptions(kind="llm", share="rest")))
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
def test_a_budget_that_cannot_be_is_an_error_where_it_is_written(wrong: dict[str, Any], engine_database: None) -> None:
    with pytest.raises(DefinitionError):
        Budget(**wrong)


def test_two_budgets_that_end_the_same_are_one(engine_database: None) -> None:
    with pytest.raises(DefinitionError, match="count the same"):
        task(budget=[Budget(tokens=5), Budget(turns=5)])(asyncio.sleep)
