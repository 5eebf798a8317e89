"""Items that a run appends to the stream of a run above it: told there live, and in its log made anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import Retry, Stream, context, current_step, sleep, step, task
from agentflow.app.rebuild import load
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.streams.events import StreamItem
from agentflow.testing import Engine

notes = Stream[str]("notes")


@task
async def joining_leaf(target: Any) -> None:
    await notes.append("from far below", target=target)


@task
async def joining_middle(target: Any) -> None:
    await joining_leaf(target)


@task
async def joining_root(target: Any) -> str:
    await joining_middle(target)
    return context().run_id


async def by_task(engine: Engine) -> dict[str, RunHandle[Any]]:
    return {run.task: RunHandle(run.id, engine.app.verbs, joining_root.codec) for run in await engine.app.runs.list()}


@pytest.mark.parametrize(("target", "reached"), [("root", "joining_root"), ("parent", "joining_middle"), (None, "joining_leaf")])
async def test_an_item_reaches_the_root_or_the_parent_and_says_who_said_it(engine: Engine, target: str | None, reached: str) -> None:
    run = await engine.start(joining_root, target)
    await run.result()
    runs = await by_task(engine)
    found = {name: [item async for item in one.stream(notes)] for name, one in runs.items()}
    assert {name: [item.data for item in items] for name, items in found.items() if items} == {reached: ["from far below"]}
    assert found[reached][0].origin == (None if target is None else runs["joining_leaf"].id)


async def test_a_run_without_a_parent_is_its_own_root(engine: Engine) -> None:
    @step
    async def inside() -> None:
        await notes.append("in a step", target="parent")

    @task
    async def alone() -> None:
        await notes.append("in a task", target="root")
        await inside()

    run = await engine.start(alone)
    await run.result()
    assert await engine.items(run, notes) == ["in a task", "in a step"]
    await engine.app.streams.forget([run.id])
    assert [item.data async for item in run.stream(notes)] == ["in a task", "in a step"]


async def test_an_item_for_a_root_that_has_ended_is_told_nowhere_and_does_no_harm(engine: Engine) -> None:
    @task
    async def outlives() -> str:
        await sleep("1h")
        await notes.append("too late", target="root")
        return "done"

    @task
    async def brief() -> str:
        return (await outlives.start()).id

    run = await engine.start(brief)
    later = RunHandle[str](await run.result(), engine.app.verbs, outlives.codec)
    await engine.until(later, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await later.result() == "done"
    assert [entry.type for entry in await engine.events(run)][-1] == "end"
    assert await engine.items(run, notes) == []
    assert await rebuilt_items(engine, run) == []


async def rebuilt_items(engine: Engine, run: RunHandle[Any]) -> list[tuple[str, str | None]]:
    """The items of a run and who said them, from its log as the database knows it, which is the same each time."""
    first, again = [(await engine.app.database.read(load(run.id))).events for _ in range(2)]
    assert list(first) == list(again)
    assert first[0].type == "run.started"
    assert [one.type for one in first].count("end") == (first[-1].type == "end")
    return [(one.event.data, one.event.origin) for one in first if isinstance(one.event, StreamItem)]


@pytest.mark.parametrize(("target", "reached"), [("root", "joining_root"), ("parent", "joining_middle")])
async def test_an_item_for_a_run_above_is_in_its_log_as_long_as_that_is_kept(engine: Engine, target: str, reached: str) -> None:
    run = await engine.start(joining_root, target)
    await run.result()
    runs = await by_task(engine)
    live = [(item.data, item.origin) async for item in runs[reached].stream(notes)]
    assert live == [("from far below", runs["joining_leaf"].id)]
    await engine.app.streams.forget([one.id for one in runs.values()])
    for name, one in runs.items():
        assert await rebuilt_items(engine, one) == (live if name == reached else [])
    assert [(item.data, item.origin) async for item in runs[reached].stream(notes)] == live
    await engine.app.runs.delete(runs["joining_leaf"].id)
    assert await rebuilt_items(engine, runs[reached]) == live


async def test_items_of_a_step_reach_the_root_once_and_those_of_a_failed_try_are_not_kept(engine: Engine) -> None:
    @step(retry=Retry(attempts=2, initial=0))
    async def count_up() -> None:
        await notes.append("one", target="root")
        await notes.append("one", target="parent")
        if current_step().attempt == 1:
            raise ValueError("again")
        await notes.append("two", target="root")

    @task
    async def counter() -> None:
        await count_up()

    @task
    async def counters() -> None:
        await asyncio.gather(counter(), counter())

    run = await engine.start(counters)
    await run.result()
    items = await rebuilt_items(engine, run)
    assert sorted(item for item, _ in items) == ["one"] * 4 + ["two"] * 2
    assert [len([item for item, origin in items if origin == one]) for one in {origin for _, origin in items}] == [3, 3]


async def test_a_root_that_waits_is_told_of_what_was_said_in_its_stream_though_redis_forgot(engine: Engine) -> None:
    @task
    async def speaks_first() -> None:
        await notes.append("before", target="root")
        await sleep("1h")
        await notes.append("after", target="root")

    @task
    async def listens() -> None:
        await speaks_first()

    run = await engine.start(listens)
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    await engine.app.streams.flush()
    await engine.app.streams.forget([run.id])
    assert [item for item, _ in await rebuilt_items(engine, run)] == ["before"]
    await engine.clock.advance("1h")
    await run.result()
    assert [item for item, _ in await rebuilt_items(engine, run)] == ["before", "after"]


async def test_a_replay_tells_the_root_nothing_twice_and_its_waits_do_not_matter(engine: Engine) -> None:
    @task
    async def worker() -> None:
        await notes.append("first", target="root")
        await sleep("1h")
        await notes.append("second", target="root")

    @task
    async def boss() -> None:
        await worker()

    run = await engine.start(boss)
    for _ in range(2):
        await engine.until(run, RunState.WAITING)
        await engine.settle()
        await engine.crash()
    await engine.clock.advance("1h")
    await run.result()
    assert await engine.items(run, notes) == ["first", "second"]
    assert [item.data async for item in run.stream(notes)] == ["first", "second"]
