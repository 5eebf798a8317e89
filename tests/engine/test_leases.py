"""Leases: kept while the worker lives, lost when it does not, and nothing that a loser writes or says counts."""

from __future__ import annotations

import asyncio

import pytest

from agentflow import current_step, step, task
from agentflow.clock import SECOND
from agentflow.database import open_database
from agentflow.database.port import Database
from agentflow.records import RunState, WorkerRecord
from agentflow.storage import queues, runs, workers
from agentflow.storage.queues import Claimant
from agentflow.storage.runs import NewRun
from agentflow.streams.events import RunAttempt, TextDelta, TextStart
from agentflow.streams.fold import Fold
from agentflow.testing import Engine
from tests.engine.zombies import Gates, idle, reach, swept, taken, zombie
from tests.faults.flaky import FlakyDatabase

LEASE = 30 * SECOND


async def flaky(engine: Engine) -> FlakyDatabase:
    """Give the engine another worker, on a database that fails on demand."""
    made: list[FlakyDatabase] = []

    def wrap(database: Database) -> FlakyDatabase:
        made.append(FlakyDatabase(database))
        return made[-1]

    engine.wrap = wrap
    await engine.crash()
    return made[-1]


async def test_a_step_of_a_worker_that_lost_its_lease_is_not_recorded_and_nobody_hears_of_a_failure(
    engine: Engine, stream_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """T4."""
    gates = Gates()

    @step
    async def slow() -> int:
        return await gates.wait()

    @task
    async def work() -> int:
        return await slow()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        await taken(engine, run, gates)
        gates[0].set()
        await idle(dead)
        assert await engine.app.runs.journal(run.id) == []
        gates[1].set()
        assert (await engine.app.runs.ended(run.id)).output == "1"
    record = await engine.app.runs.get(run.id)
    assert (record.state, record.attempt, record.error) == (RunState.COMPLETED, 1, None)
    assert [(entry.epoch, entry.value) for entry in await engine.app.runs.journal(run.id)] == [(2, "1")]
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_result_that_a_lost_worker_brings_too_late_is_refused_and_the_record_stands(engine: Engine, stream_server: str) -> None:
    """8: the run has no step, so its end is the first thing that is written."""
    gates = Gates()

    @task
    async def work() -> int:
        return await gates.wait()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        await taken(engine, run, gates)
        gates[1].set()
        await engine.app.runs.ended(run.id)
        ended = await engine.app.runs.get(run.id)
        gates[0].set()
        await idle(dead)
        assert await engine.app.runs.get(run.id) == ended
    assert (ended.output, ended.recoveries, ended.attempt) == ("1", 1, 1)


async def test_what_a_lost_worker_streams_never_reaches_a_reader_and_its_partial_text_is_void(engine: Engine, stream_server: str) -> None:
    """T5, 38."""
    gates = Gates()

    @step
    async def say() -> str:
        here, number = current_step(), gates.entered
        here.publish(TextStart(part=f"part-{number}", step=here.id))
        here.publish(TextDelta(part=f"part-{number}", delta=f"begin {number} "))
        await gates.wait()
        here.publish(TextDelta(part=f"part-{number}", delta=f"end {number}"))
        return "said"

    @task
    async def work() -> str:
        return await say()

    async with zombie(engine, stream_server, work) as dead:
        run = await dead.start("work")
        await reach(lambda: gates.entered == 1)
        await dead.streams.flush()
        await taken(engine, run, gates)
        await engine.app.streams.flush()
        gates[0].set()
        await idle(dead)
        await dead.streams.flush()
        assert dead.streams.counters["refused"] > 0
        gates[1].set()
        async with asyncio.timeout(10):
            read = [event async for event in engine.app.runs.events(run.id)]
    epochs = [event.id.epoch for event in read]
    assert epochs == sorted(epochs)
    assert "end 0" not in [event.event.delta for event in read if isinstance(event.event, TextDelta)]
    [attempt] = [event.event for event in read if isinstance(event.event, RunAttempt)]
    assert attempt.reason == "worker_lost"
    assert Fold().apply_all(read).text == "begin 1 end 1"
    assert [event.event.type for event in read].count("end") == 1


async def test_a_step_that_is_longer_than_the_lease_keeps_its_run(engine: Engine) -> None:
    """T7, 9."""
    gates = Gates()

    @step
    async def slow() -> int:
        return await gates.wait()

    @task
    async def work() -> int:
        return await slow()

    run = await engine.start(work)
    await reach(lambda: gates.entered == 1)
    before = await engine.get(run)
    for duration in ("25s", "25s", "25s", "5m", "3d"):
        await engine.clock.advance(duration)
    assert await engine.get(run) == before
    gates[0].set()
    assert await run.result() == 0
    assert engine.calls(slow) == 1


async def test_a_renewal_that_fails_now_and_then_costs_nothing(engine: Engine) -> None:
    """T8, first half."""
    gates = Gates()

    @step
    async def slow() -> int:
        return await gates.wait()

    @task
    async def work() -> int:
        return await slow()

    database = await flaky(engine)
    run = await engine.start(work)
    await reach(lambda: gates.entered == 1)
    before = await engine.get(run)
    for _ in range(4):
        database.deaf = True
        await engine.clock.advance("10s")
        await engine.clock.advance("10s")
        database.deaf = False
        await engine.clock.advance("5s")
    assert database.missed >= 8
    gates[0].set()
    assert await run.result() == 0
    assert (await engine.get(run)).epoch == before.epoch
    assert engine.calls(slow) == 1


async def test_when_all_renewals_fail_the_worker_stops_its_step_by_itself_when_the_lease_ends(engine: Engine) -> None:
    """T8, second half."""
    gates = Gates()
    stopped: list[int] = []

    @step
    async def slow() -> int:
        try:
            return await gates.wait()
        except asyncio.CancelledError:
            stopped.append(engine.clock.now())
            raise

    @task
    async def work() -> int:
        return await slow()

    database = await flaky(engine)
    run = await engine.start(work)
    await reach(lambda: gates.entered == 1)
    taken_at, database.deaf = engine.clock.now(), True
    await engine.clock.advance("29s")
    assert stopped == []
    await engine.clock.advance("1s")
    assert stopped == [taken_at + LEASE]
    database.deaf = False
    await engine.clock.advance("1m")
    await reach(lambda: gates.entered == 2)
    gates[1].set()
    assert await run.result() == 1
    assert (await engine.get(run)).attempt == 1


async def test_a_run_that_a_dead_worker_would_start_in_its_own_slot_is_done_by_another(engine: Engine, stream_server: str) -> None:
    """The worker does not know that it was declared dead: leased to it, the run would be nobody's."""

    @task
    async def work() -> int:
        return 1

    async with zombie(engine, stream_server, work) as dead:
        await swept(engine)
        run = await dead.start("work")
        assert (await engine.app.runs.ended(run.id)).output == "1"


async def test_a_worker_without_a_lease_starts_nothing_by_itself_and_the_run_waits_for_the_next_one(engine: Engine) -> None:
    @task
    async def work() -> int:
        return 1

    database = await flaky(engine)
    database.deaf = True
    database.breaks = lambda name: "before" if name == "transaction" else None
    await engine.clock.advance("31s")
    database.breaks = lambda name: None
    run = await engine.start(work)
    database.deaf = False
    await engine.clock.advance("1m")
    assert await run.result() == 1
    assert engine.calls(work) == 1


@pytest.mark.worker(max_recoveries=2, queues=("other",))
async def test_a_run_that_is_taken_and_never_begun_is_queued_again_and_given_up_in_the_end(engine: Engine) -> None:
    """7: its workers die between the lease and the first line, each time."""

    @task
    async def work() -> int:
        return 1

    await engine.stop()
    database = open_database(engine.database_url)
    now = engine.clock.now()
    new = NewRun(id="run_never", task="work", queue="default", input="{}")
    key = (await database.transact(runs.start(new, now))).run.key
    for number in range(2):
        await take(database, f"never-{number}", engine.clock.now())
        await engine.go_on()
        assert (await engine.app.runs.get("run_never")).state is RunState.QUEUED
        await engine.stop()
    await take(database, "never-2", engine.clock.now())
    await database.close()
    await engine.go_on()
    found = await engine.app.runs.get("run_never")
    assert found.state is RunState.FAILED
    assert (found.key, found.recoveries) == (key, 2)
    assert '"crashed"' in (found.error or "")
    assert engine.calls(work) == 0


async def take(database: Database, worker: str, now: int) -> None:
    """A worker claims what there is, and is never seen again."""
    known = WorkerRecord(
        id=worker,
        host="here",
        pid=1,
        slots=1,
        queues=("default",),
        tasks=("work",),
        state="live",
        started_at=now,
        expires_at=now + LEASE,
        claimed_at=now,
    )
    await database.transact(workers.register(known, (), now))
    claimed = await database.transact(queues.claim_open(Claimant(worker=worker, serves=("work",), limit=1), [("default", None)], now))
    assert len(claimed.runs) == 1
