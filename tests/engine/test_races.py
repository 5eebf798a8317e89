"""Races: the first of several waits wins, the others are superseded, and whatever crashes, a replay sees the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Retry, approve, ask, gather, race, sleep, step, task, wait_for
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import NotInRun, WaitpointTimedOut
from agentflow.handle import RunHandle
from agentflow.records import RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import loads
from agentflow.testing import Engine, Waiting


@pytest.fixture(params=["in memory", "replayed"])
def worker_settings(request: pytest.FixtureRequest) -> WorkerSettings:
    return WorkerSettings(hot_limit=1_000 if request.param == "in memory" else 0, hot_window=365 * 86_400_000_000)


class RaceReply(BaseModel):
    text: str


@step
async def note_race(what: str) -> str:
    return f"noted {what}"


@task
async def nap_of(length: str) -> str:
    await sleep(length)
    return f"slept {length}"


@task
async def reply_or_time() -> str:
    first = await race(ask(RaceReply, title="Reply?"), sleep("2h"))
    said = await note_race(first.text if first is not None else "time")
    await sleep("1d")
    return said


@task
async def agree_or_run() -> Any:
    first = await race(nap_of("2h"), approve("Sooner?"))
    await sleep("1h")
    return first if isinstance(first, str) else first.by


async def waits_of(engine: Engine, run_id: str) -> dict[WaitKind, WaitpointRecord]:
    return {one.kind: one for one in reversed(await engine.app.waitpoints.list(state=None, run_id=run_id))}


async def by_title(engine: Engine, run: RunHandle[Any], count: int) -> list[Waiting]:
    return sorted(await engine.waiting(run, count), key=lambda one: loads(one.record.subject)["title"])


def by_kind(waiting: list[Waiting]) -> dict[WaitKind, Waiting]:
    return {one.record.kind: one for one in waiting}


async def test_the_answer_wins_and_the_timer_is_superseded(engine: Engine) -> None:
    run = await engine.start(reply_or_time)
    waiting = by_kind(await engine.waiting(run, 2))
    await waiting[WaitKind.INPUT].answer({"text": "yes"}, by="maria")
    await engine.until(run, RunState.WAITING)
    ended = await engine.app.waitpoints.get(waiting[WaitKind.TIMER].id)
    assert (ended.state, ended.answered_by) == (WaitState.CANCELLED, "system:race")
    await engine.crash()
    await engine.clock.advance("1d")
    assert await run.result() == "noted yes"
    assert engine.calls(note_race) == 1


async def test_time_wins_and_whoever_answers_then_is_told_that_the_run_went_on(engine: Engine) -> None:
    run = await engine.start(reply_or_time)
    question = by_kind(await engine.waiting(run, 2))[WaitKind.INPUT]
    await engine.clock.advance("2h")
    await engine.until(run, RunState.WAITING)
    with pytest.raises(WaitpointTimedOut, match="went on without an answer") as late:
        await question.answer({"text": "yes"}, by="maria")
    assert late.value.http_status == 410
    await engine.crash()
    await engine.clock.advance("1d")
    assert await run.result() == "noted time"
    assert len(await engine.app.waitpoints.list(state=None, run_id=run.id)) == 3


async def test_of_two_that_ended_while_the_worker_was_away_the_first_one_wins_at_every_replay(engine: Engine) -> None:
    tokens = [await engine.app.waitpoints.create() for _ in range(3)]

    @task
    async def first_of_tokens(names: list[str]) -> Any:
        first = await race(*(wait_for(name) for name in names))
        await sleep("1h")
        return first

    run = await engine.start(first_of_tokens, [one.id for one in tokens])
    await engine.waiting(run, 3)
    for place in (2, 0, 1):
        await engine.app.waitpoints.answer(tokens[place].id, place, by="machine")
    await engine.waiting(run, kind="timer")
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == 2


async def test_a_child_run_that_loses_is_cancelled(engine: Engine) -> None:
    run = await engine.start(agree_or_run)
    waiting = by_kind(await engine.waiting(run, 2))
    child = waiting[WaitKind.CHILD].record.target or ""
    await waiting[WaitKind.APPROVAL].approve(by="maria")
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    await engine.clock.advance("1h")
    assert await run.result() == "maria"
    assert (await engine.app.runs.ended(child)).state is RunState.CANCELLED


async def test_a_child_run_that_wins_supersedes_the_question(engine: Engine) -> None:
    run = await engine.start(agree_or_run)
    question = by_kind(await engine.waiting(run, 2))[WaitKind.APPROVAL]
    await engine.clock.advance("2h")
    await engine.waiting(run, kind="timer")
    await engine.clock.advance("1h")
    assert await run.result() == "slept 2h"
    with pytest.raises(WaitpointTimedOut):
        await question.approve(by="maria")


async def test_what_the_winner_raises_is_raised_and_the_next_attempt_asks_anew(engine: Engine) -> None:
    @task(retry=Retry(attempts=3))
    async def brittle() -> str:
        async def fragile() -> str:
            if not (await approve("Go?")).approved:
                raise RuntimeError("not this time")
            return "went"

        return await race(fragile(), note_later())

    run = await engine.start(brittle)
    waiting = by_kind(await engine.waiting(run, 2))
    await waiting[WaitKind.APPROVAL].deny(by="maria")
    await engine.settle()
    await engine.clock.advance("10m")
    assert (await engine.app.waitpoints.get(waiting[WaitKind.TIMER].id)).state is WaitState.CANCELLED
    # An answer stays: the second attempt is told no again, and fails at last.
    await engine.clock.advance("1h")
    record = await engine.app.runs.ended(run.id)
    assert (record.state, record.attempt) == (RunState.FAILED, 3)
    assert "not this time" in (record.error or "")
    assert await engine.app.waitpoints.list(run_id=run.id) == []


async def note_later() -> str:
    await sleep("2d")
    return "late"


async def test_gather_returns_all_in_their_order_whatever_the_order_of_the_answers(engine: Engine) -> None:
    """T33"""

    @task
    async def both_agree() -> list[str | None]:
        first, second = await gather(approve("Delete the index?"), approve("Drop the table?"))
        return [first.reason, second.reason]

    run = await engine.start(both_agree)
    first, second = await by_title(engine, run, 2)
    await second.approve(by="maria", reason="second")
    await engine.settle()
    await engine.crash()
    await first.approve(by="otto", reason="first")
    assert await run.result() == ["first", "second"]


async def test_gather_gives_up_the_others_when_one_raises(engine: Engine) -> None:
    async def must(title: str) -> str:
        if (await approve(title)).denied:
            raise RuntimeError(f"no to {title}")
        return title

    @task
    async def all_or_nothing() -> str:
        try:
            await gather(must("a"), must("b"), must("c"))
        except RuntimeError as error:
            await sleep("1h")
            return str(error)
        return ""

    run = await engine.start(all_or_nothing)
    a, b, c = await by_title(engine, run, 3)
    await b.deny(by="maria")
    await engine.waiting(run, kind="timer")
    for one in (a, c):
        assert (await engine.app.waitpoints.get(one.id)).answered_by == "system:race"
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == "no to b"


async def test_cancelling_the_run_while_it_races_ends_every_wait(engine: Engine) -> None:
    run = await engine.start(agree_or_run)
    waiting = await engine.waiting(run, 2)
    await engine.app.runs.cancel(run.id, "enough")
    assert (await engine.app.runs.ended(run.id)).state is RunState.CANCELLED
    await engine.settle()
    for one in waiting:
        assert (await engine.app.waitpoints.get(one.id)).state is not WaitState.PENDING


async def test_the_journal_of_a_run_that_raced_goes_through_todays_code(engine: Engine) -> None:
    run = await engine.start(reply_or_time)
    await by_kind(await engine.waiting(run, 2))[WaitKind.INPUT].answer({"text": "yes"}, by="maria")
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1d")
    assert await run.result() == "noted yes"
    assert not (await engine.replay(run)).diverges


async def test_outside_of_a_run_they_race_plainly() -> None:
    async def now() -> int:
        return 1

    async def never() -> int:
        await asyncio.Event().wait()
        return 2

    assert await race(never(), now()) == 1
    assert await gather(now(), now()) == (1, 1)
    with pytest.raises(NotInRun):
        await race(never(), ask(RaceReply))
