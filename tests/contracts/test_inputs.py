"""What input streams must hold on every database: a message is received once and in order, and no wake-up is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow.clock import SECOND
from agentflow.control import LeaseLost
from agentflow.database import Database
from agentflow.errors import IdempotencyConflict, InputFull, RunError, RunNotFound
from agentflow.records import EntryKind, JournalEntry, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.storage import inputs, journal, runs, transitions, waitpoints
from agentflow.storage.inputs import MOST, Message, NewMessage, Sent
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import NewWaitpoint
from tests.contracts.stock import DONE, NOW, SPENT, claim, lease_of, leased, new

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


def message(number: int, name: str = "inbox", key: str | None = None) -> NewMessage:
    return NewMessage(name=name, data=str(number), key=key)


async def send(database: Database, number: int, run: int = 1, **chosen: Any) -> Sent:
    return await database.transact(inputs.send(f"run_{run}", message(number, **chosen), NOW))


async def receive(database: Database, lease: Lease, seq: int, name: str = "inbox") -> Message | WaitpointRecord:
    """Ask for the next message, as the journal's entry `seq`."""
    entry = JournalEntry(seq, EntryKind.VALUE, f"next#{seq}", None, None, None, 1, 1, NOW, NOW, lease.epoch)
    wait = NewWaitpoint(
        id=f"wp_{lease.run}_{seq}", key=f"next#{seq}~1.0", kind=WaitKind.SIGNAL, attempt=1, target=inputs.target(lease.run_id, name)
    )
    return await database.transact(inputs.receive(lease, name, entry, wait, NOW))


async def numbers(database: Database, lease: Lease) -> list[int]:
    """What the run has received, in the order of its journal."""
    return [int(Message.of(entry.value).data) for entry in await database.read(journal.load(lease.run)) if entry.value is not None]


async def test_messages_are_numbered_and_received_in_the_order_in_which_they_were_sent(database: Database) -> None:
    lease = await leased(database)
    sent = [(await send(database, number)).seq for number in (7, 8)] + [(await send(database, 9, name="other")).seq]
    assert sent == [1, 2, 1]
    assert [await receive(database, lease, seq) for seq in (1, 2)] == [Message(1, "7"), Message(2, "8")]
    assert isinstance(await receive(database, lease, 3), WaitpointRecord)
    assert await receive(database, lease, 4, "other") == Message(1, "9")


async def test_senders_at_once_get_numbers_of_their_own_and_nothing_is_lost(database: Database, other: Database) -> None:
    lease = await leased(database)
    start = asyncio.Barrier(20)

    async def sender(number: int) -> int:
        await start.wait()
        return (await send((database, other)[number % 2], number)).seq

    numbered = await asyncio.gather(*(sender(number) for number in range(20)))
    assert sorted(numbered) == list(range(1, 21))
    for seq in range(1, 21):
        await receive(database, lease, seq)
    assert await numbers(database, lease) == [numbered.index(seq) for seq in range(1, 21)]


async def test_of_one_key_that_is_sent_at_once_one_message_comes_out(database: Database, other: Database) -> None:
    lease = await leased(database)
    sent = await asyncio.gather(*(send((database, other)[at % 2], 5, key="k") for at in range(10)))
    assert {one.seq for one in sent} == {1}
    await receive(database, lease, 1)
    assert isinstance(await receive(database, lease, 2), WaitpointRecord)
    with pytest.raises(IdempotencyConflict):
        await send(database, 6, key="k")
    assert (await send(database, 6, key="k", name="other")).seq == 1


async def test_a_key_may_be_of_any_length(database: Database) -> None:
    await leased(database)
    keys = ["k" * 20_000, "k" * 20_000 + "l", "ü" * 500]
    assert [(await send(database, number, key=key)).seq for number, key in enumerate(keys) for _ in range(2)] == [1, 1, 2, 2, 3, 3]


async def test_a_message_ends_the_wait_and_queues_the_run_in_one_transaction(database: Database) -> None:
    lease = await leased(database)
    waits = await receive(database, lease, 1)
    assert isinstance(waits, WaitpointRecord)
    assert await database.transact(transitions.suspend(lease, 0, SPENT)) is None
    sent = await send(database, 7)
    assert [(run.id, run.state) for run in sent.runs] == [("run_1", RunState.QUEUED)]
    assert (await database.read(waitpoints.get(waits.id))).state is WaitState.ANSWERED
    [run] = await database.transact(claim("b"))
    assert await receive(database, lease_of(run), 1) == Message(1, "7")


async def test_a_run_that_a_worker_keeps_is_leased_to_it_by_the_message(database: Database) -> None:
    lease = await leased(database)
    await receive(database, lease, 1)
    await database.transact(transitions.suspend(lease, 0, SPENT))
    sent = await database.transact(inputs.send("run_1", message(7), NOW, Lessee("a", "run_1")))
    assert [(run.state, run.worker, run.epoch) for run in sent.leased] == [(RunState.RUNNING, "a", 2)]


