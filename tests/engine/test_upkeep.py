"""Upkeep by a working worker: old runs go by themselves, and whoever still reads one is told."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import approve, step, task
from agentflow.app.doctor import checkup
from agentflow.clock import SECOND
from agentflow.errors import RunError, RunNotFound
from agentflow.records import RunState
from agentflow.testing import Engine

PATIENCE = 10.0


@step
async def add(one: int, two: int) -> int:
    return one + two


@task
async def adds(one: int) -> int:
    return await add(one, 1)


@task
async def asks() -> bool:
    return (await approve("Go on?", expires=None)).approved


@task
async def starts_and_waits() -> int:
    child = await adds.start(1)
    await approve("Go on?", expires=None)
    return await child.result()


async def becomes(engine: Engine, wanted: set[str]) -> None:
    """Return once these are the runs that are left; the upkeep comes again and again, and rests in between by the real clock."""
    async with asyncio.timeout(PATIENCE):
        while {run.id for run in await engine.app.runs.list(limit=500)} != wanted:
            assert engine.app.worker is not None
            await engine.clock.advance(engine.app.worker.maintenance.upkeep.every / SECOND)


async def test_a_finished_run_goes_after_thirty_days_and_one_that_waits_stays(engine: Engine) -> None:
    """F4"""
    done, waiting = await engine.start(adds, 1), await engine.start(asks)
    assert await done.result() == 2
    await engine.waiting(waiting)
    await engine.clock.advance("29d")
    assert (await engine.get(done)).state is RunState.COMPLETED
    await engine.clock.advance("2d")
    await becomes(engine, {waiting.id})
    with pytest.raises(RunNotFound):
        await engine.get(done)
    [question] = await engine.waiting(waiting)
    await question.approve(by="maria")
    assert await waiting.result()


@pytest.mark.worker(retention="1h")
async def test_how_long_finished_runs_are_kept_is_a_setting_of_the_worker(engine: Engine) -> None:
    done = await engine.start(adds, 1)
    await done.result()
    await engine.clock.advance("2h")
    await becomes(engine, set())


@pytest.mark.worker(retention="forever")
async def test_runs_are_kept_for_ever_if_one_wants(engine: Engine) -> None:
    done = await engine.start(adds, 1)
    await done.result()
    await engine.clock.advance("60d")
    assert (await engine.get(done)).state is RunState.COMPLETED
    [finding] = [one for one in await checkup(engine.app) if one.code == "size"]
    assert "kept for ever, the oldest ended 60 days ago" in finding.message


@pytest.mark.worker(retention="1d", hot_window=0, hot_limit=0)
async def test_a_parent_that_waits_for_long_finds_the_child_that_it_started(engine: Engine) -> None:
    """F4"""
    parent = await engine.start(starts_and_waits)
    [question] = await engine.waiting(parent)
    unrelated = await engine.start(adds, 2)
    await unrelated.result()
    await engine.clock.advance("2d")
    children = {run.id for run in await engine.app.runs.list(parent=parent.id)}
    await becomes(engine, {parent.id, *children})
    assert len(children) == 1
    await question.approve(by="maria")
    assert await parent.result() == 2


@pytest.mark.worker(retention="1h")
async def test_the_upkeep_of_a_worker_that_died_is_done_by_the_next(engine: Engine) -> None:
    """F4"""
    done = await engine.start(adds, 1)
    await done.result()
    await engine.clock.advance("50m")
    await engine.crash()
    await engine.clock.advance("1h")
    await becomes(engine, set())


async def test_an_operator_deletes_a_run_that_has_ended_and_no_other(engine: Engine) -> None:
    done, waiting = await engine.start(adds, 1), await engine.start(asks)
    await done.result()
    await engine.waiting(waiting)
    with pytest.raises(RunError, match="only a run that has ended"):
        await engine.app.runs.delete(waiting.id)
    await engine.app.streams.flush()
    await engine.app.runs.delete(done.id)
    assert await engine.app.streams.tail(done.id) is None
    assert [run.id for run in await engine.app.runs.list()] == [waiting.id]
    with pytest.raises(RunNotFound):
        await engine.app.runs.delete(done.id)


async def test_who_waits_for_the_result_of_a_run_that_is_deleted_is_told_so(engine: Engine) -> None:
    """T6, T56"""
    done = await engine.start(adds, 1)
    await done.result()
    await engine.app.runs.delete(done.id)
    with pytest.raises(RunNotFound):
        await done.result()


async def test_the_doctor_tells_how_large_each_table_is_and_what_is_kept(engine: Engine) -> None:
    done = await engine.start(adds, 1)
    await done.result()
    await engine.clock.advance("1h")
    [finding] = [one for one in await checkup(engine.app) if one.code == "size"]
    assert finding.details["bytes"] > 0
    assert {"runs", "journal", "waitpoints", "blobs"} <= finding.details["tables"].keys()
    assert finding.details["retention_seconds"] == 30 * 86_400
    assert "the oldest ended 1 hour ago" in finding.message
