"""What the doctor finds in an installation."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import Agentflow, Retry, sleep, step, task
from agentflow.app.doctor import Finding, checkup, stuck
from agentflow.records import RunState
from agentflow.testing import Engine


def codes(found: list[Finding]) -> set[str]:
    """What is not well."""
    return {one.code for one in found if one.level != "ok"}


@step
async def fetch(page: int) -> int:
    return page


@task
async def quick() -> int:
    return 1


@task(retry=Retry(attempts=2, initial="1h", jitter=0))
async def flaky() -> None:
    raise ValueError("not yet")


async def test_nothing_is_wrong_while_a_worker_lives_and_a_retry_waits(engine: Engine) -> None:
    run = await engine.start(flaky)
    await engine.until(run, RunState.SCHEDULED)
    assert codes(await checkup(engine.app)) == set()


async def test_every_trouble_that_a_dead_worker_leaves_is_found_with_what_to_do(engine: Engine, stream_server: str) -> None:
    gate = asyncio.Event()

    @task
    async def held() -> None:
        await gate.wait()

    run = await engine.start(held)
    await engine.settle()
    await engine.app.runs.cancel(run.id)
    await engine.stop()
    await engine.clock.advance("10m")
    database = str(engine.directory / "test.db")
    async with Agentflow(database=database, redis=stream_server, directory=engine.directory, worker=False, clock=engine.clock) as app:
        waiting = await app.start("quick")
        await engine.clock.advance("2m")
        found = await checkup(app)
        assert codes(found) == {"worker_dead", "no_worker", "backlog", "nobody_takes", "cancel_overdue"}
        assert all(one.hint for one in found if one.level != "ok")
        by_code = {one.code: one for one in found}
        assert by_code["nobody_takes"].runs == (waiting.id,)
        assert by_code["cancel_overdue"].runs == (run.id,)
        assert by_code["worker_dead"].details["runs"] == 1
    gate.set()
    await engine.go_on()


async def test_a_run_of_a_task_that_no_live_worker_knows_is_found_with_its_name(engine: Engine) -> None:
    @task
    async def gone() -> None: ...

    await engine.stop()
    await engine.go_on({"quick": quick, "gone": gone})
    await engine.stop()
    await engine.go_on({"quick": quick})
    run = await engine.app.start("gone")
    await engine.settle()
    [finding] = await stuck(engine.app, run.id)
    assert "no live worker knows gone" in finding.message
    assert await stuck(engine.app, "run_other") == []


@pytest.mark.worker(hot_window=0, hot_limit=0)
async def test_a_paused_run_is_found_with_its_difference_and_the_choices(engine: Engine) -> None:
    page = 1

    @task
    async def report() -> int:
        await fetch(page)
        await sleep("1h")
        return page

    run = await engine.start(report)
    await engine.until(run, RunState.WAITING)
    page, report.code = 2, "changed"
    await engine.clock.advance("1h")
    await engine.until(run, RunState.PAUSED)
    [finding] = [one for one in await checkup(engine.app) if one.code == "paused"]
    assert (finding.runs, finding.details["difference"]["step"]) == ((run.id,), "fetch#0")
    assert all(choice in finding.hint for choice in ("--continue", "--rerun", "cancel"))


async def test_a_stream_server_that_is_away_is_found_and_runs_go_on(engine: Engine) -> None:
    database = str(engine.directory / "test.db")
    away = "redis://127.0.0.1:1"
    async with Agentflow(database=database, redis=away, directory=engine.directory, worker=False, clock=engine.clock) as app:
        found = await checkup(app)
    assert codes(found) == {"streams"}
