"""Runs in processes of their own: what they do to themselves, nobody else notices."""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, WorkerSettings
from agentflow.channels import Console
from agentflow.clock import SECOND
from agentflow.errors import DefinitionError
from agentflow.handle import RunHandle
from agentflow.records import Failure, RunRecord, RunState
from agentflow.serde import decode_failure, loads
from agentflow.testing import Engine
from tests.engine import isolated_tasks as here

PATIENCE = 40.0
SETTINGS = WorkerSettings(lease=2 * SECOND, renew_every=SECOND // 4, poll=0.2, drain=SECOND // 2)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket may live in it."""
    path = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty database."""
    return request.getfixturevalue("postgres_url") if getattr(request, "param", "") == "postgres" else str(folder / "agentflow.db")


BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def build(folder: Path, database: str, stream_server: str) -> Callable[..., Agentflow]:
    """Makes apps that share one database."""

    def make(tasks: Sequence[Any] = here.TASKS, **given: Any) -> Agentflow:
        own: dict[str, Any] = {"database": database, "redis": stream_server, "directory": folder, "worker": SETTINGS}
        own["channels"] = [Console(name="log", stream=io.StringIO())]
        return Agentflow(tasks, **{**own, **given})

    return make


@pytest.fixture
async def app(build: Callable[..., Agentflow]) -> AsyncIterator[Agentflow]:
    """An app with a worker."""
    async with build() as opened:
        yield opened


async def pause(seconds: float) -> None:
    """Let real processes work for a while."""
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=seconds)


async def reach(test: Callable[[], bool]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(PATIENCE):
        while not test():
            await pause(0.01)


def said(folder: Path) -> list[str]:
    """What the tasks wrote."""
    log = folder / "log"
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def writers(folder: Path) -> list[int]:
    """The processes that wrote, one per line."""
    return [int(line.partition(" ")[0]) for line in (folder / "log").read_text().splitlines()]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(told) and not told.startswith("Z")


async def ended(run: RunHandle[Any], app: Agentflow) -> tuple[RunRecord, Failure | None]:
    """How a run ended."""
    record = await app.runs.ended(run.id, PATIENCE)
    return record, None if record.error is None else decode_failure(record.error)


async def until(app: Agentflow, run: RunHandle[Any], *states: RunState) -> RunRecord:
    """A run once it is in one of these states."""
    async with asyncio.timeout(PATIENCE):
        while (record := await app.runs.get(run.id)).state not in states:
            await pause(0.01)
    return record


@BOTH
async def test_an_isolated_run_works_in_a_process_of_its_own_which_is_gone_with_it(app: Agentflow, folder: Path) -> None:
    run = await here.plain.start(str(folder))
    pid = await run.result(timeout=PATIENCE)
    assert pid != os.getpid()
    assert writers(folder) == [pid, pid]
    await reach(lambda: not alive(pid))
    assert [entry.key for entry in await app.runs.journal(run.id)] == ["mark#0", "mark#1"]
    events = [entry.event.type async for entry in app.streams.follow(run.id) if entry.event.type != "run.queued"]
    assert [one for one in events if not one.startswith("step.")] == ["run.started", "run.completed", "end"]


@pytest.mark.parametrize(
    ("how", "details"),
    [
        ("segfault", {"signal": "SIGSEGV"}),
        ("abort", {"signal": "SIGABRT"}),
        ("kill", {"signal": "SIGKILL"}),
        ("exit", {"exit_code": 3}),
        ("sys.exit", {"exit_code": 4}),
        ("quietly", {"exit_code": 0}),
    ],
)
async def test_a_process_that_dies_takes_no_neighbour_along_and_its_run_says_how(
    app: Agentflow, folder: Path, how: str, details: dict[str, Any]
) -> None:
    neighbours = [await here.neighbour.start(str(folder), number) for number in range(5)]
    isolated = await here.held.start(str(folder))
    await reach(lambda: len(said(folder)) == 7)
    run = await here.dies.start(str(folder), how)
    record, error = await ended(run, app)
    assert record.state is RunState.FAILED
    assert error is not None
    assert (error.code, error.type, error.details) == ("crashed", "ProcessDied", details)
    (folder / "go").touch()
    assert [await one.result(timeout=PATIENCE) for one in neighbours] == [0, 1, 2, 3, 4]
    assert await isolated.result(timeout=PATIENCE) != os.getpid()


@BOTH
async def test_a_death_is_a_failed_attempt_and_the_next_one_keeps_what_was_recorded(app: Agentflow, folder: Path) -> None:
    run = await here.dies_once.start(str(folder))
    assert await run.result(timeout=PATIENCE) == 2
    assert said(folder) == ["before", "attempt 1", "attempt 2"]
    assert (await app.runs.get(run.id)).recoveries == 0


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_run_that_takes_too_much_memory_dies_alone_as_out_of_memory(app: Agentflow, folder: Path, at_once: bool) -> None:
    neighbour = await here.neighbour.start(str(folder), 1)
    run = await here.takes.start(2_000, at_once)
    record, error = await ended(run, app)
    assert record.state is RunState.FAILED
    assert error is not None
    assert error.details is not None
    assert (error.code, error.type, error.details["limit"]) == ("crashed", "OutOfMemory", 160 * 1024**2)
    assert error.details["seen"] > (0 if at_once else 160 * 1024**2)
    (folder / "go").touch()
    assert await neighbour.result(timeout=PATIENCE) == 1
    assert await (await here.takes.start(10, at_once)).result(timeout=PATIENCE)


@BOTH
async def test_after_an_out_of_memory_there_is_one_attempt_with_more(app: Agentflow, folder: Path) -> None:
    """forty 4"""
    run = await here.grows.start(str(folder), 450)
    assert await run.result(timeout=PATIENCE) == 450 * 1024**2
    assert said(folder) == ["attempt 1", "attempt 2"]


@pytest.mark.parametrize("kind", [here.grows, here.grows_often])
async def test_the_second_death_for_memory_is_final(app: Agentflow, folder: Path, kind: Any) -> None:
    """forty 4"""
    run = await kind.start(str(folder), 3_000)
    record, error = await ended(run, app)
    assert said(folder) == ["attempt 1", "attempt 2"]
    assert record.state is RunState.FAILED
    assert error is not None
    assert error.details is not None
    assert (error.code, error.type, error.details["limit"]) == ("crashed", "OutOfMemory", 640 * 1024**2)


async def test_code_that_cannot_be_stopped_is_killed_after_a_cancel(app: Agentflow, folder: Path) -> None:
    run = await here.spins.start(str(folder))
    await reach(lambda: "spinning" in said(folder))
    await run.cancel(reason="enough")
    record, error = await ended(run, app)
    assert record.state is RunState.CANCELLED
    assert error is not None
    assert error.message == "enough"
    await reach(lambda: not alive(writers(folder)[0]))


async def test_a_killed_process_takes_along_what_it_started(app: Agentflow, folder: Path) -> None:
    run = await here.blocks.start(str(folder))
    await reach(lambda: bool(said(folder)))
    helper = int(said(folder)[0].split()[1])
    assert alive(helper)
    await run.cancel()
    await ended(run, app)
    await reach(lambda: not alive(helper))


async def test_code_that_cannot_be_stopped_is_killed_when_it_has_worked_too_long(app: Agentflow, folder: Path) -> None:
    run = await here.spins_too_long.start(str(folder))
    record, error = await ended(run, app)
    assert record.state is RunState.FAILED
    assert error is not None
    assert error.code == "timeout"
    assert record.active >= SECOND // 2
    await reach(lambda: not alive(writers(folder)[0]))


async def test_a_cancelled_isolated_run_cleans_up_with_steps(app: Agentflow, folder: Path) -> None:
    run = await here.cleans_up.start(str(folder))
    await reach(lambda: "held" in said(folder))
    await run.cancel(reason="enough")
    record, _ = await ended(run, app)
    assert record.state is RunState.CANCELLED
    assert said(folder) == ["held", "cleaned up"]


@BOTH
async def test_a_waiting_run_has_no_process_and_the_next_one_replays_what_is_recorded(app: Agentflow, folder: Path) -> None:
    run = await here.asks.start(str(folder))
    await until(app, run, RunState.WAITING)
    await reach(lambda: not alive(writers(folder)[0]))
    worker = app.worker
    assert worker is not None
    await reach(lambda: not worker.active)
    [waiting] = await app.runs.waiting_for(run.id)
    await app.waitpoints.approve(waiting.id, by="maria")
    assert await run.result(timeout=PATIENCE) == "maria True"
    assert said(folder) == ["before", "after"]
    assert (await app.runs.get(run.id)).epoch == 2
    told = await app.waitpoints.deliveries(waiting.id)
    assert [(one.channel, one.event) for one in told] == [("log", "requested"), ("log", "resolved")]


@BOTH
async def test_a_worker_that_shuts_down_hands_isolated_runs_back(build: Callable[..., Agentflow], folder: Path) -> None:
    async with build():
        runs = [await here.held.start(str(folder)), await here.spins.start(str(folder))]
        await reach(lambda: {"held", "spinning"} <= set(said(folder)))
    assert not any(alive(pid) for pid in writers(folder))
    async with build(worker=False) as outside:
        for run in runs:
            record = await outside.runs.get(run.id)
            assert (record.state, record.attempt, record.recoveries) == (RunState.QUEUED, 1, 0)
        await outside.runs.cancel(runs[1].id)
    (folder / "go").touch()
    async with build() as second:
        record, _ = await ended(runs[0], second)
    assert record.output == str(writers(folder)[said(folder).index("first")])
    assert said(folder).count("first") == 1


async def test_a_worker_that_loses_its_lease_kills_its_processes(build: Callable[..., Agentflow], folder: Path) -> None:
    app = build()
    await app.open()
    run = RunHandle[Any]((await app.start("spins", folder=str(folder))).id, app.runs, here.spins.codec)
    await reach(lambda: "spinning" in said(folder))
    assert app.worker is not None
    await app.worker.kill()
    assert not alive(writers(folder)[0])
    record = await app.runs.get(run.id)
    assert (record.state, record.epoch) == (RunState.RUNNING, 1)
    await app.streams.close()
    await app.database.close()


@BOTH
async def test_kill_nine_of_a_worker_takes_its_processes_along_and_another_recovers(build: Callable[..., Agentflow], folder: Path) -> None:
    async with build(worker=False) as outside:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.isolated_worker", str(folder), outside.database_url, outside.redis_url or ""]
        )
        await reach(lambda: (folder / "up").exists())
        run = await outside.start("held", folder=str(folder))
        await reach(lambda: "held" in said(folder))
        isolated = writers(folder)[0]
        assert isolated != worker.pid
        worker.send_signal(signal.SIGKILL)
        worker.wait(PATIENCE)
        await reach(lambda: not alive(isolated))
        (folder / "go").touch()
        async with build():
            assert await outside.runs.ended(run.id, PATIENCE)
    assert said(folder) == ["first", "held", "held"]


@pytest.mark.parametrize("broken", ["command", "database"])
async def test_a_run_for_which_no_process_can_be_started_is_put_off_and_loses_no_attempt(app: Agentflow, broken: str) -> None:
    assert app.worker is not None
    spawning = app.worker.spawning
    assert spawning is not None
    changed: dict[str, Any] = (
        {"command": ("/nowhere/python",)} if broken == "command" else {"spec": {**spawning.spec, "database": "/proc/nowhere/a.db"}}
    )
    app.worker.spawning = replace(spawning, **changed)
    run = await here.thrice.start(1)
    record = await until(app, run, RunState.SCHEDULED)
    assert record.attempt == 1
    assert "no process could be started" in (record.note or "")


VERSIONED = """
from agentflow import task

@task(isolation="process", version="{version}")
async def deployed() -> str:
    return "{version}"
"""


async def test_a_pinned_run_is_not_begun_by_what_was_deployed_under_its_worker(
    build: Callable[..., Agentflow], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T19: the worker has version 1 in memory, and version 2 is on disk."""
    code = folder / "deployed_code.py"
    code.write_text(VERSIONED.format(version="1"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    deployed = importlib.import_module("deployed_code").deployed
    async with build([deployed]) as app:
        code.write_text(VERSIONED.format(version="2"))
        os.utime(code, (0, 0))
        run = await deployed.start()
        record = await until(app, run, RunState.SCHEDULED)
        assert "the code on disk is version 2, not 1" in (record.note or "")
        assert (record.attempt, record.version) == (1, "1")


@BOTH
async def test_what_wakes_a_run_while_it_works_reaches_its_process(app: Agentflow, folder: Path) -> None:
    run = await here.woken.start(str(folder))
    assert await run.result(timeout=PATIENCE) == "held"
    assert (await app.runs.get(run.id)).epoch == 1


async def test_plain_code_beside_a_wait_keeps_its_process(app: Agentflow, folder: Path) -> None:
    run = await here.beside.start(str(folder))
    await reach(lambda: "waited" in said(folder))
    (folder / "go").touch()
    assert await run.result(timeout=PATIENCE) == "worked"
    assert said(folder) == ["plain", "waited"]


async def test_all_that_runs_do_works_in_isolated_ones(build: Callable[..., Agentflow]) -> None:
    from tests.engine import isolated_agents

    async with build(isolated_agents.TASKS) as app:
        run = await isolated_agents.everything.start(5)
        assert await run.result(timeout=PATIENCE) == [10, 15, "It is 8.", 20, True]
        assert (await app.runs.get(run.id)).metadata == '{"stage":"done"}'


async def test_the_middleware_of_the_app_is_around_isolated_runs_too(build: Callable[..., Agentflow]) -> None:
    async with build(middleware=[here.around]) as app:
        run = await here.thrice.start(2)
        assert await run.result(timeout=PATIENCE) == 6
        assert loads((await app.runs.get(run.id)).metadata)["around"] != os.getpid()


async def test_a_middleware_that_no_other_process_finds_is_refused(build: Callable[..., Agentflow]) -> None:
    async def local(run: Any, call_next: Callable[[], Any]) -> Any:
        return await call_next()

    with pytest.raises(DefinitionError, match="middleware"):
        await build(middleware=[local]).open()


async def test_the_app_of_the_tasks_module_is_open_in_the_process(folder: Path, stream_server: str) -> None:
    from tests.engine.isolated_app import app, counts

    app.configure(database=str(folder / "agentflow.db"), redis=stream_server, directory=folder)
    async with app:
        run = await counts.start()
        assert await run.result(timeout=PATIENCE) == 1
        assert loads((await app.runs.get(run.id)).metadata)["around"] != os.getpid()


async def test_the_engine_of_tests_runs_isolated_tasks_in_its_own_process(engine: Engine) -> None:
    run = await engine.start(here.thrice, 3)
    assert await run.result() == 9
    assert engine.calls(here.thrice) == 1
