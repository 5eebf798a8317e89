"""Runs started by runs: awaited, detached, in batches."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import RunFailed, approve, sleep, step, task
from agentflow.errors import InvalidPayload, RunError
from agentflow.records import RunState
from agentflow.streams.events import ChildFinished
from agentflow.testing import Engine


@task
async def send(order: str, *, express: bool = False) -> str:
    return f"{order}{'!' if express else ''}"


async def test_a_parent_gets_its_childs_output_and_a_failed_child_raises_with_its_id(engine: Engine) -> None:
    """forty 22"""

    @task
    async def child(word: str) -> str:
        if word == "bad":
            raise ValueError("no")
        return word

    @task
    async def parent() -> list[str]:
        good = await child("good")
        try:
            await child("bad")
        except RunFailed as failed:
            return [good, failed.run_id, failed.details["error"]["type"]]
        return []

    run = await engine.start(parent)
    good, failed, kind = await run.result()
    assert (good, kind) == ("good", "ValueError")
    assert failed in {one.id for one in await engine.app.runs.list(parent=run.id, status="failed")}


async def test_a_child_that_ended_before_it_is_waited_for_is_there_at_once(engine: Engine) -> None:
    """forty 24"""

    @task
    async def parent() -> str:
        child = await send.start("a")
        await sleep("1h")
        return await child.result()

    run = await engine.start(parent)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == "a"


@pytest.mark.worker(hot_limit=0)
async def test_a_child_that_ends_while_its_parent_lets_go_of_its_lease_wakes_it(engine: Engine) -> None:
    @step
    async def work() -> None:
        return None

    @task
    async def child() -> int:
        await work()
        return 1

    @task
    async def parent() -> int:
        return await child() + await child()

    run = await engine.start(parent)
    assert await run.result() == 2


async def test_a_detached_start_has_a_recorded_id_and_outlives_its_parent(engine: Engine) -> None:
    @task
    async def long() -> str:
        await sleep("1d")
        return "long"

    @task
    async def parent() -> str:
        child = await long.start()
        await sleep("1h")
        return child.id

    run = await engine.start(parent)
    await engine.until(run, RunState.WAITING)
    await engine.crash()
    await engine.clock.advance("1h")
    child = await run.result()
    [found] = await engine.app.runs.list(task="long")
    assert (found.id, found.parent_id, found.state) == (child, run.id, RunState.WAITING)
    await engine.clock.advance("1d")
    assert (await engine.app.runs.get(child)).state is RunState.COMPLETED


async def test_readers_of_a_parent_are_told_how_each_child_ended(engine: Engine) -> None:
    @task
    async def bad() -> None:
        raise ValueError("no")

    @task
    async def slow() -> None:
        await sleep("1d")

    @task
    async def parent() -> list[str]:
        ends: list[str] = []
        for child in (send("a"), bad(), slow()):
            try:
                await child
            except RunError as error:
                ends.append(type(error).__name__)
        return ends

    run = await engine.start(parent)
    await engine.until(run, RunState.WAITING)
    await engine.settle()
    [waiting] = await engine.app.runs.list(task="slow")
    await engine.app.runs.cancel(waiting.id)
    assert await run.result() == ["RunFailed", "RunCancelled"]
    told = [stored.event for stored in await engine.events(run) if isinstance(stored.event, ChildFinished)]
    assert [event.status for event in told] == ["completed", "failed", "cancelled"]


# -- batches -----------------------------------------------------------------------------------------------------------------------------


async def test_a_batch_starts_a_run_per_item_and_gives_results_in_order(engine: Engine) -> None:
    batch = await send.map(["a", {"order": "b", "express": True}, "c"])
    assert len(batch) == 3
    assert await batch.results() == ["a", "b!", "c"]


async def test_a_batch_with_one_payload_that_does_not_fit_starts_nothing(engine: Engine) -> None:
    with pytest.raises(InvalidPayload, match="order"):
        await send.map(["a", {"order": ["no"]}])
    assert await engine.app.runs.list() == []


async def test_a_batch_inside_a_run_survives_a_crash_without_starting_anything_twice(engine: Engine) -> None:
    @task
    async def nap(number: int) -> int:
        await sleep("1h")
        return number * 2

    @task
    async def parent() -> list[int]:
        batch = await nap.map([1, 2, 3])
        return await batch.results()

    run = await engine.start(parent)
    await engine.settle()
    await engine.crash()
    await engine.clock.advance("1h")
    assert await run.result() == [2, 4, 6]
    assert len(await engine.app.runs.list(task="nap")) == 3


@pytest.mark.parametrize("evicted", [False, True])
async def test_two_parents_that_wait_for_a_child_with_one_key_both_go_on_and_one_child_ran(engine: Engine, evicted: bool) -> None:
    """forty 23"""
    gate = asyncio.Event()

    @step
    async def work() -> str:
        await gate.wait()
        return "done"

    @task
    async def child() -> str:
        return await work()

    @task
    async def parent() -> str:
        return await child.using(idempotency_key="k-1", idempotency_scope="global")()

    runs = [await engine.start(parent), await engine.start(parent)]
    for run in runs:
        await engine.until(run, RunState.WAITING)
    worker = engine.app.worker
    if evicted and worker is not None:
        worker.hot.evict_all()
    gate.set()
    assert [await run.result() for run in runs] == ["done", "done"]
    assert engine.calls(child) == 1


@pytest.mark.worker(poll=0.02)
async def test_a_child_whose_code_is_elsewhere_waits_for_a_worker_that_has_it(engine: Engine) -> None:
    @task
    async def parent() -> str:
        return await send("a")

    await engine.stop()
    await engine.go_on({"parent": parent})
    run = await engine.start(parent)
    await engine.settle()
    async with asyncio.timeout(10):
        while (await engine.app.runs.list(task="send"))[0].note != "no worker for send":
            await asyncio.sleep(0)
    await engine.stop()
    await engine.go_on()
    assert await run.result() == "a"


async def test_a_test_that_asks_for_the_questions_of_a_run_gets_none_of_its_other_waits(engine: Engine) -> None:
    @task
    async def sleeper() -> None:
        await sleep("1d")

    @task
    async def beside() -> str | None:
        _, decision = await asyncio.gather(sleeper(), approve("Go on?"))
        return decision.by

    run = await engine.start(beside)
    assert len(await engine.waiting(run, 2)) == 2
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria")
    await engine.clock.advance("1d")
    assert await run.result() == "maria"


async def test_a_test_that_asks_for_the_question_of_a_run_that_has_ended_is_told_so_at_once(engine: Engine) -> None:
    run = await engine.start(send, "o-1")
    with pytest.raises(AssertionError, match=f"{run.id} did not become waiting: it is completed"):
        await asyncio.wait_for(engine.waiting(run, kind="approval"), 5)
