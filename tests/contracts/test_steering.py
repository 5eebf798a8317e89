"""What a message for the run at work must hold on every database: it is heard once, or it becomes the next run, whatever comes first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentflow.control import LeaseLost
from agentflow.database import Database
from agentflow.errors import IdempotencyConflict, InputFull
from agentflow.records import EntryKind, JournalEntry, RunState
from agentflow.serde import loads
from agentflow.storage import journal, runs, steering, threads, transitions
from agentflow.storage.inputs import MOST
from agentflow.storage.runs import Lease, NewRun, Started
from agentflow.storage.statements import SQL
from tests.contracts.stock import DONE, NOW, SPENT, claim, lease_of, leased, new


def message(number: int, text: str = "stop that", **chosen: str) -> NewRun:
    return new(number, thread="t-7", input=f'{{"prompt":"{text}"}}', tags=("thread:t-7",), version="2", **chosen)


async def steer(database: Database, made: NewRun) -> Started:
    return await database.transact(steering.steer(made, NOW))


async def hear(database: Database, lease: Lease, seq: int = 1) -> str | None:
    entry = JournalEntry(seq, EntryKind.VALUE, f"heard.{seq}", None, None, None, 1, 1, NOW, NOW, lease.epoch)
    heard = await database.transact(steering.hear(lease, entry))
    return None if heard is None else steering.said(heard)["prompt"]


async def at_work(database: Database, number: int = 1) -> Lease:
    return await leased(database, number=number, thread="t-7")


async def end(database: Database, lease: Lease) -> list[str]:
    ended = await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    return [run.id for run in ended.woken]


async def test_the_run_at_work_hears_each_message_once_and_in_order(database: Database) -> None:
    lease = await at_work(database)
    assert not await database.read(steering.waits(lease.run))
    for number, text in ((2, "one"), (3, "two")):
        sent = await steer(database, message(number, text))
        assert (sent.run.id, sent.existed) == ("run_1", True)
    assert await database.read(steering.waits(lease.run))
    assert [await hear(database, lease, seq) for seq in (1, 1, 2, 3)] == ["one", "one", "two", None], "the same entry hears the same"
    assert [loads(entry.value or "")["message"] for entry in await database.read(journal.load(lease.run))] == [1, 2]
    assert await end(database, lease) == []
    assert await database.read(threads.active("t-7")) is None


async def test_where_nobody_is_at_work_it_is_the_next_run(database: Database) -> None:
    sent = await steer(database, message(1))
    assert (sent.run.id, sent.existed, sent.run.turn) == ("run_1", False, 1)


async def test_what_is_for_another_task_is_its_next_run(database: Database) -> None:
    await at_work(database)
    assert (await steer(database, message(2, task="u"))).run.id == "run_2"


async def test_a_run_that_is_to_stop_hears_nothing_more(database: Database) -> None:
    await at_work(database)
    await database.transact(transitions.ask_cancel("run_1", "enough", NOW + 1, NOW))
    assert (await steer(database, message(2))).run.id == "run_2"


async def test_what_a_run_did_not_hear_becomes_the_next_runs_in_the_transaction_that_ends_it(database: Database) -> None:
    lease = await at_work(database)
    for number, text in ((2, "one"), (3, "two")):
        await steer(database, message(number, text))
    queued = await database.transact(runs.start(new(4, thread="t-7"), NOW))
    await hear(database, lease)
    assert await end(database, lease) == ["run_3"]
    became = await database.read(runs.get("run_3"))
    assert (became.input, became.thread, became.turn, became.version) == ('{"prompt":"two"}', "t-7", 3, "2")
    assert became.tags == ("thread:t-7",)
    assert queued.run.turn == 4, "who sent first has its turn first"
    held = {run.id: lease_of(run) for run in await database.transact(claim("b"))}
    assert await database.transact(threads.ahead(held["run_4"], "t-7", NOW)) == "run_3"


@pytest.mark.parametrize("how", ["cancelled", "crashed", "failed"])
async def test_however_a_run_ends_nothing_is_lost(database: Database, how: str) -> None:
    lease = await at_work(database)
    await steer(database, message(2))
    if how == "cancelled":
        await database.transact(transitions.ask_cancel("run_1", "enough", NOW + 1, NOW))
        await database.transact(transitions.force_cancel("run_1", NOW + 2))
    elif how == "crashed":
        await database.transact(transitions.recover("run_1", lease.worker, 0, NOW, NOW))
    else:
        await database.transact(transitions.finish(lease, replace(DONE, state=RunState.FAILED, output=None), SPENT, NOW))
    assert (await database.read(runs.get("run_2"))).state is RunState.QUEUED
    assert not await database.read(steering.waits(lease.run))


async def test_a_key_leads_to_who_hears_it_also_when_that_has_ended(database: Database) -> None:
    lease = await at_work(database)
    for number in (2, 3):
        assert (await steer(database, message(number, idempotency_key="k"))).run.id == "run_1"
    with pytest.raises(IdempotencyConflict):
        await steer(database, message(4, "else", idempotency_key="k"))
    assert [await hear(database, lease, seq) for seq in (1, 2)] == ["stop that", None]
    await end(database, lease)
    assert (await steer(database, message(5, idempotency_key="k"))).run.id == "run_1"
    assert (await database.transact(runs.start(message(6, idempotency_key="k"), NOW))).run.id == "run_1"


async def test_the_same_transaction_once_more_sends_nothing_again(database: Database) -> None:
    """The connection broke after the commit."""
    lease = await at_work(database)
    for _ in range(2):
        await steer(database, message(2))
    assert [await hear(database, lease, seq) for seq in (1, 2)] == ["stop that", None]


async def test_a_stale_worker_hears_nothing(database: Database) -> None:
    lease = await at_work(database)
    await steer(database, message(2))
    with pytest.raises(LeaseLost):
        await hear(database, replace(lease, epoch=0))
    assert await hear(database, lease) == "stop that"


async def test_a_run_that_ends_at_that_very_moment_either_hears_it_or_leaves_it_to_the_next(database: Database, other: Database) -> None:
    """A race: the end and the message, from two processes, in whatever order they come."""
    for number in range(1, 20, 2):
        lease = await at_work(database, number)
        sent, _ = await asyncio.gather(steer(other, replace(message(number + 1), version=None)), end(database, lease))
        assert sent.run.id in (lease.run_id, f"run_{number + 1}")
        [run] = await database.transact(claim("b"))
        assert (run.id, run.input) == (f"run_{number + 1}", '{"prompt":"stop that"}')
        assert [row["id"] for row in await database.fetch(SQL.threads.active(thread="t-7"))] == [run.id]
        await end(database, lease_of(run))


async def test_a_run_that_hears_nothing_is_told_no_more_than_any_input_stream_holds(database: Database) -> None:
    lease = await at_work(database)
    await steer(database, message(2, "one"))
    await database.execute(
        SQL.inputs.put(run=lease.run, name=steering.STEER, seq=MOST, data="0", idempotency_key=None, digest="", sent_by=None, now=NOW)
    )
    before = await database.read(threads.find("t-7"))
    with pytest.raises(InputFull, match="did not receive") as full:
        await steer(database, message(3, "too much", idempotency_key="k"))
    assert full.value.hint
    assert await database.read(threads.find("t-7")) == before, "no place in the line is taken"
    assert (await steer(database, message(2, "one"))).existed, "what is there already is no new message"
    assert await hear(database, lease) == "one"
    assert (await steer(database, message(3, "too much", idempotency_key="k"))).run.id == "run_1"
