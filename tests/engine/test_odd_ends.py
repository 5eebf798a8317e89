"""Ends that are rare: an engine that fails, a slot that is asked for twice, a time limit in the middle of an end."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

import pytest

from agentflow import RunFailed, approve, context, sleep, step, task, wait_for
from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction
from agentflow.records import RunState
from agentflow.testing import Engine


@step
async def one() -> int:
    return 1


async def test_an_exception_that_json_cannot_say_ends_the_run_as_any_other(engine: Engine) -> None:
    @task
    async def surrogate() -> None:
        await one()
        raise ValueError("x\ud800y")

    run = await engine.start(surrogate)
    with pytest.raises(RunFailed, match=r"x\?y"):
        await run.result()
    assert engine.calls(one) == 1


async def test_an_endless_message_is_cut(engine: Engine) -> None:
    @task
    async def chatty() -> None:
        raise ValueError("x" * 1_000_000)

    run = await engine.start(chatty)
    with pytest.raises(RunFailed):
        await run.result()
    assert len((await engine.get(run)).error or "") < 100_000


async def test_a_step_takes_any_argument_for_inputs_are_not_stored(engine: Engine) -> None:
    @step
    async def measure(raw: bytes, text: str) -> int:
        return len(raw) + len(text)

    @task
    async def main() -> int:
        return await measure(b"\xff\xfe", "\ud800")

    assert await (await engine.start(main)).result() == 3


@pytest.mark.worker(slots=2)
async def test_many_parents_of_one_child_never_take_more_slots_than_there_are(engine: Engine) -> None:
    gate = asyncio.Event()
    most = 0

    @task
    async def shared() -> str:
        await sleep("1h")
        return "done"

    @step
    async def look() -> int:
        nonlocal most
        worker = engine.app.worker
        assert worker is not None
        most = max(most, len(worker.active))
        await gate.wait()
        return 1

    @task
    async def parent_of_shared() -> int:
        await shared.using(idempotency_key="one", idempotency_scope="global")()
        return await look()

    runs = [await engine.start(parent_of_shared) for _ in range(10)]
    for run in runs:
        await engine.until(run, RunState.WAITING)
    await engine.clock.advance("1h")
    gate.set()
    assert [await run.result() for run in runs] == [1] * 10
    assert most <= 2
    await engine.settle()
    worker = engine.app.worker
    assert worker is not None
    assert worker.free == 2


async def test_an_answer_that_wakes_several_runs_gives_every_slot_back(engine: Engine) -> None:
    @task
    async def asker() -> bool:
        return (await approve("ok?")).approved

    @task
    async def follower(token: str) -> object:
        return await wait_for(token)

    first = await engine.start(asker)
    [question] = await engine.waiting(first)
    others = [await engine.start(follower, question.id) for _ in range(2)]
    for run in others:
        await engine.until(run, RunState.WAITING)
    await question.approve(by="maria")
    assert await first.result() is True
    assert [await run.result() for run in others] == [{"approved": True}] * 2
    worker = engine.app.worker
    assert worker is not None
    await engine.settle()
    assert worker.free == engine.settings.slots


async def test_a_timer_of_a_finished_run_holds_nothing(engine: Engine) -> None:
    @task(max_duration="7d")
    async def brief() -> int:
        return await one()

    counts: list[int] = []
    for _ in range(2):
        for _ in range(20):
            assert await (await engine.start(brief)).result() == 1
        await engine.settle()
        counts.append(len(asyncio.all_tasks()))
    assert counts[1] - counts[0] < 5


@pytest.mark.worker(hot_limit=0)
async def test_a_branch_in_plain_code_is_let_finish_before_its_run_leaves_memory(engine: Engine) -> None:
    """S9"""
    gate = asyncio.Event()

    async def plain() -> int:
        await gate.wait()
        return await one()

    @task
    async def main() -> int:
        _, value = await asyncio.gather(sleep("30d"), plain())
        return value

    run = await engine.start(main)
    await engine.until(run, RunState.WAITING)
    await engine.clock.advance("2m")
    gate.set()
    await engine.settle()
    assert engine.calls(one) == 1
    await engine.clock.advance("30d")
    assert await run.result() == 1


@pytest.mark.worker(hot_limit=0)
async def test_a_wait_in_a_task_of_its_own_leaves_memory_without_a_complaint(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    @task
    async def main() -> bool:
        other = asyncio.create_task(approve("first?"))
        second = await approve("second?")
        return (await other).approved and second.approved

    run = await engine.start(main)
    questions = await engine.waiting(run, 2)
    await engine.settle()
    gc.collect()
    assert "never retrieved" not in caplog.text
    for question in questions:
        await question.approve(by="maria")
    assert await run.result() is True


async def test_metadata_written_while_the_run_waits_is_stored_when_it_goes_on(engine: Engine) -> None:
    gate = asyncio.Event()

    async def plain() -> None:
        await gate.wait()
        context().metadata["stage"] = "two"

    @task
    async def main() -> bool:
        context().metadata["stage"] = "one"
        decision, _ = await asyncio.gather(approve("ok?"), plain())
        return decision.approved

    run = await engine.start(main)
    [question] = await engine.waiting(run)
    gate.set()
    await engine.settle()
    await question.approve(by="maria")
    assert await run.result() is True
    assert '"two"' in (await engine.get(run)).metadata


class OddRow:
    """A database in which ending one kind of waitpoint fails as no error of a database would."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.odd = False
        self.held: asyncio.Event | None = None

    async def transact(self, transaction: Transaction[T]) -> T:
        if self.odd and getattr(transaction, "__name__", "") == "end":
            transaction.close()
            raise ValueError("an odd row")
        return await self._database.transact(transaction)

    async def execute(self, query: Query) -> Rows:
        rows = await self._database.execute(query)
        if self.held is not None and query.statement.name == "runs/insert":
            self.held.set()
            await asyncio.get_running_loop().create_future()
        return rows

    async def fetch(self, query: Query) -> Rows:
        return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        return self._database.blocking()

    async def close(self) -> None:
        await self._database.close()


