"""Streams of the user's own: typed items, recorded in tasks, part of a step in steps; exact after crashes and without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from agentflow import InputStream, Retry, Stream, sleep, step, stream, task
from agentflow.engine.named import LIMIT
from agentflow.errors import DefinitionError, ItemTooLarge, UnserializableValue
from agentflow.handle import Item, RunHandle
from agentflow.records import RunState
from agentflow.streams.courier import stream_key
from agentflow.streams.events import StreamItem
from agentflow.streams.wire import Remote, Wire
from agentflow.testing import Engine


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    opened = Wire(Remote(stream_server))
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Progress:
    done: int
    of: int


progress = Stream[Progress]("progress")
notes = Stream[str]("notes")


def upto(count: int) -> list[Progress]:
    return [Progress(done, count) for done in range(1, count + 1)]


async def told(run: RunHandle[Any], after: str | None = None) -> list[Item[Progress]]:
    """What a reader of the run's progress gets, to its end."""
    return [item async for item in run.stream(progress, after)]


async def test_readers_get_typed_items_in_order_and_nothing_of_other_streams(engine: Engine) -> None:
    @task
    async def work() -> str:
        for one in upto(3):
            await progress.append(one)
            await stream("log").append({"at": one.done})
        return "done"

    run = await engine.start(work)
    items = await told(run)
    assert [item.data for item in items] == upto(3) == await engine.items(run, progress)
    assert [item.step for item in items] == [f"stream.progress#{number}" for number in range(3)]
    assert [item.data async for item in run.stream(stream("log"))] == [{"at": number} for number in (1, 2, 3)]
    assert [item async for item in engine.app.runs.stream(run.id, progress)] == items


async def test_a_reader_goes_on_after_any_item(engine: Engine) -> None:
    @task
    async def work() -> None:
        for one in upto(4):
            await progress.append(one)

    run = await engine.start(work)
    items = await told(run)
    for at, item in enumerate(items):
        assert await told(run, item.cursor) == items[at + 1 :]


async def test_an_append_in_a_task_is_recorded_and_a_replay_says_nothing_twice(engine: Engine) -> None:
    @task
    async def work() -> None:
        await progress.append(Progress(1, 2))
        await sleep("1h")
        await progress.append(Progress(2, 2))

    run = await engine.start(work)
    for _ in range(2):
        await engine.waiting(run)
        await engine.crash()
    await engine.clock.advance("1h")
    await run.result()
    said = [event.event for event in await engine.events(run) if isinstance(event.event, StreamItem)]
    assert [one.data for one in said] == [{"done": 1, "of": 2}, {"done": 2, "of": 2}]
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["stream.progress#0", "stream.progress#1"]
    assert not (await engine.replay(run)).diverges


async def test_a_worker_that_dies_between_items_of_a_step_leaves_those_of_the_try_that_counts(engine: Engine) -> None:
    gate = asyncio.Event()

    @step
    async def works() -> None:
        await progress.append(Progress(1, 3))
        await progress.append(Progress(2, 3))
        await gate.wait()
        await progress.append(Progress(3, 3))

    @task
    async def work() -> None:
        await works()

    run = await engine.start(work)
    await engine.settle()
    assert await engine.items(run, progress) == upto(3)[:2]
    await engine.stop()
    gate.set()
    await engine.go_on()
    await run.result()
    assert await engine.items(run, progress) == upto(3)
    # Both tries said it while they worked, and each time it was another item.
    assert [item.data.done for item in await told(run)] == [1, 2, 1, 2, 3]
    assert len({item.key for item in await told(run)}) == 5


async def test_what_a_failed_try_appended_is_void(engine: Engine) -> None:
    tries: list[int] = []

    @step(retry=Retry(attempts=3, initial="1s", jitter=0))
    async def stumbles() -> None:
        tries.append(1)
        await notes.append(f"try {len(tries)}")
        if len(tries) < 3:
            raise ValueError("again")

    @task
    async def work() -> None:
        await notes.append("begins")
        await stumbles()

    run = await engine.start(work)
    for _ in range(2):
        await engine.settle()
        await engine.clock.advance("2s")
    await run.result()
    assert await engine.items(run, notes) == ["begins", "try 3"]
    await engine.app.streams.forget([run.id])
    assert [item.data async for item in run.stream(notes)] == ["begins", "try 3"]


