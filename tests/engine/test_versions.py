"""Versions of code: pinned, compatible, or moved by an operator; and never silently stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from agentflow import Agentflow, RunFailed, approve, sleep, step, task
from agentflow.app.doctor import Finding, checkup, stuck
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError, RunError, UnknownTask, UnknownVersion
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.storage import queues, versions
from agentflow.testing import Engine
from tests.engine.noticing import noted

quick = pytest.mark.worker(poll=0.02)
cold = pytest.mark.worker(poll=0.02, hot_window=0, hot_limit=0)


@step
async def pick(order: str) -> str:
    return f"picked {order}"


def fulfil(version: str | None, accepts: tuple[str, ...] = ()) -> Task[[], str]:
    """A task that says at its end which code it was."""

    @task(name="fulfil", version=version, accepts=accepts)
    async def fulfil() -> str:
        picked = await pick("o-81")
        await approve("Ship it?")
        return f"{picked} by {version}"

    return fulfil


async def reach(test: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0)


async def deploy(engine: Engine, task: Task[[], str]) -> None:
    """The only worker dies, and one with other code takes its place."""
    await engine.stop()
    await engine.go_on({"fulfil": task})


async def waiting(engine: Engine, task: Task[[], str]) -> tuple[RunHandle[str], Any]:
    run = await engine.start(task)
    [question] = await engine.waiting(run)
    return run, question


def troubles(found: list[Finding]) -> dict[str, Finding]:
    return {one.code: one for one in found if one.level != "ok"}


@asynccontextmanager
async def beside(engine: Engine, redis: str, *tasks: Task[..., Any]) -> AsyncGenerator[Agentflow]:
    """A second process on the same database."""
    app = Agentflow(
        tasks, database=engine.database_url, redis=redis, worker=engine.settings, clock=engine.clock, directory=engine.directory
    )
    await app.open()
    yield app
    assert app.worker is not None
    await app.worker.kill()
    await app.streams.close()
    await app.database.close()


# -- pinned ------------------------------------------------------------------------------------------------------------------------------


@cold
async def test_a_run_of_version_1_waits_while_only_version_2_works_and_says_so_with_what_to_do(engine: Engine) -> None:
    """T19 (a)."""
    old = fulfil("1")
    run, question = await waiting(engine, old)
    await deploy(engine, fulfil("2"))
    before = troubles(await checkup(engine.app))
    assert before["code_gone"].level == "warning"
    assert "1 waiting run of fulfil version 1 will not go on" in before["code_gone"].message
    await question.approve(by="maria")
    record = await noted(engine, run)
    assert (record.state, record.note, record.version) == (RunState.QUEUED, "no worker for fulfil version 1", "1")
    found = troubles(await checkup(engine.app))["nobody_takes"]
    assert found.runs == (run.id,)
    assert "no live worker takes version 1 (they take: 2)" in found.message
    assert "agentflow runs move --task fulfil --from 1 --to 2" in found.hint
    assert found.details == {"task": "fulfil", "version": "1", "queue": "default"}
    assert await stuck(engine.app, run.id) == [found]
    await engine.stop()
    await engine.go_on({"fulfil": old})
    assert await run.result() == "picked o-81 by 1"
    assert (await engine.get(run)).note is None
    assert engine.calls(pick) == 1


@cold
async def test_code_that_accepts_the_version_goes_on_with_the_run(engine: Engine) -> None:
    """T19 (b)."""
    old = fulfil("1")
    run, question = await waiting(engine, old)
    await deploy(engine, fulfil("2", accepts=("1",)))
    assert troubles(await checkup(engine.app)) == {}
    await question.approve(by="maria")
    assert await run.result() == "picked o-81 by 2"
    assert (await engine.get(run)).version == "1"
    assert engine.calls(pick) == 1


@cold
async def test_an_operator_moves_a_run_that_nobody_takes_and_it_goes_on_from_its_record(engine: Engine) -> None:
    """T19 (c)."""
    old = fulfil("1")
    run, question = await waiting(engine, old)
    await deploy(engine, fulfil("2"))
    await question.approve(by="maria")
    await noted(engine, run)
    moved = await engine.app.runs.move(run.id, to="2")
    assert (moved.runs, moved.warning) == (1, None)
    assert await run.result() == "picked o-81 by 2"
    assert (await engine.get(run)).version == "2"
    assert engine.calls(pick) == 1


@cold
async def test_a_run_without_a_version_is_taken_by_whatever_code_there_is(engine: Engine) -> None:
    old = fulfil(None)
    run, question = await waiting(engine, old)
    await deploy(engine, fulfil("2"))
    await question.approve(by="maria")
    assert await run.result() == "picked o-81 by 2"


@cold
async def test_code_that_declares_no_version_any_more_takes_no_pinned_run_until_it_is_moved_to_any(engine: Engine) -> None:
    old = fulfil("1")
    run, question = await waiting(engine, old)
    await deploy(engine, fulfil(None))
    await question.approve(by="maria")
    await noted(engine, run)
    assert "--to-any" in troubles(await checkup(engine.app))["nobody_takes"].hint
    assert (await engine.app.runs.move(run.id, to=None)).warning is None
    assert await run.result() == "picked o-81 by None"


@pytest.mark.worker(poll=0.02, slots=1)
async def test_a_run_set_aside_while_its_worker_was_joining_is_put_back(engine: Engine) -> None:
    """Another process looked before it could see the new worker."""
    # A version that no task of another test has, which might still be in memory: this engine's worker knows them all.
    gate, entered, late = asyncio.Event(), asyncio.Event(), fulfil(uuid4().hex)

    @task
    async def blocks() -> None:
        entered.set()
        await gate.wait()

    blocker = await engine.start(blocks)
    await entered.wait()
    run = await engine.start(late)
    [aside] = await engine.app.database.transact(queues.sift(["default"], (), 10, engine.clock.now()))
    assert aside == run.id
    gate.set()
    await blocker.result()
    assert await engine.waiting(run)


# -- moving ------------------------------------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_in_the_memory_of_the_old_version_is_gone_on_with_by_the_new(engine: Engine, stream_server: str) -> None:
    """T19 (c): the answer comes to the very process that keeps it in memory."""
    old, new = fulfil("1"), fulfil("2")
    await engine.stop()
    await engine.go_on({"fulfil": old})
    run, question = await waiting(engine, old)
    async with beside(engine, stream_server, new) as other:
        moved = await other.runs.move(run.id, to="2")
        assert moved.warning is None
        await question.approve(by="maria")
        assert await run.result() == "picked o-81 by 2"
        assert engine.app.worker is not None
        assert engine.app.worker.free == engine.settings.slots
    assert engine.calls(pick) == 1


async def test_a_run_that_waits_where_both_versions_are_taken_goes_on_in_memory(engine: Engine) -> None:
    both = fulfil("2", accepts=("1",))
    await engine.stop()
    await engine.go_on({"fulfil": both})
    run, question = await waiting(engine, both)
    await engine.app.runs.move(run.id, to="1")
    await question.approve(by="maria")
    assert await run.result() == "picked o-81 by 2"
    assert engine.calls(both) == 1


@cold
async def test_a_run_that_is_moved_while_it_works_goes_on_and_moves_at_its_next_lease(engine: Engine) -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    def napper(version: str) -> Task[[], str]:
        @task(name="napper", version=version)
        async def napper() -> str:
            entered.set()
            await gate.wait()
            first = await pick(version) if version == "1" else "unasked"
            await sleep("1h")
            return f"{first}, then {version}"

        return napper

    old, new = napper("1"), napper("2")
    await engine.stop()
    await engine.go_on({"napper": old})
    run = await engine.start(old)
    await entered.wait()
    moved = await engine.app.runs.move(run.id, to="2", force=True)
    assert "No live worker takes napper version 2" in (moved.warning or "")
    gate.set()
    await engine.until(run, RunState.WAITING)
    assert [entry.value for entry in await engine.app.runs.journal(run.id)] == ['"picked 1"']
    await engine.stop()
    await engine.go_on({"napper": new})
    await engine.clock.advance("1h")
    assert await run.result() == "unasked, then 2"


@quick
async def test_a_move_is_refused_where_it_makes_no_sense(engine: Engine) -> None:
    one = fulfil("1")
    await engine.stop()
    await engine.go_on({"fulfil": one})
    run, question = await waiting(engine, one)
    with pytest.raises(UnknownVersion, match="ever had fulfil version 7") as unknown:
        await engine.app.runs.move(run.id, to="7")
    assert "Versions that workers serve: 1" in unknown.value.hint
    with pytest.raises(UnknownTask):
        await engine.app.runs.move_all(task="fulfill", version="1", to="2")
    moved = await engine.app.runs.move(run.id, to="7", force=True)
    assert "No live worker takes fulfil version 7" in (moved.warning or "")
    await question.approve(by="maria")
    assert (await noted(engine, run)).note == "no worker for fulfil version 7"
    await engine.app.runs.move(run.id, to="1")
    assert await run.result() == "picked o-81 by 1"
    with pytest.raises(RunError, match="completed: it cannot be moved"):
        await engine.app.runs.move(run.id, to="1")


@cold
async def test_a_version_that_only_the_registry_knows_is_warned_of(engine: Engine) -> None:
    one = fulfil("1")
    run, _ = await waiting(engine, one)
    await deploy(engine, fulfil("2"))
    await engine.stop()
    await engine.go_on({})
    moved = await engine.app.runs.move(run.id, to="2")
    assert "waits until one comes" in (moved.warning or "")


async def test_all_runs_of_a_version_are_moved_in_batches_and_those_of_others_are_not(engine: Engine) -> None:
    one, two = fulfil("1"), fulfil("2")
    old = [await one.using(delay="1h").start() for _ in range(versions.BATCH + 3)]
    ended = await one.using(delay="1h").start()
    await ended.cancel("not this one")
    others = [
        await two.using(delay="1h").start(),
        await fulfil("3").using(delay="1h").start(),
        await fulfil(None).using(delay="1h").start(),
    ]
    moved = await engine.app.runs.move_all(task="fulfil", version="1", to="2", force=True)
    assert moved.runs == len(old)
    assert {(await engine.get(run)).version for run in (old[0], old[-1])} == {"2"}
    assert [(await engine.get(run)).version for run in (ended, *others)] == ["1", "2", "3", None]
    assert (await engine.app.runs.move_all(task="fulfil", version="1", to="2", force=True)).runs == 0


# -- starts ------------------------------------------------------------------------------------------------------------------------------


async def test_a_start_by_name_has_the_version_of_the_registry_and_a_child_that_of_its_parents_process(
    engine: Engine, stream_server: str
) -> None:
    child = fulfil("2")

    @task(version="5")
    async def parent() -> str:
        return await child()

    await engine.stop()
    await engine.go_on({"fulfil": child, "parent": parent})
    async with Agentflow(
        database=engine.database_url, redis=stream_server, worker=False, clock=engine.clock, directory=engine.directory
    ) as app:
        by_name = await app.start("fulfil")
        assert (await app.runs.get(by_name.id)).version == "2"
    run = await engine.start(parent)
    await engine.until(run, RunState.WAITING)
    [made] = await engine.app.runs.list(parent=run.id)
    assert ((await engine.get(run)).version, made.version) == ("5", "2")


@quick
async def test_a_run_of_a_version_that_this_process_does_not_have_is_not_begun_here(engine: Engine) -> None:
    await engine.stop()
    await engine.go_on({"fulfil": fulfil("2")})
    foreign = fulfil("1")
    run = await foreign.start()
    assert (await noted(engine, run)).note == "no worker for fulfil version 1"
    assert engine.calls(foreign) == 0


@cold
async def test_a_run_that_is_taken_up_again_stays_of_its_version_and_can_be_moved(engine: Engine) -> None:
    @task(name="fulfil", version="1")
    async def broken() -> str:
        await pick("o-81")
        raise ValueError("no")

    run = await engine.start(broken)
    with pytest.raises(RunFailed):
        await run.result()
    repaired = fulfil("2")
    await deploy(engine, repaired)
    again = await engine.app.runs.revive(run.id)
    assert again.version == "1"
    await engine.app.runs.move(again.id, to="2")
    handle: RunHandle[str] = RunHandle(again.id, engine.app.runs, repaired.codec)
    [question] = await engine.waiting(handle)
    await question.approve(by="maria")
    assert await handle.result() == "picked o-81 by 2"
    assert engine.calls(pick) == 1


@pytest.mark.parametrize(("version", "accepts"), [(None, ["1"]), ("", []), ("2", "1"), ("2", [""]), (2, [])])
def test_a_version_that_cannot_be_is_refused_where_it_is_written(version: Any, accepts: Any) -> None:
    with pytest.raises(DefinitionError):
        task(name="odd", version=version, accepts=accepts)(test_a_version_that_cannot_be_is_refused_where_it_is_written)
