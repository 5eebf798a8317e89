"""What queues must hold on every database: limits, turns, rates, pauses, debounce and dedupe, whoever claims at the same moment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from agentflow import task
from agentflow.clock import SECOND
from agentflow.database import Database
from agentflow.engine.claims import Claims
from agentflow.records import QueueRecord, RunState
from agentflow.storage import queues, runs, transitions
from agentflow.storage.queues import Claimant, Claimed
from agentflow.storage.runs import Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import Release
from agentflow.testing import ManualClock
from tests.contracts.claiming import fill, finish, in_state, limited, numbers, take, take_open
from tests.contracts.stock import LEASE, NOW, SPENT, lease_of, living, new

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)


async def nothing() -> None: ...


# -- concurrency -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["completed", "suspended", "handed back"])
async def test_with_a_limit_of_one_the_second_run_begins_only_when_the_first_has_left(database: Database, way: str) -> None:
    """31: whichever way it leaves, no slot is leaked."""
    await limited(database, concurrency=1)
    await fill(database, 2)
    [first] = (await take(database)).runs
    held = await take(database, "b")
    assert (held.runs, held.held_back) == ([], True)
    match way:
        case "completed":
            await finish(database, first)
        case "suspended":
            await database.transact(transitions.suspend(lease_of(first), 0, SPENT))
        case _:
            await database.transact(transitions.release(lease_of(first), Release(attempt=2, ready_at=NOW + 1), SPENT, NOW))
    assert numbers(await take(database, "b")) == ["1"]
    assert len(await in_state(database, RunState.RUNNING)) == 1


async def test_claims_at_once_never_exceed_a_limit_and_leave_no_room_unused(database: Database, other: Database) -> None:
    """T48, T49: runs begin, end and are recovered on two connections, again and again."""
    await limited(database, concurrency=7, key_concurrency=3)
    for key in "xyz":
        await fill(database, 40, concurrency_key=key)
    chance = random.Random(7)
    places = [(database, "a"), (other, "b"), (database, "b"), (other, "a")]
    while True:
        await asyncio.gather(*(take(by, worker, chance.randint(1, 5)) for by, worker in places))
        while (await take(database)).more:
            pass
        held = await in_state(database, RunState.RUNNING)
        if not held:
            break
        by_key = Counter(run.concurrency_key for run in held)
        assert len(held) <= 7
        assert max(by_key.values()) <= 3
        still = {run.concurrency_key for run in await in_state(database, RunState.QUEUED)}
        assert len(held) == 7 or all(by_key[key] == 3 for key in still)
        dead, *ends = chance.sample(held, min(5, len(held)))
        await asyncio.gather(*(finish((database, other)[at % 2], run) for at, run in enumerate(ends or [dead])))
        await database.transact(transitions.recover(dead.id, dead.worker or "", 99, NOW, NOW))
    assert len(await in_state(database, RunState.COMPLETED)) == 120


async def test_a_run_that_starts_or_wakes_does_not_go_past_a_limit(database: Database) -> None:
    """A free slot in the process that starts it is no way around the queue."""
    await limited(database, concurrency=5)
    await database.transact(runs.start(new(1, lessee=Lessee("a", "run_1")), NOW))
    assert (await database.read(runs.get("run_1"))).state is RunState.QUEUED
    [run] = (await take(database)).runs
    await database.transact(transitions.suspend(lease_of(run), 0, SPENT))
    assert not await database.execute(SQL.runs.lease(run=run.key, worker="a", version=None, now=NOW))


async def test_runs_in_queues_of_the_same_kind_do_not_count_for_each_other(database: Database) -> None:
    await database.transact(queues.declare([QueueRecord(name=name, concurrency=1) for name in ("default", "second")]))
    await fill(database, 2)
    await database.transact(runs.start(new(9, queue="second"), NOW))
    assert numbers(await take(database)) == ["0"]
    claimed = await database.transact(queues.claim_limited(Claimant(worker="a", serves=["t"], limit=5), "second", NOW))
    assert numbers(claimed) == ["9"]


async def test_a_limit_that_code_does_not_give_any_more_is_gone_and_a_pause_stays(database: Database) -> None:
    await limited(database, concurrency=1)
    await database.transact(queues.pause("default", "maria", NOW))
    await limited(database)
    [left] = await database.read(queues.everything())
    assert (left.limited, left.paused_by) == (False, "maria")
    await database.transact(queues.resume("default"))
    assert await database.read(queues.everything()) == []
    gone = await take(database)
    assert (gone.unlimited, gone.more) == (True, True)


# -- turns -------------------------------------------------------------------------------------------------------------------------------


async def test_a_key_with_many_runs_keeps_no_other_waiting(database: Database) -> None:
    """T50, 32: in an open queue, whatever the number of free slots."""
    await fill(database, 300, concurrency_key="many")
    await fill(database, 1, concurrency_key="one")
    first = await take_open(database, limit=1)
    second = await take_open(database, after=first.runs[0].concurrency_key, limit=1)
    assert {run.concurrency_key for run in [*first.runs, *second.runs]} == {"many", "one"}


async def test_keys_of_a_limited_queue_take_turns_whichever_worker_claims(database: Database, other: Database) -> None:
    """T50, 32."""
    await limited(database, concurrency=100)
    for key in ("a", "b", "c"):
        await fill(database, 30, concurrency_key=key)
    keys = [(await take((database, other)[at % 2], "ab"[at % 2], limit=1)).runs[0].concurrency_key or "" for at in range(9)]
    assert Counter(keys) == {"a": 3, "b": 3, "c": 3}
    assert sorted(keys[:3]) == ["a", "b", "c"] == sorted(keys[3:6])


async def test_keys_that_are_full_are_passed_over(database: Database) -> None:
    await limited(database, key_concurrency=1)
    for key in ("a", "b", "c"):
        await fill(database, 5, concurrency_key=key)
    assert sorted(run.concurrency_key or "" for run in (await take(database)).runs) == ["a", "b", "c"]
    held = await take(database)
    assert (held.runs, held.more) == ([], False)


@pytest.mark.parametrize("kind", ["open", "full"])
async def test_a_look_that_sees_only_so_many_keys_goes_on_behind_them(database: Database, kind: str) -> None:
    """No idle worker while runs can be claimed: keys of others' runs, or full ones, do not hide the rest for ever."""
    await limited(database, **({"key_concurrency": 1} if kind == "full" else {}))
    for number in range(10):
        key = f"k{number}"
        await database.transact(runs.start(new(number, concurrency_key=key, task="t" if kind == "full" else "another"), NOW))
    if kind == "full":
        while (await take(database, look=4)).more:
            pass
        assert len(await in_state(database, RunState.RUNNING)) == 10
        for number in range(10):
            await database.transact(runs.start(new(100 + number, concurrency_key=f"k{number}"), NOW))
    await database.transact(runs.start(new(200, concurrency_key="z"), NOW))
    after, found = None, Claimed(more=True)
    for _ in range(6):
        found = await take(database, look=4) if kind == "full" else await take_open(database, after, look=4)
        after = found.cut.get("default", after)
        if found.runs:
            break
    assert numbers(found) == ["200"]