async def test_a_run_whose_stream_is_gone_is_rebuilt_with_all_items(engine: Engine) -> None:
    @step
    async def works() -> None:
        for one in upto(2):
            await progress.append(one)

    @task
    async def work() -> None:
        await progress.append(Progress(0, 2))
        await works()
        await progress.append(Progress(2, 2))

    run = await engine.start(work)
    before = await told(run)
    await engine.app.streams.forget([run.id])
    after = await told(run)
    assert [(item.data, item.key, item.step) for item in after] == [(item.data, item.key, item.step) for item in before]
    assert [await told(run, item.cursor) for item in after] == [after[at + 1 :] for at in range(len(after))]


@pytest.mark.parametrize("lost", [("step.completed",), ("stream.item", "step.completed")], ids=["its end", "all of it"])
async def test_items_that_are_told_again_after_a_crash_come_once(engine: Engine, wire: Wire, lost: tuple[str, ...]) -> None:
    """The worker died after the step was recorded, and before its readers had heard all of it."""
    gate = asyncio.Event()

    @step
    async def works() -> None:
        for one in upto(2):
            await progress.append(one)

    @step
    async def waits() -> None:
        await gate.wait()

    @task
    async def work() -> None:
        await works()
        await progress.append(Progress(3, 2))
        await waits()

    run = await engine.start(work)
    await engine.settle()
    for entry in await engine.events(run):
        if entry.type in lost:
            await wire.call("XDEL", stream_key(run.id), str(entry.id))
    await engine.stop()
    gate.set()
    await engine.go_on()
    await run.result()
    assert await engine.items(run, progress) == [*upto(2), Progress(3, 2)]
    assert [item.data.done for item in await told(run)] == [1, 2, 3]


async def test_an_item_that_a_dead_worker_recorded_and_did_not_tell_comes_before_the_next_one(engine: Engine, wire: Wire) -> None:
    """The run waited when its worker died, so nobody had to recover it."""

    @task
    async def work() -> None:
        await notes.append("first")
        await sleep("1h")
        await notes.append("second")

    run = await engine.start(work)
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    for entry in await engine.events(run):
        if entry.type in ("step.started", "stream.item", "step.completed", "run.waiting"):
            await wire.call("XDEL", stream_key(run.id), str(entry.id))
    await engine.crash()
    await engine.clock.advance("1h")
    await run.result()
    assert await engine.items(run, notes) == ["first", "second"]


async def test_steps_that_are_plain_functions_append_without_waiting(engine: Engine) -> None:
    @step
    def works() -> int:
        for one in upto(3):
            progress.append(one)
        return 3

    @task
    async def work() -> int:
        return await works()

    run = await engine.start(work)
    assert await run.result() == 3
    assert await engine.items(run, progress) == upto(3)


async def test_parallel_branches_append_without_getting_into_each_others_way(engine: Engine) -> None:
    @task
    async def work() -> None:
        await asyncio.gather(*(notes.append(f"note {number}") for number in range(3)))

    run = await engine.start(work)
    await run.result()
    assert sorted(await engine.items(run, notes)) == ["note 0", "note 1", "note 2"]


async def test_outside_of_a_run_nothing_is_appended_and_plain_calls_work() -> None:
    @step
    async def works() -> str:
        await progress.append(Progress(1, 1))
        return "done"

    await progress.append(Progress(1, 1))
    assert await works() == "done"


async def test_an_item_of_the_wrong_type_or_size_is_an_error_at_the_append(engine: Engine) -> None:
    @task
    async def work() -> list[str]:
        codes: list[str] = []
        wrong: Any = "half"
        for append in (lambda: progress.append(wrong), lambda: notes.append("x" * LIMIT)):
            try:
                await append()
            except (UnserializableValue, ItemTooLarge) as error:
                codes.append(f"{error.code}: {error.hint}")
        await notes.append("x" * (LIMIT - 2))
        return codes

    run = await engine.start(work)
    [unserializable, large] = await run.result()
    assert unserializable.startswith("unserializable")
    assert large == "item_too_large: Store it elsewhere and put a reference to it in its place: a path, a URL, a key."
    assert await engine.items(run, notes) == ["x" * (LIMIT - 2)]


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 201])
def test_a_name_that_cannot_stand_in_a_path_is_refused(name: str) -> None:
    for kind in (Stream[str], InputStream[str]):
        with pytest.raises(DefinitionError):
            kind(name)
