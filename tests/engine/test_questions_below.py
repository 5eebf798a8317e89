"""A question of a run is shown in the runs that it holds up: live, in their logs made anew, and until it has an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow import approve, race, sleep, task
from agentflow.app.rebuild import load
from agentflow.handle import RunHandle
from agentflow.records import RunState, WaitpointRecord
from agentflow.streams.events import ApprovalRequested, ApprovalResolved, Event
from agentflow.streams.fold import Approval, Fold
from agentflow.testing import Engine


@task
async def publish_below(draft: str) -> bool:
    return (await approve("Publish?", body=draft)).approved


@task
async def editor(draft: str) -> bool:
    return await publish_below(draft)


@task
async def magazine(drafts: list[str]) -> list[bool]:
    return list(await asyncio.gather(*(editor(draft) for draft in drafts)))


async def question(engine: Engine, count: int = 1) -> list[WaitpointRecord]:
    """The open approvals, oldest first, once there are so many."""
    async with asyncio.timeout(10):
        while len(found := await engine.app.waitpoints.list(kind="approval")) < count:
            await asyncio.sleep(0)
    await engine.settle()
    return sorted(found, key=lambda one: one.id)


async def live(engine: Engine, run: RunHandle[Any]) -> list[Event]:
    return shown([one.event for one in await engine.events(run)])


async def rebuilt(engine: Engine, run: RunHandle[Any]) -> list[Event]:
    first, again = [(await engine.app.database.read(load(run.id))).events for _ in range(2)]
    assert list(first) == list(again)
    assert first[0].type == "run.started"
    return shown([one.event for one in first])


def shown(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, (ApprovalRequested, ApprovalResolved))]


def approval(events: list[Event], id: str) -> tuple[str, str, str | None]:
    asked = next(event for event in events if isinstance(event, ApprovalRequested) and event.approval == id)
    ends = [event.decision for event in events if isinstance(event, ApprovalResolved) and event.approval == id]
    return asked.title, "".join(dict.fromkeys(ends)), asked.run


async def test_all_that_a_question_holds_up_are_told_of_it_and_of_its_answer(engine: Engine) -> None:
    run = await engine.start(magazine, ["a draft"])
    [asked] = await question(engine)
    child = asked.run_id or ""
    above = [one for one in await engine.app.runs.list() if one.id != child]
    assert {one.task for one in above} == {"magazine", "editor"}
    for one in above:
        handle = RunHandle[Any](one.id, engine.app.verbs, magazine.codec)
        assert await live(engine, handle) == await rebuilt(engine, handle)
        [told] = await live(engine, handle)
        assert isinstance(told, ApprovalRequested)
        assert (told.approval, told.run, told.title, told.input, told.step, told.call) == (
            asked.id,
            child,
            "Publish?",
            "a draft",
            None,
            None,
        )
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert await run.result() == [True]
    for one in above:
        handle = RunHandle[Any](one.id, engine.app.verbs, magazine.codec)
        assert await live(engine, handle) == await rebuilt(engine, handle)
        assert approval(await live(engine, handle), asked.id) == ("Publish?", "approved", child)
    fold = Fold().apply_all(await engine.events(run))
    assert list(fold.approvals.values()) == [Approval(asked.id, "Publish?", None, None, "approved", child)]


async def test_several_questions_are_shown_each_until_it_has_its_own_answer(engine: Engine) -> None:
    run = await engine.start(magazine, ["one", "two"])
    first, second = await question(engine, 2)
    await engine.app.waitpoints.deny(second.id, by="maria", reason="no")
    await engine.settle()
    events = await live(engine, run)
    assert [approval(events, one.id)[1] for one in (first, second)] == ["", "denied"]
    await engine.app.waitpoints.approve(first.id, by="maria")
    await run.result()
    assert {approval(await rebuilt(engine, run), one.id)[1] for one in (first, second)} == {"approved", "denied"}


async def test_a_question_that_is_older_than_the_wait_for_its_run_is_shown_too(engine: Engine) -> None:
    @task
    async def waits_late() -> bool:
        child = await publish_below.start("early")
        await sleep("1h")
        return await child.result()

    run = await engine.start(waits_late)
    [asked] = await question(engine)
    await engine.until(run, RunState.WAITING)
    assert await live(engine, run) == []
    await engine.clock.advance("1h")
    async with asyncio.timeout(10):
        while not await live(engine, run):
            await engine.settle()
    assert await live(engine, run) == await rebuilt(engine, run)
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert await run.result() is True
    assert approval(await live(engine, run), asked.id)[1] == "approved"


async def test_a_question_whose_run_is_given_up_is_nobody_s_any_more(engine: Engine) -> None:
    @task
    async def impatient() -> str:
        first = await race(publish_below("never"), sleep("1h"))
        await sleep("1h")
        return str(first)

    run = await engine.start(impatient)
    [asked] = await question(engine)
    assert approval(await live(engine, run), asked.id)[1] == ""
    await engine.clock.advance("1h")
    await engine.until(run, RunState.WAITING)
    async with asyncio.timeout(10):
        while approval(await live(engine, run), asked.id)[1] != "cancelled":
            await engine.settle()
    assert await live(engine, run) == await rebuilt(engine, run)
    await engine.clock.advance("1h")
    await run.result()


async def test_a_question_nobody_answers_in_time_ends_above_too(engine: Engine) -> None:
    @task
    async def asks_briefly() -> bool:
        return (await approve("Now?", expires="1h")).approved

    @task
    async def above_briefly() -> bool:
        return await asks_briefly()

    run = await engine.start(above_briefly)
    [asked] = await question(engine)
    await engine.clock.advance("1h")
    assert await run.result() is False
    assert await live(engine, run) == await rebuilt(engine, run)
    assert approval(await live(engine, run), asked.id)[1] == "expired"


async def test_crashes_change_nothing_in_what_is_told_above(engine: Engine) -> None:
    run = await engine.start(magazine, ["a draft"])
    [asked] = await question(engine)
    await engine.crash()
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert await run.result() == [True]
    assert approval(await live(engine, run), asked.id)[1] == "approved"
    assert approval(await rebuilt(engine, run), asked.id)[1] == "approved"