async def test_no_wake_up_is_lost_when_a_message_meets_a_run_that_begins_to_wait(database: Database, other: Database) -> None:
    """T29"""
    for number in range(1, 41):
        lease = await leased(database, number=number)
        asked, _ = await asyncio.gather(receive(database, lease, 1), send(other, number, run=number))
        if isinstance(asked, WaitpointRecord):
            await database.transact(transitions.suspend(lease, 0, SPENT))
        else:
            assert asked.data == str(number)
        run = await database.read(runs.get(lease.run_id))
        assert run.state in (RunState.QUEUED, RunState.RUNNING), number


async def test_no_wake_up_is_lost_when_a_message_meets_a_run_that_lets_go_of_its_lease(database: Database, other: Database) -> None:
    """T29"""
    for number in range(1, 41):
        lease = await leased(database, number=number)
        await receive(database, lease, 1)
        woken, _ = await asyncio.gather(
            database.transact(transitions.suspend(lease, 0, SPENT)), send(other, number, run=number), return_exceptions=True
        )
        run = await database.read(runs.get(lease.run_id))
        assert run.state is (RunState.QUEUED if woken is None else RunState.RUNNING), number
        assert run.wakes == 1


async def test_a_stale_worker_receives_nothing_and_gives_nothing_back(database: Database) -> None:
    """T4, 10."""
    stale = await leased(database)
    await send(database, 7)
    await database.transact(transitions.recover("run_1", "a", 5, NOW, NOW))
    [run] = await database.transact(claim("b"))
    with pytest.raises(LeaseLost):
        await receive(database, stale, 1)
    assert await receive(database, lease_of(run), 1) == Message(1, "7")
    entry = JournalEntry(2, EntryKind.VALUE, "next#1", None, None, None, 1, 1, NOW, NOW, stale.epoch)
    with pytest.raises(LeaseLost):
        await database.transact(inputs.give_back(stale, "inbox", entry, Message(1, "7"), NOW))
    assert await numbers(database, stale) == [7]


async def test_a_receive_that_is_asked_again_after_its_commit_takes_no_second_message(database: Database) -> None:
    """T14"""
    lease = await leased(database)
    for number in (7, 8):
        await send(database, number)
    assert [await receive(database, lease, 1) for _ in range(3)] == [Message(1, "7")] * 3
    waits = await receive(database, await leased(database, number=2), 1)
    assert waits == await receive(database, Lease(2, "run_2", 1, "a"), 1)


async def test_a_message_that_is_given_back_is_the_next_one_again_and_wakes_who_waits(database: Database) -> None:
    lease = await leased(database)
    await send(database, 7)
    taken = await receive(database, lease, 1)
    waits = await receive(database, lease, 2)
    assert isinstance(taken, Message)
    assert isinstance(waits, WaitpointRecord)
    entry = JournalEntry(3, EntryKind.VALUE, "next#1", None, None, None, 1, 1, NOW, NOW, lease.epoch)
    for _ in range(2):
        await database.transact(inputs.give_back(lease, "inbox", entry, taken, NOW))
    assert (await database.read(waitpoints.get(waits.id))).state is WaitState.ANSWERED
    assert await receive(database, lease, 4) == taken
    found = await database.read(journal.load(lease.run))
    assert [(one.key, inputs.is_given_back(one)) for one in found] == [("next#1", False), ("next#1", True), ("next#4", False)]


async def test_a_run_that_runs_again_from_an_entry_receives_what_came_after_it_again(database: Database) -> None:
    lease = await leased(database)
    for number in (7, 8, 9):
        await send(database, number)
    for seq in (1, 2):
        await receive(database, lease, seq)
    await database.transact(transitions.pause(lease, transitions.cancellation("changed"), SPENT))
    await database.transact(transitions.resume("run_1", None, 2, NOW))
    [run] = await database.transact(claim("b"))
    assert [await receive(database, lease_of(run), seq) for seq in (4, 5)] == [Message(2, "8"), Message(3, "9")]


async def test_a_run_that_has_ended_takes_nothing_but_what_it_knows(database: Database) -> None:
    lease = await leased(database)
    await send(database, 7, key="k")
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    with pytest.raises(RunError, match="is completed"):
        await send(database, 8)
    assert (await send(database, 7, key="k")).seq == 1
    with pytest.raises(RunNotFound):
        await send(database, 8, run=9)


async def test_a_run_that_has_not_begun_keeps_what_it_is_sent(database: Database) -> None:
    await database.transact(runs.start(new(1, ready_at=NOW + SECOND), NOW))
    assert (await send(database, 7)).runs == []
    assert (await database.read(runs.get("run_1"))).state is RunState.SCHEDULED


async def test_no_more_than_so_many_messages_are_kept_for_a_run_that_does_not_ask(database: Database) -> None:
    lease = await leased(database)
    await send(database, 1)
    digest = message(0).digest
    await database.execute(
        SQL.inputs.put(run=lease.run, name="inbox", seq=MOST, data="0", idempotency_key=None, digest=digest, sent_by=None, now=NOW),
    )
    with pytest.raises(InputFull):
        await send(database, 2)
    assert (await send(database, 2, name="other")).seq == 1
    await receive(database, lease, 1)
    assert (await send(database, 3)).seq == MOST + 1