@pytest.mark.parametrize("limits", [{}, {"key_rate": 1, "key_rate_period": 20 * SECOND}])
async def test_a_worker_goes_round_all_keys_once_and_then_rests(database: Database, limits: dict[str, int]) -> None:
    """It finds the one run that it may take behind many keys that it may not, and does not look for ever where there is none."""
    await limited(database, **limits)
    for number in range(200):
        await database.transact(runs.start(new(number, concurrency_key=f"k{number:03}", task="t" if limits else "another"), NOW))
    claims = Claims(database, ManualClock(NOW), {"t": task(name="t")(nothing)})
    claims.lanes = 16
    await claims.look()
    while limits and (await claims.take("a", ["default"], 50)).more:
        pass
    for number in range(200 if limits else 0):
        await database.transact(runs.start(new(f"again-{number}", concurrency_key=f"k{number:03}"), NOW))
    for expected in ([], ["z"]):
        for key in expected:
            await database.transact(runs.start(new(key, concurrency_key=key), NOW))
        found: list[str] = []
        for _ in range(60):
            claimed = await claims.take("a", ["default"], 10)
            found += numbers(claimed)
            if not claimed.more:
                break
        else:
            pytest.fail("it never rests")
        assert found == expected


async def test_the_first_of_a_key_is_the_one_with_priority_then_the_one_that_came_first(database: Database) -> None:
    """33: order is time minus priority in seconds, so what waits long enough is overtaken by nobody."""
    await limited(database, concurrency=9)
    for number, (later, priority) in enumerate([(0, 0), (0, 0), (5, 10), (5, 4), (20, 10)]):
        await database.transact(runs.start(new(number, priority=priority), NOW + later * SECOND))
    assert numbers(await take(database, limit=5, now=NOW + 20 * SECOND)) == ["2", "0", "1", "3", "4"]


async def test_a_run_that_goes_on_comes_before_newer_ones(database: Database) -> None:
    """33."""
    await limited(database, concurrency=1)
    await fill(database, 3)
    [first] = (await take(database)).runs
    await database.transact(transitions.recover(first.id, "a", 9, NOW, NOW))
    assert numbers(await take(database)) == ["0"]


async def test_a_run_that_has_begun_is_not_given_up_when_its_time_to_live_ends(database: Database) -> None:
    """36."""
    await limited(database, concurrency=1)
    await fill(database, 2, expires_at=NOW + 1)
    [first] = (await take(database)).runs
    await database.transact(transitions.recover(first.id, "a", 9, NOW, NOW))
    assert await database.transact(transitions.expire(first.id, NOW + 2)) is None
    assert numbers(await take(database, now=NOW + 2)) == ["0"]


async def test_an_entry_whose_run_is_gone_keeps_nobody_waiting(database: Database) -> None:
    """37: the entry is the run's own row, so a run that is cancelled or expired is in no queue."""
    await limited(database, concurrency=5)
    await fill(database, 3)
    await database.transact(transitions.ask_cancel("run_0", "no", NOW, NOW))
    assert numbers(await take(database)) == ["1", "2"]


