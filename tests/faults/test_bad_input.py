"""What goes wrong around a run: each has an error that says what to do, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, RunFailed, approve, step, task
from agentflow.app.rebuild import load
from agentflow.clock import SystemClock
from agentflow.database import open_database
from agentflow.database.migrate import migrate
from agentflow.errors import DatabaseUnreadable, InvalidPayload, SchemaNewer, UnknownTask
from agentflow.records import RunState
from agentflow.storage.statements import MIGRATIONS
from agentflow.streams import StreamLost
from agentflow.streams.events import End, RunCompleted, StepCompleted
from agentflow.testing import Engine
from tests.engine.noticing import noted
from tests.faults import full_disk

PATIENCE = 60.0


@dataclass
class Order:
    id: str
    cents: int


@task
async def fulfil_order(order: Order, *, express: bool = False) -> str:
    return f"{order.id} {express}"


@step
async def keep(value: str) -> str:
    return f"kept {value}"


# -- unknown task ------------------------------------------------------------------------------------------------------------------------


async def test_a_task_that_nobody_knows_is_refused_at_the_call_with_those_that_are_known(tmp_path: Path, stream_server: str) -> None:
    async with Agentflow([fulfil_order], directory=tmp_path, redis=stream_server) as app:
        with pytest.raises(UnknownTask, match="There is no task 'fulfill'") as refused:
            await app.start("fulfill", order={"id": "o-1", "cents": 1})
        assert "fulfil_order" in refused.value.hint
        assert refused.value.http_status == 404
        assert await app.runs.list() == []


async def test_a_run_whose_task_is_gone_from_the_code_waits_says_why_and_goes_on_when_it_is_back(engine: Engine) -> None:
    """T13, S15"""

    @task
    async def renamed() -> str:
        await keep("before")
        await approve("?")
        return await keep("after")

    run = await engine.start(renamed)
    [question] = await engine.waiting(run)
    await engine.stop()
    await engine.go_on({})
    await question.approve(by="maria")
    record = await noted(engine, run)
    assert (record.state, record.attempt, record.error) == (RunState.QUEUED, 1, None)
    assert record.note == "no worker for renamed"
    await engine.stop()
    await engine.go_on()
    await engine.clock.advance("30s")
    assert await run.result() == "kept after"
    assert engine.calls(keep) == 2


# -- payloads ----------------------------------------------------------------------------------------------------------------------------

PAYLOADS: list[tuple[dict[str, Any], str]] = [
    ({}, "order: Field required"),
    ({"order": {"id": "o-1"}}, "order.cents: Field required"),
    ({"order": {"id": "o-1", "cents": "many"}}, "order.cents: Input should be a valid integer"),
    ({"order": "o-1"}, "order: Input should be"),
    ({"order": {"id": "o-1", "cents": 1}, "fast": True}, "fast: Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("payload", "problem"), PAYLOADS, ids=[problem for _, problem in PAYLOADS])
async def test_a_payload_that_does_not_fit_is_refused_where_it_does_not(engine: Engine, payload: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidPayload, match=problem) as refused:
        await engine.app.start("fulfil_order", **payload)
    assert "order: " in refused.value.hint
    assert refused.value.http_status == 422
    assert await engine.app.runs.list() == []


async def test_a_call_with_wrong_arguments_is_refused_before_anything_is_stored(engine: Engine) -> None:
    untyped: Any = fulfil_order
    with pytest.raises(InvalidPayload, match="missing a required argument: 'order'"):
        await untyped.start()
    with pytest.raises(InvalidPayload, match="unexpected keyword argument 'fast'"):
        await untyped.start(Order("o-1", 1), fast=True)
    assert await engine.app.runs.list() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"order"'])
async def test_a_payload_that_is_no_json_object_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(InvalidPayload):
        await engine.app.start_json("fulfil_order", text)
    assert await engine.app.runs.list() == []


# -- results -----------------------------------------------------------------------------------------------------------------------------


async def test_a_step_result_that_cannot_be_stored_fails_at_the_step_naming_type_and_path(engine: Engine) -> None:
    """T26, S3"""

    @step
    async def connect() -> dict[str, Any]:
        return {"pool": [1, object()]}

    @task
    async def careless() -> None:
        await keep("before")
        await connect()

    run = await engine.start(careless)
    with pytest.raises(RunFailed, match=r"the result of step 'connect' cannot be stored: \.pool\[1\] is object") as failed:
        await run.result()
    assert "Return JSON types" in failed.value.hint
    assert [entry.kind for entry in await engine.app.runs.journal(run.id)] == ["result", "error"]


async def test_a_run_result_that_cannot_be_stored_fails_the_run_and_keeps_its_steps(engine: Engine) -> None:
    """T26"""

    @task
    async def careless() -> Any:
        await keep("before")
        return {"file": object()}

    run = await engine.start(careless)
    with pytest.raises(RunFailed, match=r"the result of task 'careless' cannot be stored: \.file is"):
        await run.result()
    assert len(await engine.app.runs.journal(run.id)) == 1


# -- databases ---------------------------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_no_database_is_refused_by_name_and_left_as_it_is(tmp_path: Path, stream_server: str) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary, today was a good day. " * 100)
    with pytest.raises(DatabaseUnreadable, match=r"diary\.txt is damaged or is no SQLite database") as refused:
        await Agentflow([fulfil_order], database=str(diary), redis=stream_server, directory=tmp_path).open()
    assert "point `database` elsewhere" in refused.value.hint
    assert diary.read_text().startswith("Dear diary")


async def test_a_database_of_a_newer_agentflow_is_refused_and_left_as_it_is(tmp_path: Path, stream_server: str) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    count = len(list(MIGRATIONS.glob("*.sql")))
    for file in MIGRATIONS.glob("*.sql"):
        (newer / file.name).write_text(file.read_text())
    (newer / f"{count + 1:04}_later.sql").write_text("CREATE TABLE later (id TEXT);\n")
    database = open_database(str(tmp_path / "test.db"))
    assert len(await migrate(database, newer, SystemClock())) == count + 1
    await database.close()
    app = Agentflow([fulfil_order], database=str(tmp_path / "test.db"), redis=stream_server, directory=tmp_path)
    with pytest.raises(SchemaNewer, match=rf"The database has schema {count + 1}, this agentflow knows {count}") as refused:
        await app.open()
    assert refused.value.hint == "Upgrade agentflow: pip install -U agentflow."
    again = open_database(str(tmp_path / "test.db"))
    assert await migrate(again, newer, SystemClock()) == []
    await again.close()


# -- a full disk -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
async def test_a_disk_that_fills_up_in_the_middle_of_a_run_costs_it_only_time(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", full_disk.__name__, str(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    lines = output.decode().splitlines()
    steps = [line for line in lines if line.startswith("step")]
    assert steps == [f"step {number}" for number in range(full_disk.STEPS)]
    assert "room" in lines
    [told] = [line for line in lines if line.startswith("told")]
    assert "Free space on the disk" in told
    assert f"result {sum(len(str(number)) * 4_000 for number in range(full_disk.STEPS))}" in lines
    assert f"epoch 1 recorded {full_disk.STEPS} recoveries 0" in lines
    [refused] = [line for line in lines if line.startswith("refused")]
    assert "Free space on the disk" in refused
    assert lines[-1] == "again other"


# -- Valkey ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def own_streams(tmp_path: Path) -> AsyncIterator[Agentflow]:
    """An app with a stream server of its own, which may be killed."""
    app = Agentflow([streams_much], directory=tmp_path / ".agentflow")
    async with app:
        yield app


GATE: list[asyncio.Event] = []


@task
async def streams_much() -> str:
    first = await keep("first")
    GATE[0].set()
    await GATE[1].wait()
    return first + " " + await keep("second")


@pytest.fixture
def gates() -> list[asyncio.Event]:
    GATE[:] = [asyncio.Event(), asyncio.Event()]
    return GATE


async def test_a_run_goes_on_when_valkey_is_killed_and_what_it_says_later_arrives(
    gates: list[asyncio.Event], own_streams: Agentflow, tmp_path: Path
) -> None:
    """S13"""
    run = await streams_much.start()
    async with asyncio.timeout(PATIENCE):
        await gates[0].wait()
        await own_streams.streams.flush()
        pid_file = tmp_path / ".agentflow" / "valkey.pid"
        killed = int(pid_file.read_text())
        os.kill(killed, signal.SIGKILL)
        gates[1].set()
        assert await run.result() == "kept first kept second"
        await own_streams.streams.flush()
        assert int(pid_file.read_text()) != killed
        with pytest.raises(StreamLost, match="Read the run's state, then follow from the tail"):
            await own_streams.streams.read(run.id)
        assert await own_streams.streams.tail(run.id) is not None
        whole = [event.event for event in (await own_streams.database.read(load(run.id))).events]
        later = [event.type async for event in (await streams_much.start()).events()]
    assert [event.name for event in whole if isinstance(event, StepCompleted)] == ["keep", "keep"]
    assert whole[-2:] == [RunCompleted("kept first kept second"), End("completed")]
    assert (later[0], later[-1]) == ("run.started", "end")
    record = await run.get()
    assert (record.state, record.epoch, record.recoveries) == (RunState.COMPLETED, 1, 0)


# -- another version of the code ---------------------------------------------------------------------------------------------------------


def versions() -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    """Three tasks of one name: as it was, changed without harm, and changed so that a recorded step is asked something else."""

    def first() -> Any:
        @task(name="changing")
        async def changing() -> str:
            kept = await keep("one")
            await approve("?")
            return kept

        return changing

    def compatible() -> Any:
        @task(name="changing")
        async def changing() -> str:
            kept = await keep("one")
            await approve("?")
            return kept + "!" + await keep("two")

        return changing

    def incompatible() -> Any:
        @task(name="changing")
        async def changing() -> str:
            kept = await keep("something else")
            await approve("?")
            return kept

        return changing

    return first, compatible, incompatible


async def test_a_worker_with_compatible_code_goes_on_with_a_run_of_the_code_before(engine: Engine) -> None:
    """T19"""
    first, compatible, _ = versions()
    old = first()
    run = await engine.start(old)
    [question] = await engine.waiting(run)
    await engine.stop()
    new = compatible()
    await engine.go_on({new.name: new})
    await question.approve(by="maria")
    assert await run.result() == "kept one!kept two"
    assert engine.calls(keep) == 2


async def test_a_worker_with_code_that_no_longer_fits_pauses_the_run_says_what_to_do_and_the_old_code_can_go_on(engine: Engine) -> None:
    """T19, S6"""
    first, _, incompatible = versions()
    old = first()
    run = await engine.start(old)
    [question] = await engine.waiting(run)
    await engine.stop()
    new = incompatible()
    await engine.go_on({new.name: new})
    await question.approve(by="maria")
    record = await engine.until(run, RunState.PAUSED)
    assert (record.attempt, engine.calls(keep)) == (1, 1)
    assert record.error is not None
    for part in ("keep#0", "--continue", "--rerun", "divergence"):
        assert part in record.error
    await engine.stop()
    await engine.go_on({old.name: old})
    await engine.app.runs.resume(run.id)
    assert await run.result() == "kept one"
    assert engine.calls(keep) == 1
