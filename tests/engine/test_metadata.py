"""Metadata: what a run tells of itself while it works."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import approve, context, step, task
from agentflow.errors import NotInRun
from agentflow.serde import loads
from agentflow.streams.events import RunProgress
from agentflow.testing import Engine


async def told(engine: Engine, run_id: str) -> list[dict[str, object]]:
    await engine.app.streams.flush()
    return [dict(one.event.data) for one in await engine.app.streams.read(run_id) if isinstance(one.event, RunProgress)]


async def test_readers_follow_what_a_run_writes_and_get_shows_the_last(engine: Engine) -> None:
    gate = asyncio.Event()

    @step
    async def work() -> None:
        await gate.wait()

    @task
    async def main() -> None:
        context().metadata["stage"] = "fetching"
        await work()
        context().metadata["stage"] = "shipped"
        context().metadata["done"] = 3

    run = await engine.start(main.using(metadata={"by": "maria"}))
    await engine.settle()
    assert loads((await run.get()).metadata) == {"by": "maria", "stage": "fetching"}
    gate.set()
    await run.result()
    assert loads((await run.get()).metadata) == {"by": "maria", "stage": "shipped", "done": 3}
    assert (await told(engine, run.id))[0] == {"by": "maria", "stage": "fetching"}
    assert (await told(engine, run.id))[-1] == {"by": "maria", "stage": "shipped", "done": 3}


async def test_a_blocking_step_may_tell_of_its_progress_from_its_thread(engine: Engine) -> None:
    @step
    def work() -> None:
        context().metadata["done"] = 1

    @task
    async def main() -> None:
        await work()

    # In its debug mode the loop refuses to be used from another thread.
    asyncio.get_running_loop().set_debug(True)
    run = await engine.start(main)
    await run.result()
    assert loads((await run.get()).metadata) == {"done": 1}
    assert await told(engine, run.id) == [{"done": 1}]


async def test_a_replay_tells_nothing_twice_and_later_changes_are_kept(engine: Engine) -> None:
    @step
    async def work() -> None:
        return None

    @task
    async def main() -> None:
        context().metadata["stage"] = "one"
        await work()
        context().metadata["stage"] = "two"
        await work()
        await approve("Go on?")
        context().metadata["stage"] = "three"

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.app.waitpoints.approve(question.id, by="maria")
    await run.result()
    assert [one["stage"] for one in await told(engine, run.id)] == ["one", "two", "three"]
    assert loads((await run.get()).metadata) == {"stage": "three"}


async def test_a_value_that_is_no_json_is_refused_where_it_is_written(engine: Engine) -> None:
    @task
    async def main() -> str:
        with pytest.raises(Exception, match="object"):
            context().metadata["lock"] = object()
        return str(dict(context().metadata))

    assert await (await engine.start(main)).result() == "{}"


async def test_a_key_can_be_taken_back(engine: Engine) -> None:
    @task
    async def main() -> None:
        context().metadata["a"] = 1
        del context().metadata["a"]

    run = await engine.start(main)
    await run.result()
    assert loads((await run.get()).metadata) == {}


def test_outside_of_a_run_there_is_no_metadata() -> None:
    with pytest.raises(NotInRun, match="outside of a run"):
        _ = context().metadata