# -- rates -------------------------------------------------------------------------------------------------------------------------------


async def starts(database: Database, other: Database, seconds: int, step: int = SECOND // 50) -> list[int]:
    """When runs began, claimed by two workers at every step of the time."""
    begun: list[int] = []
    for at in range(0, seconds * SECOND, step):
        for by, worker in ((database, "a"), (other, "b")):
            begun += [NOW + at for _ in (await take(by, worker, limit=3, now=NOW + at)).runs]
    return begun


def most_in(begun: list[int], period: int) -> int:
    return max(sum(start <= other < start + period for other in begun) for start in begun)


async def test_no_window_has_more_starts_than_the_rate_whoever_claims(database: Database, other: Database) -> None:
    """T51."""
    await limited(database, rate=10, rate_period=SECOND)
    await fill(database, 40)
    begun = await starts(database, other, 3)
    assert most_in(begun, SECOND) == 10
    assert len(begun) >= 25


async def test_a_rate_that_is_used_up_tells_when_to_look_again(database: Database) -> None:
    await limited(database, rate=2, rate_period=20 * SECOND)
    await fill(database, 3)
    full = await take(database)
    assert (numbers(full), full.more) == (["0", "1"], True)
    held = await take(database)
    assert (held.runs, held.more, held.held_back) == ([], False, True)
    assert held.retry_at is not None
    assert NOW + 20 * SECOND < held.retry_at <= NOW + 21 * SECOND
    assert (await take(database, now=held.retry_at - 1)).runs == []
    assert numbers(await take(database, now=held.retry_at)) == ["2"]


async def test_a_rate_for_each_key_counts_each_key_for_itself_and_hides_no_other(database: Database) -> None:
    await limited(database, key_rate=1, key_rate_period=60 * SECOND)
    for key in "abcd":
        await fill(database, 2, concurrency_key=key)
    for _ in range(4):
        assert len((await take(database, limit=1)).runs) == 1
    assert sorted(run.concurrency_key or "" for run in await in_state(database, RunState.RUNNING)) == list("abcd")
    held = await take(database, limit=1)
    assert (held.runs, held.more) == ([], False)
    assert held.retry_at is not None


async def test_starts_count_by_weight_and_a_heavy_one_is_not_overtaken_for_ever(database: Database) -> None:
    """Tokens per minute."""
    await limited(database, rate=10, rate_period=SECOND)
    await fill(database, 8, concurrency_key="light", weight=3)
    await database.transact(runs.start(new("heavy", concurrency_key="heavy", weight=9), NOW))
    await database.transact(runs.start(new("too-heavy", concurrency_key="huge", weight=50), NOW))
    begun: dict[str, int] = {}
    for at in range(0, 12 * SECOND, SECOND // 10):
        for run in (await take(database, now=NOW + at)).runs:
            begun[run.id] = at
    assert begun["run_heavy"] <= 3 * SECOND
    assert "run_too-heavy" in begun
    assert len(begun) == 10
    weights = {run_id: 50 if "huge" in run_id or "too" in run_id else 9 if "heavy" in run_id else 3 for run_id in begun}
    for start in begun.values():
        inside = [weights[run_id] for run_id, at in begun.items() if start <= at < start + SECOND]
        assert sum(inside) <= 10 or inside == [50]


async def test_what_goes_on_needs_no_start(database: Database) -> None:
    """A recovered or woken run is not counted twice, and not held back by a rate."""
    await limited(database, rate=1, rate_period=SECOND)
    await fill(database, 2)
    [first] = (await take(database)).runs
    await database.transact(transitions.recover(first.id, "a", 9, NOW, NOW))
    assert numbers(await take(database)) == ["0"]


# -- pause -------------------------------------------------------------------------------------------------------------------------------


async def test_a_paused_queue_lets_nothing_begin_or_go_on_until_it_is_resumed(database: Database) -> None:
    await fill(database, 2)
    [first] = (await take_open(database, limit=1)).runs
    paused = await database.transact(queues.pause("default", "maria", NOW))
    assert (paused.paused_by, paused.paused_at) == ("maria", NOW)
    again = await database.transact(queues.pause("default", "tom", NOW + 1))
    assert (again.paused_by, again.paused_at) == ("maria", NOW)
    assert (await take_open(database)).runs == (await take(database)).runs == []
    await database.transact(runs.start(new(7, lessee=Lessee("a", "run_7")), NOW))
    assert (await database.read(runs.get("run_7"))).state is RunState.QUEUED
    await finish(database, first)
    await database.transact(queues.resume("default"))
    assert numbers(await take_open(database)) == ["1", "7"]


async def test_a_worker_whose_lease_has_ended_claims_nothing_from_a_limited_queue(database: Database) -> None:
    await limited(database, concurrency=2)
    await fill(database, 1)
    assert (await take(database, now=NOW + LEASE)).runs == []
    assert living("a").expires_at == NOW + LEASE
