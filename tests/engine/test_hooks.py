"""Lifecycle hooks: called by the engine, so they also hear of runs whose code never had a say."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from agentflow import Agentflow, Retry, approve, context, sleep, step, task
from agentflow.engine.task import Task
from agentflow.records import RunRecord, RunState
from agentflow.testing import Engine


def listen(one: Task[..., Any]) -> list[str]:
    """What the hooks of a task hear: the moment and the run's state."""
    heard: list[str] = []

    def on(moment: str) -> Any:
        async def hook(run: RunRecord) -> None:
            heard.append(f"{moment}:{run.state.value}")

        return hook

    one.on_start(on("start"))
    one.on_success(on("success"))
    one.on_failure(on("failure"))
    one.on_cancel(on("cancel"))
    one.on_complete(on("complete"))
    return heard


async def test_start_success_and_complete_are_heard_once(engine: Engine) -> None:
    @task
    async def main() -> str:
        return "fine"

    heard = listen(main)
    await (await engine.start(main)).result()
    await engine.settle()
    await engine.clock.advance("1h")
    assert heard == ["start:running", "success:completed", "complete:completed"]


async def test_failure_is_heard_once_after_the_last_attempt(engine: Engine) -> None:
    """forty 2"""

    @task(retry=Retry(attempts=2, initial="1m", jitter=0))
    async def main() -> None:
        raise ValueError("no")

    heard = listen(main)
    run = await engine.start(main)
    await engine.until(run, RunState.SCHEDULED)
    assert heard == ["start:running"]
    await engine.clock.advance("1m")
    await engine.until(run, RunState.FAILED)
    await engine.settle()
    assert heard == ["start:running", "failure:failed", "complete:failed"]


async def test_the_cancel_of_a_run_that_never_started_is_heard(engine: Engine) -> None:
    @task
    async def main() -> None:
        return None

    heard = listen(main)
    run = await engine.start(main.using(delay="1h"))
    await run.cancel()
    await engine.settle()
    assert heard == ["cancel:cancelled", "complete:cancelled"]


async def test_the_cancel_of_a_waiting_run_is_heard(engine: Engine) -> None:
    @task
    async def main() -> None:
        await sleep("1d")

    heard = listen(main)
    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await run.cancel()
    await engine.until(run, RunState.CANCELLED)
    await engine.settle()
    assert heard == ["start:running", "cancel:cancelled", "complete:cancelled"]


@pytest.mark.worker(max_recoveries=1)
async def test_the_failure_of_a_run_that_killed_its_workers_is_heard(engine: Engine) -> None:
    @step
    async def deadly() -> None:
        await asyncio.Event().wait()

    @task
    async def main() -> None:
        await deadly()

    heard = listen(main)
    run = await engine.start(main)
    await engine.settle()
    await engine.crash()
    await engine.settle()
    await engine.crash()
    crashed = await engine.until(run, RunState.FAILED)
    await engine.settle()
    assert '"code":"crashed"' in (crashed.error or "")
    assert heard == ["start:running", "failure:failed", "complete:failed"]


@pytest.mark.worker(hot_window=0, hot_limit=0)
async def test_hooks_and_log_lines_are_not_repeated_by_a_replay(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """T27"""

    @step
    async def work() -> None:
        return None

    @task
    async def main() -> None:
        context().log.warning("before the step")
        await work()
        context().log.warning("before the question")
        await approve("Go on?")
        context().log.warning("after the question")

    heard = listen(main)
    with caplog.at_level(logging.WARNING, "agentflow.run"):
        run = await engine.start(main)
        [question] = await engine.waiting(run)
        await engine.crash()
        await engine.app.waitpoints.approve(question.id, by="maria")
        await run.result()
    await engine.settle()
    told = [record.message.removeprefix(f"[{run.id}] ") for record in caplog.records if record.name == "agentflow.run"]
    assert told == ["before the step", "before the question", "after the question"]
    assert heard == ["start:running", "success:completed", "complete:completed"]
    await engine.replay(run)
    assert len(heard) == 3


async def test_a_hook_that_raises_changes_nothing_and_is_logged(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    @task
    async def main() -> str:
        return "fine"

    async def broken(run: RunRecord) -> None:
        raise ValueError("not my day")

    main.on_start(broken)
    main.on_success(broken)
    heard = listen(main)
    run = await engine.start(main)
    assert await run.result() == "fine"
    await engine.settle()
    assert heard == ["start:running", "success:completed", "complete:completed"]
    failed = [record for record in caplog.records if "hook of task 'main' failed" in record.message]
    assert len(failed) == 2


async def test_a_plain_hook_runs_in_a_thread_and_holds_up_nobody(engine: Engine) -> None:
    threads: list[int] = []
    called = asyncio.Event()
    loop = asyncio.get_running_loop()

    @task
    async def main() -> str:
        return "fine"

    def slow(run: RunRecord) -> None:
        threads.append(threading.get_ident())
        loop.call_soon_threadsafe(called.set)

    main.on_success(slow)
    run = await engine.start(main)
    assert await run.result() == "fine"
    async with asyncio.timeout(10):
        await called.wait()
    assert threads
    assert threads != [threading.get_ident()]


async def test_a_hook_sees_the_whole_output_however_large(engine: Engine) -> None:
    sizes: list[int] = []

    @task
    async def main() -> str:
        return "x" * 300_000

    async def weigh(run: RunRecord) -> None:
        sizes.append(len(run.output or ""))

    main.on_success(weigh)
    await (await engine.start(main)).result()
    await engine.settle()
    assert sizes == [300_002]


async def test_a_slow_hook_does_not_hold_up_the_timers_of_others(engine: Engine) -> None:
    gate = asyncio.Event()

    @task
    async def main() -> None:
        return None

    @task
    async def nap() -> str:
        await sleep("1h")
        return "rested"

    async def slow(run: RunRecord) -> None:
        await gate.wait()

    main.on_success(slow)
    await (await engine.start(main)).result()
    await engine.settle()
    run = await engine.start(nap)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    assert await run.result() == "rested"
    gate.set()


async def test_a_run_started_by_name_from_a_process_without_the_code_has_its_hooks(engine: Engine, stream_server: str) -> None:
    @task
    async def main() -> None:
        return None

    heard = listen(main)
    await engine.stop()
    await engine.go_on()
    elsewhere = Agentflow(database=engine.database_url, redis=stream_server, directory=engine.directory, worker=False, clock=engine.clock)
    await elsewhere.open()
    try:
        run = await elsewhere.start("main")
        async with asyncio.timeout(10):
            await engine.app.runs.ended(run.id)
        await engine.settle()
    finally:
        await elsewhere.close()
    assert heard == ["start:running", "success:completed", "complete:completed"]
