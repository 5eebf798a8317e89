"""Code that changed under a run, code that is not there, and runs taken up again by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentflow import RunFailed, approve, sleep, step, task
from agentflow.engine.task import Task
from agentflow.errors import RunError
from agentflow.records import RunRecord, RunState
from agentflow.serde import decode_failure
from agentflow.testing import Engine
from tests.engine.noticing import noted

pytestmark = pytest.mark.worker(hot_window=0, hot_limit=0)


@step
async def fetch(page: int) -> int:
    return page * 10


@step
async def count() -> int:
    return 1


@step
async def extra() -> int:
    return 5


def version_one() -> Task[[], int]:
    @task(name="report")
    async def report() -> int:
        total = await fetch(1) + await count()
        await sleep("1h")
        return total + await fetch(9)

    return report


def reordered() -> Task[[], int]:
    @task(name="report")
    async def report() -> int:
        total = await count() + await extra() + await fetch(1)
        await sleep("1h")
        return total + await fetch(9)

    return report


def other_input() -> Task[[], int]:
    @task(name="report")
    async def report() -> int:
        total = await fetch(2) + await count()
        await sleep("1h")
        return total + await fetch(9)

    return report


async def deploy(engine: Engine, change: Callable[[], Task[[], int]]) -> tuple[Any, Task[[], int]]:
    """A run of the first version sleeps; its worker is gone and another has the changed code."""
    first = version_one()
    run = await engine.start(first)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    changed = change()
    await engine.go_on({"report": changed})
    return run, changed


async def test_steps_asked_for_in_another_order_and_new_ones_between_them_disturb_nothing(engine: Engine) -> None:
    """T16"""
    run, _ = await deploy(engine, reordered)
    await engine.clock.advance("1h")
    assert await run.result() == 10 + 1 + 5 + 90
    assert (engine.calls(fetch), engine.calls(count), engine.calls(extra)) == (2, 1, 1)


async def test_changed_code_with_another_input_pauses_the_run_with_a_diff_and_costs_no_attempt(engine: Engine) -> None:
    """T16"""
    run, _ = await deploy(engine, other_input)
    await engine.clock.advance("1h")
    paused = await engine.until(run, RunState.PAUSED)
    told = decode_failure(paused.error or "")
    assert told.code == "divergence"
    assert "fetch#0" in told.message
    assert "--continue" in told.hint
    difference = told.details or {}
    assert (difference["step"], difference["seq"]) == ("fetch#0", 1)
    assert difference["recorded"] != difference["asked"]
    assert (paused.attempt, paused.recoveries) == (1, 0)
    assert "changed" in (paused.note or "")
    assert engine.calls(fetch) == 1


async def test_a_paused_run_that_is_told_to_continue_keeps_its_record(engine: Engine) -> None:
    run, _ = await deploy(engine, other_input)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.PAUSED)
    await engine.app.runs.resume(run.id)
    assert await run.result() == 10 + 1 + 90
    assert engine.calls(fetch) == 2


async def test_a_paused_run_that_is_told_to_rerun_runs_on_from_the_step_that_differs(engine: Engine) -> None:
    run, _ = await deploy(engine, other_input)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.PAUSED)
    await engine.app.runs.resume(run.id, rerun=True)
    assert await run.result() == 20 + 1 + 90
    assert (engine.calls(fetch), engine.calls(count)) == (3, 2)


async def test_a_later_change_of_the_code_pauses_a_continued_run_again(engine: Engine) -> None:
    run, _ = await deploy(engine, other_input)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.PAUSED)
    await engine.stop()

    @task(name="report")
    async def third() -> int:
        return await fetch(3)

    await engine.go_on({"report": third})
    await engine.app.runs.resume(run.id)
    assert (await engine.until(run, RunState.PAUSED, RunState.COMPLETED)).state is RunState.PAUSED


async def test_a_paused_run_can_be_cancelled_and_only_a_paused_one_resumed(engine: Engine) -> None:
    run, _ = await deploy(engine, other_input)
    with pytest.raises(RunError, match="not paused"):
        await engine.app.runs.resume(run.id)
    await engine.clock.advance("1h")
    await engine.until(run, RunState.PAUSED)
    await run.cancel("not worth it")
    assert (await engine.get(run)).state is RunState.CANCELLED


async def test_the_same_code_may_ask_with_other_inputs_for_what_happened_happened(engine: Engine) -> None:
    """Also what the replay report says: no worker would pause this."""
    inputs = iter(range(1, 9))

    @task
    async def drifting() -> int:
        page = await fetch(next(inputs))
        await sleep("1h")
        return page

    run = await engine.start(drifting)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == 10
    report = await engine.replay(run)
    assert not report.diverges, report


async def test_replay_says_which_recorded_steps_todays_code_would_ask_differently(engine: Engine) -> None:
    first = version_one()
    run = await engine.start(first)
    await engine.until(run, RunState.WAITING)
    assert not (await engine.replay(run)).diverges
    same = reordered()
    assert same.name == "report"
    changed = other_input()
    report = await engine.replay(run)
    assert report.diverges
    assert report.differs == ["fetch#0"]
    assert changed is not same
    assert engine.calls(fetch) == 1


async def test_replay_says_which_records_todays_code_passes_by(engine: Engine) -> None:
    @task(name="shrinking")
    async def before() -> int:
        return await fetch(1) + await count()

    run = await engine.start(before)
    await run.result()

    @task(name="shrinking")
    async def after() -> int:
        return await count()

    report = await engine.replay(run)
    assert (report.unasked, after.name) == (["fetch#0"], "shrinking")


# -- code that is not there --------------------------------------------------------------------------------------------------------------


@pytest.mark.worker(hot_window=0, hot_limit=0, poll=0.02)
async def test_a_run_of_a_task_that_no_worker_knows_waits_with_a_note_and_is_not_failed(engine: Engine) -> None:
    """T13"""
    first = version_one()
    run = await engine.start(first)
    await engine.until(run, RunState.WAITING)
    await engine.stop()
    await engine.go_on({})
    await engine.clock.advance("1h")
    set_aside = await noted(engine, run)
    assert set_aside.note == "no worker for report"
    assert (set_aside.state, set_aside.attempt, set_aside.error) == (RunState.QUEUED, 1, None)
    await engine.stop()
    await engine.go_on({"report": first})
    assert await run.result() == 101
    assert (await engine.get(run)).note is None


# -- taken up again by hand --------------------------------------------------------------------------------------------------------------


async def revived(engine: Engine, run: Any) -> RunRecord:
    """The end of the run that takes a failed one up again."""
    again = await engine.app.runs.revive(run.id)
    assert again.id != run.id
    async with asyncio.timeout(10):
        return await engine.app.runs.ended(again.id)


async def test_a_revived_run_keeps_what_was_recorded_and_tries_what_failed(engine: Engine) -> None:
    @step
    async def broken() -> int:
        if engine.calls(broken) == 1:
            raise ValueError("no")
        return 7

    @task
    async def child(page: int) -> int:
        return await fetch(page)

    @task
    async def main() -> int:
        total = await fetch(1) + await child(2)
        await sleep("1h")
        await approve("Go on?")
        return total + await broken()

    run = await engine.start(main)
    await engine.settle()
    await engine.clock.advance("1h")
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    with pytest.raises(RunFailed):
        await run.result()
    ended = await revived(engine, run)
    assert (ended.state, ended.output) == (RunState.COMPLETED, "37")
    assert (engine.calls(fetch), engine.calls(child), engine.calls(broken)) == (2, 1, 2)
    assert (await engine.get(run)).state is RunState.FAILED


async def test_a_revived_run_keeps_tags_priority_version_and_hooks(engine: Engine) -> None:
    heard: list[str] = []

    @task(version="2")
    async def main() -> None:
        if engine.calls(main) == 1:
            raise ValueError("no")

    async def hear(run: RunRecord) -> None:
        heard.append(run.id)

    main.on_success(hear)
    run = await engine.start(main.using(tags=["vip"], priority=3, metadata={"stage": "new"}))
    with pytest.raises(RunFailed):
        await run.result()
    ended = await revived(engine, run)
    await engine.settle()
    assert (ended.tags, ended.priority, ended.version, ended.metadata) == (("vip",), 3, "2", '{"stage":"new"}')
    assert heard == [ended.id]


async def test_only_a_failed_run_is_taken_up_again(engine: Engine) -> None:
    @task
    async def main() -> None:
        return None

    run = await engine.start(main)
    await run.result()
    with pytest.raises(RunError, match="not failed"):
        await engine.app.runs.revive(run.id)


async def test_replay_goes_on_beyond_the_waits_that_have_ended(engine: Engine) -> None:
    @task(name="after_a_question")
    async def asked() -> int:
        await approve("go on?")
        return await fetch(1)

    run = await engine.start(asked)
    [question] = await engine.waiting(run)
    await question.approve(by="maria")
    await run.result()
    assert (await engine.replay(run)).answered == 1

    @task(name="after_a_question")
    async def asked_otherwise() -> int:
        await approve("go on?")
        return await fetch(2)

    assert (await engine.replay(run)).differs == ["fetch#0"]
    assert asked_otherwise is not asked
