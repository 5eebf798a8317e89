"""What a dead worker had recorded and not said is said by whoever takes the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agentflow import Retry, approve, context, current_step, sleep, step, task
from agentflow.engine.retelling import BLIND, GLANCE, unseen, untold
from agentflow.handle import RunHandle
from agentflow.records import EntryKind, JournalEntry, WaitKind, WaitpointRecord, WaitState
from agentflow.streams.codec import StoredEvent
from agentflow.streams.courier import stream_key
from agentflow.streams.cursor import RENUMBERED, Cursor
from agentflow.streams.events import (
    ApprovalRequested,
    Event,
    RunAttempt,
    RunStarted,
    StepCompleted,
    TextDelta,
    TextEnd,
    TextStart,
)
from agentflow.streams.fold import Fold
from agentflow.streams.wire import Remote, Wire
from agentflow.testing import Engine
from agentflow.testing.clock import START


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    opened = Wire(Remote(stream_server))
    yield opened
    await opened.close()


@step
async def one() -> int:
    return 1


async def unsaid(engine: Engine, wire: Wire, run: RunHandle[Any], *types: str) -> None:
    """Take back the last events of these types, as if they had never been sent."""
    await engine.app.streams.flush()
    for event in await engine.app.streams.read(run.id):
        if event.type in types:
            assert await wire.call("XDEL", stream_key(run.id), str(event.id)) == 1


async def folded(engine: Engine, run: RunHandle[Any]) -> Fold:
    return Fold().apply_all(await engine.events(run))


async def test_a_step_that_a_dead_worker_had_recorded_and_not_told_is_told_by_the_next(engine: Engine, wire: Wire) -> None:
    gate = asyncio.Event()

    @step
    async def two() -> int:
        await gate.wait()
        return 2

    @task
    async def work() -> int:
        return await one() + await two()

    run = await engine.start(work)
    await engine.settle()
    assert engine.calls(two) == 1
    await unsaid(engine, wire, run, "step.completed")
    await engine.stop()
    gate.set()
    await engine.go_on()
    await engine.clock.advance("2m")
    assert await run.result() == 3
    assert {step.id: step.state for step in (await folded(engine, run)).steps.values()} == {"one#0": "completed", "two#0": "completed"}


async def test_what_a_worker_did_not_say_before_it_let_go_of_a_run_is_told_too(engine: Engine, wire: Wire) -> None:
    """It died after the run had begun to wait for its next attempt: nothing was left for others to recover."""

    @task(retry=Retry(attempts=2, initial="1m", jitter=0))
    async def work() -> int:
        number = await one()
        if context().attempt == 1:
            raise ValueError("not yet")
        return number

    run = await engine.start(work)
    await engine.until(run, "scheduled")
    await unsaid(engine, wire, run, "step.started", "step.completed", "run.waiting")
    await engine.crash()
    await engine.clock.advance("5m")
    assert await run.result() == 1
    assert (await folded(engine, run)).steps["one#0"].state == "completed"


async def test_an_answer_that_nobody_told_is_told_by_the_worker_that_goes_on(engine: Engine, wire: Wire) -> None:
    @task
    async def work() -> int:
        decision = await approve("Go on?")
        await sleep("1m")
        return int(decision.approved)

    run = await engine.start(work)
    [waiting] = await engine.waiting(run)
    await engine.stop()
    await engine.go_on()
    await waiting.approve(by="maria")
    await engine.waiting(run)
    await unsaid(engine, wire, run, "approval.resolved", "run.waiting")
    await engine.crash()
    await engine.clock.advance("2m")
    assert await run.result() == 1
    assert [one.decision for one in (await folded(engine, run)).approvals.values()] == ["approved"]


@step
async def says(words: str) -> str:
    here = current_step()
    here.publish(TextStart(f"{here.id}.1", step=here.id))
    for word in words.split():
        here.publish(TextDelta(f"{here.id}.1", f"{word} "))
    here.publish(TextEnd(f"{here.id}.1"))
    return words


LOST: dict[str, tuple[str, ...]] = {
    "all of it": ("step.started", "text.start", "text.delta", "text.end", "step.completed"),
    "its end": ("text.end", "step.completed"),
    "only that it ended": ("step.completed",),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_what_a_step_had_said_is_told_again_with_its_end(engine: Engine, wire: Wire, lost: tuple[str, ...]) -> None:
    """What is recorded was said, whatever its worker had sent when it died; nothing is heard twice."""
    gate = asyncio.Event()

    @step
    async def waits() -> None:
        await gate.wait()

    @task
    async def work() -> None:
        await says("every single word")
        await waits()
        await says("and the last")

    run = await engine.start(work)
    await engine.settle()
    await unsaid(engine, wire, run, *lost)
    await engine.stop()
    gate.set()
    await engine.go_on()
    await engine.clock.advance("2m")
    await run.result()
    fold = await folded(engine, run)
    assert fold.text == "every single word and the last "
    assert {one.state for one in fold.steps.values()} == {"completed"}


async def test_a_run_whose_stream_is_gone_has_still_said_every_word(engine: Engine, wire: Wire) -> None:
    @task
    async def work() -> None:
        await asyncio.gather(says("every single word"), says("and the last"))

    run = await engine.start(work)
    await run.result()
    before = await folded(engine, run)
    await engine.app.streams.forget([run.id])
    after = Fold().apply_all([event async for event in run.events()])
    assert (after.text, after.parts.keys()) == (before.text, before.parts.keys())
    assert after.text == "every single word and the last "


async def test_an_answer_is_told_once(engine: Engine) -> None:
    @task
    async def work() -> int:
        return int((await approve("Go on?")).approved)

    run = await engine.start(work)
    [waiting] = await engine.waiting(run)
    await waiting.approve(by="maria")
    assert await run.result() == 1
    assert [event.type for event in await engine.events(run)].count("approval.resolved") == 1


def entry(seq: int, kind: EntryKind = EntryKind.RESULT) -> JournalEntry:
    return JournalEntry(seq, kind, f"step#{seq}", "1", None, None, 1, 1, START, START, 1)


def page(*events: Event, first: int = 0) -> list[StoredEvent]:
    return [StoredEvent(Cursor(1, first + number), 0, event) for number, event in enumerate(events)]


def keys(events: list[Event]) -> list[str]:
    return [event.step for event in events if isinstance(event, StepCompleted)]


def test_of_a_whole_stream_everything_that_is_missing_is_told() -> None:
    told = page(RunStarted("t"), StepCompleted("step#2", "step"))
    assert keys(untold(told, whole=True, entries=[entry(seq) for seq in (1, 2, 3)], waits=[])) == ["step#1", "step#3"]


def test_of_a_part_of_a_stream_only_what_came_after_it_began_is_told() -> None:
    told = page(StepCompleted("step#50", "step"), StepCompleted("step#51", "step"), first=900)
    assert keys(untold(told, whole=False, entries=[entry(seq) for seq in range(1, 54)], waits=[])) == ["step#52", "step#53"]


def test_of_a_part_that_tells_of_no_step_a_few_are_told() -> None:
    told = page(RunAttempt(2, "resume"), first=RENUMBERED)
    assert len(untold(told, whole=True, entries=[entry(seq) for seq in range(1, 1_000)], waits=[])) == GLANCE


def test_of_a_stream_that_is_gone_nothing_is_told_for_its_readers_start_over() -> None:
    assert untold([], whole=True, entries=[entry(1)], waits=[]) == []


def test_where_the_stream_cannot_be_seen_what_the_last_holder_recorded_is_told_again() -> None:
    first, last = [entry(seq) for seq in (1, 2)], [replace(entry(seq), epoch=2) for seq in (3, 4)]
    assert keys(unseen([*first, *last], [])) == ["step#3", "step#4"]
    assert len(unseen([entry(seq) for seq in range(1, 1_000)], [])) == BLIND
    assert unseen([], []) == []


def test_tries_and_resets_are_nothing_that_readers_wait_for() -> None:
    assert untold(page(RunStarted("t")), whole=True, entries=[entry(1, EntryKind.TRY)], waits=[]) == []


@pytest.mark.parametrize(("state", "told"), [(WaitState.ANSWERED, 1), (WaitState.PENDING, 0)])
def test_only_an_answer_that_was_given_is_told(state: WaitState, told: int) -> None:
    asked = WaitpointRecord(
        id="wp_1",
        kind=WaitKind.APPROVAL,
        state=state,
        run_id="run_1",
        key="approve#0",
        target=None,
        subject="{}",
        schema=None,
        answer='{"approved": true}',
        answered_by="maria",
        due_at=None,
        attempt=1,
        created_at=START,
        ended_at=START,
        wake=1,
    )
    assert len(untold(page(RunStarted("t"), ApprovalRequested("wp_1", "?")), whole=True, entries=[], waits=[asked])) == told