async def test_one_odd_row_does_not_stop_the_timers_of_others(tmp_path: Path, stream_server: str, caplog: pytest.LogCaptureFixture) -> None:
    odd: list[OddRow] = []

    def wrap(database: Database) -> Database:
        odd.append(OddRow(database))
        return odd[-1]

    engine = Engine(tmp_path, stream_server, wrap=wrap)
    await engine.open()

    @task
    async def naps() -> str:
        await sleep("1h")
        return "rested"

    run = await engine.start(naps)
    await engine.until(run, RunState.WAITING)
    with caplog.at_level(logging.ERROR):
        odd[0].odd = True
        await engine.clock.advance("1h")
        odd[0].odd = False
        await engine.clock.advance("5s")
    assert "a part of maintenance failed" in caplog.text
    assert await run.result() == "rested"
    await engine.close()


async def test_a_start_whose_caller_gave_up_after_the_commit_still_runs_once_and_gives_its_slot_back(
    tmp_path: Path, stream_server: str
) -> None:
    odd: list[OddRow] = []

    def wrap(database: Database) -> Database:
        odd.append(OddRow(database))
        return odd[-1]

    engine = Engine(tmp_path, stream_server, wrap=wrap)
    await engine.open()

    @task
    async def unheard() -> int:
        return await one()

    odd[0].held = asyncio.Event()
    caller = asyncio.create_task(engine.start(unheard))
    await odd[0].held.wait()
    odd[0].held = None
    caller.cancel()
    await asyncio.wait({caller})
    await engine.settle()
    [run] = await engine.app.runs.list(task="unheard")
    assert run.state is RunState.COMPLETED
    assert engine.calls(one) == 1
    worker = engine.app.worker
    assert worker is not None
    assert worker.free == engine.settings.slots
    await engine.close()
