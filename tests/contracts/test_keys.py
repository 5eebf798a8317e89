"""Dedupe and debounce keys, and starts that are put off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow.clock import SECOND
from agentflow.database import Database
from agentflow.errors import RunError
from agentflow.records import RunState
from agentflow.storage import listing, runs, transitions
from agentflow.storage.listing import RunFilter
from agentflow.storage.runs import Debounced
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import Release
from tests.contracts.claiming import finish, take_open
from tests.contracts.stock import NOW, SPENT, lease_of, new

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


@pytest.mark.parametrize("end", ["completed", "cancelled"])
async def test_a_dedupe_key_blocks_a_second_start_until_the_run_has_ended(database: Database, end: str) -> None:
    """T52."""
    first = await database.transact(runs.start(new(1, dedupe_key="d"), NOW))
    assert not first.existed
    second = runs.start(new(2, dedupe_key="d", input='{"x":1}'), NOW)
    found = await database.transact(second)
    assert (found.existed, found.run.id) == (True, "run_1")
    [run] = (await take_open(database)).runs
    assert (await database.transact(runs.start(new(3, dedupe_key="d"), NOW))).run.id == "run_1"
    await database.transact(transitions.release(lease_of(run), Release(attempt=2, ready_at=NOW + 1), SPENT, NOW))
    assert (await database.transact(runs.start(new(4, dedupe_key="d"), NOW))).run.id == "run_1"
    await database.execute(SQL.runs.promote(now=NOW + 1, limit=9))
    [run] = (await take_open(database)).runs
    await database.transact(transitions.recover(run.id, "a", 9, NOW, NOW))
    assert (await database.transact(runs.start(new(5, dedupe_key="d"), NOW))).run.id == "run_1"
    if end == "cancelled":
        await database.transact(transitions.ask_cancel("run_1", "no", NOW, NOW))
        await database.transact(transitions.force_cancel("run_1", NOW))
    else:
        await finish(database, (await take_open(database)).runs[0])
    assert (await database.transact(runs.start(new(6, dedupe_key="d"), NOW))).run.id == "run_6"
    assert (await database.transact(runs.start(new(7, dedupe_key="d", task="another"), NOW))).run.id == "run_7"


async def test_of_many_starts_with_a_dedupe_key_at_once_one_makes_the_run(database: Database, other: Database) -> None:
    """T52."""
    for round in range(10):
        begun = await asyncio.gather(
            *((database, other)[at % 2].transact(runs.start(new(f"{round}-{at}", dedupe_key=f"{round}"), NOW)) for at in range(6))
        )
        assert len({one.run.id for one in begun}) == 1
        assert [one.existed for one in begun].count(False) == 1


def debounced(number: Any, now: int, *, key: str = "k", trailing: bool = True, until: int = NOW + 60 * SECOND, **chosen: Any) -> Any:
    chosen = {"input": f'{{"n":{number}}}', **chosen}
    return runs.start(new(number, ready_at=now + SECOND, debounce=Debounced(key, until, trailing), **chosen), now)


@pytest.mark.parametrize(("trailing", "last"), [(True, 99), (False, 0)])
async def test_a_hundred_debounced_starts_become_one_run(database: Database, other: Database, trailing: bool, last: int) -> None:
    """35: with the payload of the last, or of the first."""
    await database.transact(debounced(0, NOW, trailing=trailing))
    middle = (debounced(number, NOW + number, trailing=trailing) for number in range(1, 99))
    await asyncio.gather(*((database, other)[at % 2].transact(one) for at, one in enumerate(middle)))
    found = await database.transact(debounced(99, NOW + 99, trailing=trailing))
    assert (found.existed, found.run.id) == (True, "run_0")
    [run] = (await database.read(listing.page(RunFilter()))).runs
    assert (run.input, run.ready_at) == (f'{{"n":{last}}}', NOW + 99 + SECOND)


async def test_a_debounced_run_is_put_off_no_further_than_its_longest_delay(database: Database) -> None:
    """35: what comes after it went makes a new run."""
    await database.transact(debounced(1, NOW, until=NOW + 3 * SECOND))
    put_off = await database.transact(debounced(2, NOW + 900_000 * 3, until=NOW + 99 * SECOND))
    assert put_off.run.ready_at == NOW + 3 * SECOND
    await database.execute(SQL.runs.promote(now=NOW + 3 * SECOND, limit=9))
    assert (await database.transact(debounced(3, NOW + 3 * SECOND))).run.id == "run_3"


async def test_the_time_to_live_of_a_debounced_run_counts_from_when_it_could_start(database: Database) -> None:
    """34, 35: being put off does not use it up."""
    await database.transact(debounced(1, NOW, expires_at=NOW + 6 * SECOND))
    later = await database.transact(debounced(2, NOW + 9 * SECOND // 10, expires_at=NOW + 9 * SECOND // 10 + 6 * SECOND))
    assert later.run.expires_at == (later.run.ready_at or 0) + 5 * SECOND


async def test_debounced_starts_of_other_keys_and_tasks_stay_apart(database: Database) -> None:
    """35."""
    for number, (key, task) in enumerate([("k", "t"), ("l", "t"), ("k", "another"), ("k", "t")]):
        await database.transact(debounced(number, NOW, key=key, task=task))
    assert len((await database.read(listing.page(RunFilter()))).runs) == 3


async def test_a_rescheduled_run_starts_at_its_new_time_only(database: Database) -> None:
    """T53, 34: with its new payload, and a time to live that counts from then."""
    await database.transact(runs.start(new(1, ready_at=NOW + 10, expires_at=NOW + 30), NOW))
    moved = await database.transact(runs.reschedule("run_1", NOW + 100, '{"x":2}', NOW))
    assert (moved.ready_at, moved.expires_at, moved.input) == (NOW + 100, NOW + 120, '{"x":2}')
    assert await database.execute(SQL.runs.promote(now=NOW + 99, limit=9)) == []
    assert await database.transact(transitions.expire("run_1", NOW + 99)) is None
    assert len(await database.execute(SQL.runs.promote(now=NOW + 100, limit=9))) == 1
    with pytest.raises(RunError, match="queued"):
        await database.transact(runs.reschedule("run_1", NOW + 200, None, NOW))


async def test_a_reschedule_and_the_end_of_the_delay_at_once_agree(database: Database, other: Database) -> None:
    """T53: either it has been put off, or it goes and the caller is told."""
    for number in range(20):
        await database.transact(runs.start(new(number, ready_at=NOW + 10), NOW))
        moving, going = runs.reschedule(f"run_{number}", NOW + 100, None, NOW), SQL.runs.promote(now=NOW + 10, limit=9)
        moved, gone = await asyncio.gather(database.transact(moving), other.execute(going), return_exceptions=True)
        run = await database.read(runs.get(f"run_{number}"))
        if isinstance(moved, RunError):
            assert run.state is RunState.QUEUED
        else:
            assert (run.state, run.ready_at, gone) == (RunState.SCHEDULED, NOW + 100, [])
