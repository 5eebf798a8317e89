"""Budgets that several runs have in common: parents and children, threads, tags, keys."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import Budget, approve, task
from agentflow.records import RunState
from agentflow.serde import loads
from agentflow.testing import Engine
from tests.engine.speaking import approvals, speak, talk, used


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


@task(budget=Budget(tokens=100, per="key", window="1d", on_limit="ask"))
async def shared(calls: list[int]) -> int:
    return await talk(calls)


@task(budget=Budget(tokens=100, on_limit="ask"))
async def careful_below(calls: list[int]) -> int:
    return await talk(calls)


async def test_several_budgets_that_are_used_up_at_once_are_one_question(engine: Engine) -> None:
    @task(name="doubly", budget=[Budget(usd=1, turns=1, on_limit="ask"), Budget(tokens=10_000, on_limit="fail")])
    async def doubly() -> int:
        return await careful_below([120, 1, 1])

    run = await engine.start(doubly)
    await engine.until(run, RunState.WAITING)
    [question] = await approvals(engine)
    subject = loads(question.subject)
    title = "This run has used 120 of 100 tokens. The run above this one has used 1 of 1 model calls. May it go on?"
    assert (subject["title"], subject["body"]) == (title, {"tokens": 200, "usd": 2, "turns": 2})
    await engine.app.waitpoints.approve(question.id, by="maria", edits={"tokens": 500, "turns": 3})
    assert await run.result() == 3
    assert len(await engine.app.waitpoints.list(kind="approval", state=None)) == 1


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


@task(budget=Budget(tokens=100, per="thread", on_limit="ask"))
async def of_talk(calls: list[int]) -> list[int]:
    return [await talk(calls), await talk(calls)]


@pytest.mark.parametrize("silent", [False, True])
async def test_after_a_no_the_next_run_of_a_thread_asks_anew_and_the_one_that_was_refused_stays_so(engine: Engine, silent: bool) -> None:
    first = await engine.start(of_talk.using(thread="t-1"), [120, 1])
    [question] = await engine.waiting(first)
    if silent:
        await engine.clock.advance("8d")
    else:
        await question.deny(by="maria")
    assert await first.result() == [1, 0]
    second = await engine.start(of_talk.using(thread="t-1"), [1])
    [again] = await engine.waiting(second)
    assert again.id != question.id
    await again.approve(by="maria")
    assert await second.result() == [1, 1]


async def test_a_no_to_a_thread_is_one_for_all_that_waited_for_it_and_stays_one_after_a_crash(engine: Engine) -> None:
    @task(name="of_talk_and_on", budget=Budget(tokens=100, per="thread", on_limit="ask"))
    async def of_talk_and_on() -> list[int]:
        made = list(await asyncio.gather(part([120, 1]), part([120, 1])))
        await approve("Go on?")
        return [*made, await talk([1])]

    run = await engine.start(of_talk_and_on.using(thread="t-1"))
    [question] = await approvals(engine)
    await engine.app.waitpoints.deny(question.id, by="maria")
    [go_on] = await approvals(engine)
    assert loads(go_on.subject)["title"] == "Go on?"
    await engine.crash()
    await engine.app.waitpoints.approve(go_on.id, by="maria")
    assert sorted(await run.result()) == [0, 0, 1]
    assert len(await engine.app.waitpoints.list(kind="approval", state=None)) == 2


@task(budget=Budget(tokens=100, per="key", window="1d"))
async def bounded(calls: list[int]) -> int:
    return await talk(calls)


@task(budget=Budget(tokens=1_000, turns=3, per="key", window="1d"))
async def generous(calls: list[int]) -> int:
    return await talk(calls)


async def test_of_two_budgets_that_count_the_same_the_lower_limits_hold_in_a_run_below(engine: Engine) -> None:
    @task(name="strict_above", budget=Budget(tokens=100, per="key", window="1d"))
    async def strict_above(calls: list[int]) -> int:
        return await generous.using(concurrency_key="acme")(calls)

    @task(name="generous_above", budget=Budget(tokens=1_000, turns=3, per="key", window="1d"))
    async def generous_above(calls: list[int]) -> int:
        return await bounded.using(concurrency_key="umbrella")(calls)

    run = await engine.start(strict_above.using(concurrency_key="acme"), [60, 60, 60])
    assert await run.result() == 2
    other = await engine.start(generous_above.using(concurrency_key="umbrella"), [60, 60, 60])
    assert await other.result() == 2
    turns = await engine.start(generous_above.using(concurrency_key="umbrella"), [1])
    assert await turns.result() == 0


async def test_a_limit_that_only_one_of_two_such_budgets_has_holds_too(engine: Engine) -> None:
    @task(name="tokens_above", budget=Budget(tokens=100, per="key", window="1d"))
    async def tokens_above() -> int:
        return await generous.using(concurrency_key="acme")([1, 1, 1, 1])

    assert await (await engine.start(tokens_above.using(concurrency_key="acme"))).result() == 3


@task(budget=Budget(tokens=100, per="key", window="1d", on_limit="wait"))
async def metered(calls: list[int]) -> int:
    return await talk(calls)


async def test_a_price_that_is_not_known_leaves_the_window_as_a_call_does(engine: Engine) -> None:
    @task(name="metered_usd", budget=Budget(usd=1, per="key", window="1h", on_limit="wait"))
    async def metered_usd() -> int:
        return await speak(1, None)

    keyed = metered_usd.using(concurrency_key="acme")
    await (await engine.start(keyed)).result()
    run = await engine.start(keyed)
    await engine.waiting(run)
    await engine.clock.advance("59m")
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.clock.advance("2m")
    assert await run.result() == 1
    assert len(await engine.app.waitpoints.list(run_id=run.id, state=None)) == 1


async def test_a_budget_ends_with_the_run_that_brought_it(engine: Engine) -> None:
    @task(name="launching_late", budget=Budget(tokens=50))
    async def launching_late() -> str:
        await speak(60)
        return (await waiting_part.start([10])).id

    run = await engine.start(launching_late)
    child = await run.result()
    async with asyncio.timeout(20):
        while not (asked := await engine.app.runs.waiting_for(child)):
            await asyncio.sleep(0)
    await engine.app.runs.delete(run.id)
    await engine.app.waitpoints.approve(asked[0].id, by="maria")
    assert (await engine.app.runs.ended(child)).output == "1"


@task
async def waiting_part(calls: list[int]) -> int:
    await talk([1])
    await approve("Go on?")
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
