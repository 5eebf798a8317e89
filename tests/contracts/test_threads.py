"""What threads must hold on every database: one line of runs in the order of their starts, and a log that nothing takes from."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agentflow.control import LeaseLost
from agentflow.database import Database
from agentflow.records import EntryKind, JournalEntry
from agentflow.storage import blobs, journal, runs, threads, transitions, upkeep
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.upkeep import CLOCKS, Place
from tests.contracts.stock import DONE, NOW, SPENT, claim, lease_of, leased, new

LATER = NOW + 2 * CLOCKS


def appended(lease: Lease, seq: int = 1) -> JournalEntry:
    return JournalEntry(seq, EntryKind.VALUE, "thread.append#0", None, None, None, 1, 1, NOW, NOW, lease.epoch)


async def of_thread(database: Database, number: int, thread: str = "t-7", **chosen: Any) -> Lease:
    return await leased(database, number=number, thread=thread, **chosen)


async def end(database: Database, lease: Lease) -> None:
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))


async def ahead(database: Database, lease: Lease) -> str | None:
    return await database.transact(threads.ahead(lease, "t-7", NOW))


async def said(database: Database, thread: str = "t-7", **chosen: Any) -> list[str]:
    return [one.body for one in await database.read(threads.said(thread, **chosen))]


async def active(database: Database) -> str | None:
    run = await database.read(threads.active("t-7"))
    return None if run is None else run.id


async def test_runs_of_a_thread_wait_for_the_nearest_before_them_that_has_not_ended(database: Database) -> None:
    first, second, third = [await of_thread(database, number) for number in (1, 2, 3)]
    other = await of_thread(database, 4, thread="t-8")
    assert [await ahead(database, one) for one in (first, second, third)] == [None, "run_1", "run_2"]
    assert await database.transact(threads.ahead(other, "t-8", NOW)) is None
    assert await active(database) == "run_1"
    await end(database, second)
    assert (await ahead(database, third), await active(database)) == ("run_1", "run_1")
    await end(database, first)
    assert (await ahead(database, third), await active(database)) == (None, "run_3")
    await end(database, third)
    assert await active(database) is None


async def test_starts_at_the_same_moment_each_have_a_place_of_their_own(database: Database, other: Database) -> None:
    async def start(number: int) -> int | None:
        place = (database, other)[number % 2]
        return (await place.transact(runs.start(new(number, thread="t-7"), NOW))).run.turn

    turns = await asyncio.gather(*(start(number) for number in range(1, 41)))
    assert sorted(turn or 0 for turn in turns) == list(range(1, 41))
    stored = [(await database.read(runs.get(f"run_{number}"))).turn for number in range(1, 41)]
    assert stored == list(turns)


async def test_a_delayed_run_takes_its_place_when_it_begins(database: Database) -> None:
    await database.transact(runs.start(new(1, thread="t-7", ready_at=NOW + 10), NOW))
    second = await of_thread(database, 2)
    assert await ahead(database, second) is None
    await database.execute(SQL.runs.promote(now=NOW + 10, limit=10))
    [late] = await database.transact(claim("b", now=NOW + 10))
    assert (late.id, late.thread, late.turn) == ("run_1", "t-7", None)
    assert await ahead(database, lease_of(late)) == "run_2"
    assert await ahead(database, lease_of(late)) == "run_2", "it keeps the place that it took"
    assert await active(database) == "run_2"


async def test_a_debounced_run_belongs_to_its_thread(database: Database) -> None:
    how = runs.Debounced("k", NOW + 100, trailing=True)
    for number in (1, 2):
        made = await database.transact(runs.start(new(number, thread="t-7", ready_at=NOW + 10, debounce=how), NOW))
        assert (made.run.id, made.existed, made.run.thread, made.run.turn) == ("run_1", number == 2, "t-7", None)


async def test_a_run_that_was_revived_is_last_in_the_line_of_its_thread(database: Database) -> None:
    first = await of_thread(database, 1)
    await database.transact(transitions.finish(first, replace(DONE, state=transitions.RunState.FAILED, output=None), SPENT, NOW))
    await of_thread(database, 2)
    revived = await database.transact(transitions.revive("run_1", NOW))
    assert (revived.thread, revived.turn) == ("t-7", 3)
    assert await active(database) == "run_2"


async def test_messages_are_kept_in_order_and_each_position_shows_what_came_before(database: Database) -> None:
    first = await of_thread(database, 1)
    await database.transact(threads.append(first, "t-7", ['"q1"', '"a1"'], appended(first)))
    assert await database.read(threads.length("t-7")) == 2
    await end(database, first)
    second = await of_thread(database, 2)
    await database.transact(threads.append(second, "t-7", ['"q2"', '"a2"'], appended(second)))
    assert await said(database) == ['"q1"', '"a1"', '"q2"', '"a2"']
    assert await said(database, upto=2) == ['"q1"', '"a1"']
    assert await said(database, after=3) == ['"a2"']
    assert [(one.seq, one.run_id) for one in await database.read(threads.said("t-7"))] == [
        (1, "run_1"),
        (2, "run_1"),
        (3, "run_2"),
        (4, "run_2"),
    ]
    [entry] = await database.read(journal.load(second.run))
    assert (entry.key, entry.value) == ("thread.append#0", "4")
    assert (await said(database, "t-8"), await database.read(threads.length("t-8"))) == ([], 0)


async def test_what_was_appended_is_not_appended_again(database: Database) -> None:
    """The connection broke after the commit: the same transaction is run once more."""
    lease = await of_thread(database, 1)
    for _ in range(2):
        await database.transact(threads.append(lease, "t-7", ['"q1"', '"a1"'], appended(lease)))
    assert await said(database) == ['"q1"', '"a1"']


async def test_a_stale_worker_can_add_nothing_to_a_thread_and_has_no_turn(database: Database) -> None:
    stale = await of_thread(database, 1)
    await database.transact(transitions.recover("run_1", stale.worker, 5, NOW, NOW))
    [run] = await database.transact(claim("b"))
    for write in (threads.append(stale, "t-7", ['"q1"'], appended(stale)), threads.ahead(stale, "t-7", NOW)):
        with pytest.raises(LeaseLost):
            await database.transact(write)
    assert (await said(database), await database.read(threads.length("t-7"))) == ([], 0)
    held = lease_of(run)
    await database.transact(threads.append(held, "t-7", ['"q1"'], appended(held)))
    assert await said(database) == ['"q1"']


async def test_messages_outlive_their_runs_and_large_ones_too(database: Database) -> None:
    large = '"' + "x" * blobs.LIMIT + '"'
    lease = await of_thread(database, 1)
    await database.transact(threads.append(lease, "t-7", ['"q1"', large], appended(lease)))
    await end(database, lease)
    await of_thread(database, 2)
    assert (await database.transact(upkeep.bury(0, LATER, 100))).runs == ["run_1"]
    while await database.transact(upkeep.clear(100)):
        pass
    looked = await database.read(upkeep.unused_blobs(Place(0, ""), LATER, 100))
    assert looked.unused == []
    await database.transact(upkeep.forget_blobs([row["hash"] for row in await blobs_of(database)], LATER))
    assert await said(database) == ['"q1"', large]
    assert (await database.read(threads.said("t-7")))[0].run_id == "run_1"


async def blobs_of(database: Database) -> Any:
    return await database.fetch(SQL.blobs.unused(created_at=0, hash="", before=LATER + CLOCKS, look=100))


async def test_threads_are_listed_by_what_happened_in_them_last_page_by_page(database: Database) -> None:
    for number, thread in enumerate(("a", "b", "c"), start=1):
        await database.transact(runs.start(new(number, thread=thread), NOW + number))
    lessee = Lessee("a", "run_4")
    await database.transact(runs.start(new(4, thread="a", task="u", lessee=lessee), NOW + 9))
    page = await database.read(threads.page(2))
    assert [(one.id, one.agent, one.turns) for one in page.threads] == [("a", "u", 2), ("c", "t", 1)]
    assert page.next is not None
    rest = await database.read(threads.page(2, page.next))
    assert ([one.id for one in rest.threads], rest.next) == (["b"], None)
