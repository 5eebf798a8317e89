"""What upkeep must hold on every database: what is old goes, whole, a little at a time, and nothing that somebody may still need."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow.clock import SECOND
from agentflow.database import Database
from agentflow.errors import RunError, RunNotFound
from agentflow.records import EntryKind, JournalEntry, RunState, WaitKind, WaitState
from agentflow.storage import blobs, inputs, journal, listing, runs, transitions, upkeep, usage, waitpoints
from agentflow.storage.inputs import NewMessage
from agentflow.storage.listing import RunFilter
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import End, Release
from agentflow.storage.upkeep import CLOCKS, Place, Turn, TurnOver
from agentflow.storage.usage import LONGEST, CallUsage, Metered
from agentflow.storage.waitpoints import Ending, NewWaitpoint, TokenKey
from tests.contracts.stock import DONE, LEASE, NOW, SPENT, claim, lease_of, leased, new

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)

LATER = NOW + 40 * 86_400 * SECOND
LARGE = '"' + "x" * blobs.LIMIT + '"'
KEY = TokenKey("k", LATER)
FAILED = End(state=RunState.FAILED)


async def finished(database: Database, number: int, now: int = NOW, end: End = DONE, **chosen: Any) -> Lease:
    """A run that has ended at `now`."""
    lease = await leased(database, number=number, **chosen)
    await database.transact(transitions.finish(lease, end, SPENT, now))
    return lease


async def sweep(database: Database, before: int = LATER, look: int = 100) -> list[str]:
    """Delete all that ended before that; returns the ids in their order."""
    gone: list[str] = []
    position, more = 0, True
    while more:
        buried = await database.transact(upkeep.bury(position, before, look))
        gone += buried.runs
        position, more = buried.position, buried.more
    while await database.transact(upkeep.clear(100)):
        pass
    return gone


async def left(database: Database, lease: Lease) -> list[str]:
    """Where something of a run is left."""
    records = await database.read(journal.load(lease.run))
    waited = await database.read(waitpoints.of_run(lease.run))
    said = await database.read(journal.transcripts(lease.run))
    joined = await database.read(journal.joined(lease.run))
    [sent] = await database.fetch(SQL.inputs.ends(run=lease.run, name="inbox"))
    used = await database.read(usage.of_scope(f"run:{lease.run}"))
    every = {"journal": records, "transcripts": said, "joined": joined, "waitpoints": waited, "inputs": sent["last"], "usage": used.calls}
    return [name for name, rows in every.items() if rows]


async def listed(database: Database, **chosen: Any) -> list[str]:
    return [run.id for run in (await database.read(listing.page(RunFilter(**chosen)))).runs]


def entry(seq: int, epoch: int, value: str = "1") -> JournalEntry:
    return JournalEntry(seq, EntryKind.RESULT, f"step#{seq}", value, None, None, 1, 1, NOW, NOW, epoch)


def question(number: int = 1, **chosen: Any) -> NewWaitpoint:
    values: dict[str, Any] = {"kind": WaitKind.APPROVAL, **chosen}
    return NewWaitpoint(id=f"wp_{number}", key=f"ask#{number}", attempt=1, **values)


# -- what goes ---------------------------------------------------------------------------------------------------------------------------


async def test_an_old_run_goes_with_all_that_belongs_to_it_and_a_young_one_stays(database: Database) -> None:
    """F4"""
    old = await leased(database, number=1, tags=["vip"], idempotency_key="k")
    metered = Metered([CallUsage(input=1)], [f"run:{old.run}", "thread:t-7", "tag:vip"])
    await journal.append(database, old, entry(1, old.epoch), journal.Words("[]", {"run_1": "[]"}), metered)
    await database.transact(waitpoints.create(old, question(), NOW))
    await database.transact(inputs.send(old.run_id, NewMessage(name="inbox", data="1"), NOW))
    await database.transact(transitions.finish(old, DONE, SPENT, NOW))
    assert await left(database, old) == ["journal", "transcripts", "joined", "waitpoints", "inputs", "usage"]
    young = await finished(database, 2, now=LATER, tags=["vip"])
    assert await sweep(database, before=NOW) == ["run_1"]
    assert await left(database, old) == []
    assert await listed(database, tag="vip") == [young.run_id]
    assert await database.fetch(SQL.idempotency.get(key=runs.scoped("", "t", "k"), now=NOW)) == []
    with pytest.raises(RunNotFound):
        await database.read(runs.get("run_1"))


async def test_what_counts_for_a_tag_or_a_key_goes_with_the_longest_window_and_for_a_thread_it_stays(database: Database) -> None:
    old = await leased(database, number=1, tags=["vip"])
    scopes = [f"run:{old.run}", "thread:t-7", "tag:vip", "key:acme"]
    await journal.append(database, old, entry(1, old.epoch), None, Metered([CallUsage(input=1)], scopes))
    await database.transact(transitions.finish(old, DONE, SPENT, NOW))
    await sweep(database)

    async def calls() -> list[int]:
        return [(await database.read(usage.of_scope(scope))).calls for scope in scopes]

    await database.transact(upkeep.expire_usage(NOW + LONGEST - 1, 100))
    assert await calls() == [0, 1, 1, 1]
    assert not await database.transact(upkeep.expire_usage(NOW + LONGEST, 100))
    assert await calls() == [0, 1, 0, 0]


async def test_a_run_that_goes_on_in_any_way_stays(database: Database) -> None:
    """F4"""
    waiting, paused, running, retrying = [await leased(database, number=number) for number in (1, 2, 3, 4)]
    await database.transact(waitpoints.create(waiting, question(), NOW))
    await database.transact(transitions.suspend(waiting, 0, SPENT))
    await database.transact(transitions.pause(paused, transitions.cancellation("no"), SPENT))
    await database.transact(transitions.release(retrying, Release(attempt=2, ready_at=LATER), SPENT, NOW))
    await database.transact(runs.start(new(5), NOW))
    await finished(database, 6, now=LATER + 1)
    assert await sweep(database) == []
    assert await listed(database) == [f"run_{number}" for number in (6, 5, 4, 3, 2, 1)]
    assert running.run_id == "run_3"


async def test_a_run_whose_hooks_are_to_be_called_stays_until_they_were(database: Database) -> None:
    lease = await finished(database, 1, hooked=True)
    await finished(database, 2)
    assert await sweep(database) == ["run_2"]
    await database.execute(SQL.runs.hooks_called(run=lease.run))
    assert await sweep(database) == ["run_1"]


async def test_a_run_whose_children_are_to_be_told_of_its_end_stays_until_they_were(database: Database) -> None:
    lease = await finished(database, 1, end=FAILED)
    assert await sweep(database) == []
    await database.execute(SQL.runs.children_told(run=lease.run))
    assert await sweep(database) == ["run_1"]


async def test_a_child_stays_while_its_parent_goes_on_and_goes_with_it(database: Database) -> None:
    parent = await leased(database)
    await database.transact(waitpoints.start_child(parent, new(2), question(kind=WaitKind.CHILD, target="run_2"), NOW))
    [child] = await database.transact(claim("b"))
    await database.transact(transitions.finish(lease_of(child), DONE, SPENT, NOW))
    assert await sweep(database) == []
    await database.transact(transitions.finish(parent, DONE, SPENT, NOW))
    assert await sweep(database) == ["run_1", "run_2"]


async def test_a_token_goes_long_after_its_end_and_its_key_makes_another(database: Database) -> None:
    first, _ = await database.transact(waitpoints.create_free("{}", None, None, KEY, NOW))
    second, _ = await database.transact(waitpoints.create_free("{}", None, None, None, NOW))
    await database.transact(waitpoints.end(first.id, Ending(WaitState.ANSWERED, "1", "maria"), NOW))
    assert not await database.transact(upkeep.forget_tokens(NOW, 10))
    again, existed = await database.transact(waitpoints.create_free("{}", None, None, KEY, NOW + 1))
    assert (again.id != first.id, existed) == (True, False)
    assert {one.id for one in await database.read(listing.waitpoints(state="pending"))} == {second.id, again.id}


# -- a little at a time ------------------------------------------------------------------------------------------------------------------


async def test_a_sweep_that_was_cut_off_goes_on_where_it_was_in_the_hands_of_another(database: Database) -> None:
    """F4"""
    for number in range(1, 8):
        await finished(database, number)
    assert await database.transact(upkeep.elect(turn("a"), NOW)) == 0
    buried = await database.transact(upkeep.in_turn(turn("a"), upkeep.bury(0, LATER, 3)))
    assert (list(buried.runs), buried.more) == (["run_1", "run_2", "run_3"], True)
    assert await database.transact(upkeep.elect(turn("b"), NOW)) is None
    position = await database.transact(upkeep.elect(turn("b"), NOW + LEASE))
    assert position is not None
    assert position == buried.position
    rest = await database.transact(upkeep.in_turn(turn("b"), upkeep.bury(position, LATER, 3)))
    assert list(rest.runs) == ["run_4", "run_5", "run_6"]
    with pytest.raises(TurnOver):
        await database.transact(upkeep.in_turn(turn("a"), upkeep.bury(buried.position, LATER, 3)))


async def test_of_many_workers_one_is_elected_and_none_again_before_it_is_due(database: Database, other: Database) -> None:
    found = await asyncio.gather(*((database, other)[at % 2].transact(upkeep.elect(turn(f"w{at}"), NOW)) for at in range(10)))
    [elected] = [at for at, position in enumerate(found) if position is not None]
    await database.transact(upkeep.dismiss(f"w{elected}", NOW + 100, NOW + 1))
    assert await database.read(upkeep.due()) == NOW + 100
    assert await database.transact(upkeep.elect(turn("z"), NOW + 99)) is None
    assert await database.transact(upkeep.elect(turn("z", retention=5), NOW + 100)) == 0
    assert await database.read(upkeep.last()) == (NOW + 1, 5)


async def test_what_a_long_run_leaves_goes_in_slices_and_nobody_finds_half_a_run(database: Database) -> None:
    """F4"""
    lease = await leased(database)
    for seq in range(1, 26):
        await journal.append(database, lease, entry(seq, lease.epoch), journal.Words("[]") if seq <= 10 else None)
    for number in range(1, 6):
        await database.transact(waitpoints.create(lease, question(number), NOW))
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    await finished(database, 2, now=LATER + 1)
    buried = await database.transact(upkeep.bury(0, LATER, 10))
    assert buried.runs == ["run_1"]
    assert await listed(database) == ["run_2"]
    slices = 0
    while await database.transact(upkeep.clear(10)):
        slices += 1
    assert (slices, await left(database, lease)) == (5, [])


async def test_two_sweeps_at_once_delete_everything_once(database: Database, other: Database) -> None:
    for number in range(1, 41):
        await finished(database, number)
    one, two = await asyncio.gather(sweep(database, look=7), sweep(other, look=7))
    assert sorted([*one, *two]) == sorted(f"run_{number}" for number in range(1, 41))
    assert await listed(database) == []


# -- keys --------------------------------------------------------------------------------------------------------------------------------


async def test_the_key_of_a_deleted_run_is_never_given_to_another(database: Database) -> None:
    """S2: the key is a part of the fence, and whoever worked on the run may still be alive."""
    zombie = await finished(database, 1)
    await sweep(database)
    following = await leased(database, number=2)
    assert following.run > zombie.run
    await sweep(database)
    assert await listed(database) == ["run_2"]


async def test_the_newest_run_leaves_a_husk_that_nobody_sees(database: Database) -> None:
    await finished(database, 1, tags=["vip"])
    assert await sweep(database) == ["run_1"]
    assert await sweep(database) == []
    for chosen in ({}, {"task": ""}, {"task": "t"}, {"tag": "vip"}, {"state": RunState.CANCELLED}, {"state": RunState.COMPLETED}):
        assert await listed(database, **chosen) == []
    assert await database.read(listing.counts()) == []
    await finished(database, 2, now=LATER + 1)
    assert await sweep(database) == []
    assert (await database.fetch(SQL.remains.stretch(after=0, look=10)))[0]["looked"] == 1


async def test_a_run_is_deleted_by_hand_once_it_has_ended(database: Database) -> None:
    lease = await leased(database, number=1, idempotency_key="k")
    await journal.append(database, lease, entry(1, lease.epoch))
    with pytest.raises(RunError, match="only a run that has ended"):
        await database.transact(upkeep.delete("run_1"))
    await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    key = await database.transact(upkeep.delete("run_1"))
    while await database.transact(upkeep.clear(10, key)):
        pass
    assert await left(database, lease) == []
    with pytest.raises(RunNotFound):
        await database.transact(upkeep.delete("run_1"))
    started = await database.transact(runs.start(new(2, idempotency_key="k", input='{"other":1}'), NOW))
    assert (started.run.id, started.existed) == ("run_2", False)


# -- blobs -------------------------------------------------------------------------------------------------------------------------------


async def forget_blobs(database: Database, now: int = LATER) -> int:
    """Delete the blobs that nothing points to; returns how many are left."""
    looked = await database.read(upkeep.unused_blobs(Place(0, ""), now, 100))
    await database.transact(upkeep.forget_blobs(looked.unused, now))
    return len(await database.fetch(SQL.blobs.unused(created_at=0, hash="", before=now + CLOCKS, look=100)))


def large(letter: str) -> str:
    return LARGE.replace("x", letter)


async def test_a_blob_stays_while_anything_points_to_it_and_goes_after_that(database: Database) -> None:
    lease = await leased(database, number=1, input=large("i"))
    await journal.append(database, lease, entry(1, lease.epoch, large("j")))
    await database.transact(waitpoints.create(lease, question(), NOW))
    await database.transact(waitpoints.end("wp_1", Ending(WaitState.ANSWERED, large("w"), "maria"), NOW))
    await database.transact(transitions.finish(lease, End(state=RunState.COMPLETED, output=large("o")), SPENT, NOW))
    assert await forget_blobs(database) == 4
    assert (await database.read(runs.get("run_1"))).output == large("o")
    await sweep(database)
    assert await forget_blobs(database) == 0


async def test_a_blob_that_another_run_points_to_stays(database: Database) -> None:
    await finished(database, 1, input=LARGE)
    await finished(database, 2, now=LATER + 1, input=LARGE)
    assert await sweep(database) == ["run_1"]
    assert await forget_blobs(database) == 1
    assert (await database.read(runs.get("run_2"))).input == LARGE


async def test_a_run_that_takes_up_a_failed_one_keeps_what_that_one_had_recorded(database: Database) -> None:
    dead = await leased(database, number=1, input=large("i"))
    await journal.append(database, dead, entry(1, dead.epoch, large("j")), journal.Words("[]", {"run_1": "[]"}))
    await database.transact(transitions.finish(dead, FAILED, SPENT, NOW))
    await database.execute(SQL.runs.children_told(run=dead.run))
    revived = await database.transact(transitions.revive("run_1", LATER + 1))
    assert await sweep(database) == ["run_1"]
    assert await forget_blobs(database) == 2
    assert [record.value for record in await database.read(journal.load(revived.key))] == [large("j")]
    assert await database.read(journal.transcripts(revived.key)) == {1: "[]"}
    assert [events for _, events in await database.read(journal.joined(revived.key))] == ["[]"]


async def test_a_blob_that_was_just_put_is_left_alone(database: Database) -> None:
    await finished(database, 1, input=LARGE)
    await sweep(database)
    assert await forget_blobs(database, now=NOW + CLOCKS) == 1


async def test_no_blob_is_lost_that_is_put_again_while_it_is_swept(database: Database, other: Database) -> None:
    """Each round puts a blob, which nothing points to since its last run was deleted, while another process sweeps."""
    for number in range(1, 16):
        at = NOW + 2 * number * CLOCKS
        await asyncio.gather(
            database.transact(runs.start(new(number, input=LARGE), at)),
            other.transact(upkeep.forget_blobs([name(LARGE)], at)),
            other.transact(upkeep.forget_blobs([name(LARGE)], at)),
        )
        assert (await database.read(runs.get(f"run_{number}"))).input == LARGE
        await database.transact(transitions.ask_cancel(f"run_{number}", "no", at, at))
        await database.execute(SQL.runs.children_told(run=(await database.read(runs.get(f"run_{number}"))).key))
        await sweep(database, before=at)


def name(text: str) -> str:
    return next(blobs.stow(text, NOW)).parameters["hash"]


def turn(owner: str, retention: int | None = None) -> Turn:
    return Turn(owner=owner, until=NOW + LEASE, retention=retention)
