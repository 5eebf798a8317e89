"""Tokens: made by anybody, answered once by anybody, waited for by any number of runs."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import sleep, task, wait_for
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointNotFound, WaitpointTimedOut
from agentflow.records import RunState, WaitKind, WaitState
from agentflow.testing import Engine


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0)


@task
async def hear(token: str) -> object:
    return await wait_for(token)


@task
async def hear_in_time(token: str, timeout: str) -> str:
    try:
        return await wait_for(token, timeout=timeout)
    except WaitpointTimedOut as error:
        return f"timeout {error.code}"


async def test_an_answer_reaches_the_run_that_waits(engine: Engine) -> None:
    """14"""
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.answer(token.id, {"ready": [1, 2]}, by="machine")
    assert await run.result() == {"ready": [1, 2]}


async def test_an_answer_that_came_before_the_wait_is_returned_at_once_without_letting_go(engine: Engine) -> None:
    """T28, 17"""
    token = await engine.app.waitpoints.create()
    await engine.app.waitpoints.answer(token.id, "early", by="machine")
    run = await engine.start(hear, token.id)
    assert await run.result() == "early"
    record = await engine.get(run)
    assert (record.epoch, record.wakes) == (1, 0)


async def test_the_first_answer_counts_and_the_second_is_told_so(engine: Engine) -> None:
    """T39, 14"""
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.answer(token.id, "first", by="maria")
    with pytest.raises(WaitpointAlreadyAnswered, match="was answered by maria before") as refused:
        await engine.app.waitpoints.answer(token.id, "second", by="peter")
    assert (refused.value.http_status, refused.value.details["answer"], refused.value.details["by"]) == (409, "first", "maria")
    assert await run.result() == "first"
    assert (await engine.app.waitpoints.get(token.id)).answer == '"first"'


async def test_of_many_answers_at_one_instant_exactly_one_counts(engine: Engine) -> None:
    """T39"""
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    answers = [engine.app.waitpoints.answer(token.id, number, by=f"{number}") for number in range(20)]
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, WaitpointAlreadyAnswered)]
    assert len(refused) == 19
    assert {one.details["answer"] for one in refused} == {await run.result()}


async def test_many_tokens_answered_at_one_instant_wake_the_run_once_with_all_answers_in_order(engine: Engine) -> None:
    """15"""
    passes: list[int] = []

    @task
    async def hear_all(tokens: list[str]) -> list[object]:
        answers = await asyncio.gather(*(wait_for(token) for token in tokens))
        passes.append(1)
        return list(answers)

    tokens = [await engine.app.waitpoints.create() for _ in range(20)]
    run = await engine.start(hear_all, [token.id for token in tokens])
    await engine.until(run, RunState.WAITING)
    await asyncio.gather(*(engine.app.waitpoints.answer(token.id, place, by="machine") for place, token in enumerate(tokens)))
    assert await run.result() == list(range(20))
    assert (passes, (await engine.get(run)).epoch) == ([1], 2)


async def test_a_wait_that_lapsed_raises_and_lapses_again_in_the_same_place_on_replay(engine: Engine) -> None:
    """T31, 16"""
    lapses: list[str] = []

    @task
    async def patient(token: str) -> object:
        try:
            return await wait_for(token, timeout="1h")
        except WaitpointTimedOut as error:
            lapses.append(error.code)
        await sleep("1h")
        return await wait_for(token)

    token = await engine.app.waitpoints.create()
    run = await engine.start(patient, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.answer(token.id, "late", by="machine")
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == "late"
    assert len(lapses) >= 2
    waits = await engine.app.waitpoints.list(state=None, run_id=run.id)
    assert sorted((one.kind, one.state) for one in waits) == [
        (WaitKind.CALLBACK, WaitState.ANSWERED),
        (WaitKind.CALLBACK, WaitState.TIMED_OUT),
        (WaitKind.TIMER, WaitState.ANSWERED),
    ]


async def test_a_token_whose_time_is_over_cannot_be_answered_any_more(engine: Engine) -> None:
    """16"""
    token = await engine.app.waitpoints.create(timeout="1h")
    run = await engine.start(hear_in_time, token.id, "2h")
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == "timeout waitpoint_timed_out"
    with pytest.raises(WaitpointTimedOut, match="ended as timed_out") as refused:
        await engine.app.waitpoints.answer(token.id, "late", by="maria")
    assert refused.value.http_status == 410


async def test_an_answer_wakes_every_run_that_waits_for_the_token(engine: Engine) -> None:
    token = await engine.app.waitpoints.create()
    runs = [await engine.start(hear, token.id) for _ in range(5)]
    for run in runs:
        await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.answer(token.id, "all", by="machine")
    assert [await run.result() for run in runs] == ["all"] * 5


async def test_a_wait_for_a_token_that_does_not_exist_says_so(engine: Engine) -> None:
    """S15"""

    @task
    async def lost() -> str:
        try:
            await wait_for("wp_nothing")
        except WaitpointNotFound as error:
            return error.code
        return ""

    run = await engine.start(lost)
    assert await run.result() == "waitpoint_not_found"
    with pytest.raises(WaitpointNotFound):
        await engine.app.waitpoints.answer("wp_nothing", 1, by="machine")


async def test_nobody_answers_a_timer_or_a_child(engine: Engine) -> None:
    @task
    async def nap() -> None:
        await sleep("1h")

    run = await engine.start(nap)
    [timer] = await engine.waiting(run)
    with pytest.raises(InvalidAnswer, match="waits for a timer, which nobody can answer"):
        await timer.answer(True)
    assert (await engine.get(run)).state is RunState.WAITING


async def test_an_answer_while_no_worker_is_alive_is_found_by_the_next_one(engine: Engine) -> None:
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.crash()
    await engine.app.waitpoints.answer(token.id, "after", by="machine")
    assert await run.result() == "after"


async def test_a_large_answer_arrives_whole(engine: Engine) -> None:
    """S12"""
    large = "x" * 400_000
    token = await engine.app.waitpoints.create()
    run = await engine.start(hear, token.id)
    await engine.until(run, RunState.WAITING)
    await engine.app.waitpoints.answer(token.id, large, by="machine")
    assert await run.result() == large


async def test_a_large_answer_that_came_before_the_wait_arrives_whole(engine: Engine) -> None:
    """T28"""
    large = "x" * 400_000
    token = await engine.app.waitpoints.create()
    await engine.app.waitpoints.answer(token.id, large, by="machine")
    run = await engine.start(hear, token.id)
    assert await run.result() == large
