"""What storage must hold on every database: leases fence, claims are exclusive, waitpoints end once, sweeps take what is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentflow.control import LeaseLost
from agentflow.database import Database, Transaction
from agentflow.errors import IdempotencyConflict, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import EntryKind, Failure, JournalEntry, RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.storage import journal, listing, runs, transitions, waitpoints, workers
from agentflow.storage.listing import RunFilter
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import Ended, Release
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.contracts.stock import DONE, LEASE, NOW, SPENT, claim, lease_of, leased, new

YES = Ending(WaitState.ANSWERED, '{"approved":true}', "maria")
NO = Ending(WaitState.ANSWERED, '{"approved":false}', "tom")
WRONG = Failure(code="error", type="ValueError", message="no")


def entry(seq: int, epoch: int, value: str = "1") -> JournalEntry:
    return JournalEntry(seq, EntryKind.RESULT, f"step#{seq}", value, None, None, 1, 1, NOW, NOW, epoch)


def approval(number: int = 1, **chosen: Any) -> NewWaitpoint:
    values: dict[str, Any] = {"id": f"wp_{number}", "key": f"approve#{number}", "kind": WaitKind.APPROVAL, "attempt": 1, **chosen}
    return NewWaitpoint(**values)


async def asked(database: Database, lease: Lease, number: int = 1, **chosen: Any) -> WaitpointRecord:
    return await database.transact(waitpoints.create(lease, approval(number, **chosen), NOW))


async def get(database: Database, number: int = 1) -> RunRecord:
    return await database.read(runs.get(f"run_{number}"))


async def taken_over(database: Database, stale: Lease) -> Lease:
    """The run's worker was declared dead, and worker `b` claimed the run."""
    await database.transact(transitions.recover(stale.run_id, stale.worker, 5, NOW, NOW))
    [run] = await database.transact(claim("b"))
    return lease_of(run)


WRITES: dict[str, Callable[[Lease], Transaction[Any]]] = {
    "finish": lambda lease: transitions.finish(lease, DONE, SPENT, NOW),
    "suspend": lambda lease: transitions.suspend(lease, 0, SPENT),
    "release": lambda lease: transitions.release(lease, Release(attempt=2), SPENT, NOW),
    "pause": lambda lease: transitions.pause(lease, WRONG, SPENT),
    "create a waitpoint": lambda lease: waitpoints.create(lease, approval(), NOW),
    "start a child": lambda lease: waitpoints.start_child(lease, new(2), approval(kind=WaitKind.CHILD, target="run_2"), NOW),
    "start a detached run": lambda lease: runs.start_detached(new(2), NOW, lease),
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_stale_worker_can_write_nothing_for_a_run_that_another_holds(database: Database, write: str) -> None:
    """T4, 10."""
    stale = await leased(database)
    await taken_over(database, stale)
    before = await get(database)
    with pytest.raises(LeaseLost):
        await database.transact(WRITES[write](stale))
    assert await get(database) == before
    assert await database.read(waitpoints.of_run(stale.run)) == []
    assert [run.id for run in (await database.read(listing.page(RunFilter()))).runs] == ["run_1"]


@pytest.mark.parametrize("said", [None, journal.Words("[]", {"run_1": "[]"})])
@pytest.mark.parametrize("size", [1, 300_000])
async def test_a_stale_worker_can_record_nothing_and_what_the_new_one_recorded_stays(
    database: Database, size: int, said: journal.Words | None
) -> None:
    """T4: also for a value that goes to the blobs, and for what was said."""
    stale = await leased(database)
    holder = await taken_over(database, stale)
    await journal.append(database, holder, entry(1, holder.epoch, '"theirs"'))
    for seq in (1, 2):
        with pytest.raises(LeaseLost):
            await journal.append(database, stale, entry(seq, stale.epoch, '"' + "x" * size + '"'), said)
    assert await database.read(journal.transcripts(stale.run)) == {}
    assert await database.read(journal.joined(stale.run)) == []
    assert [one.value for one in await database.read(journal.load(stale.run))] == ['"theirs"']


@pytest.mark.parametrize("write", WRITES)
async def test_nothing_is_written_for_a_run_that_has_ended(database: Database, write: str) -> None:
    """10: the epoch is the same, the state is not."""
    lease = await leased(database)
    ended = await database.transact(transitions.finish(lease, DONE, SPENT, NOW))
    with pytest.raises(LeaseLost):
        await database.transact(WRITES[write](lease))
    assert await get(database) == ended.run


async def test_of_workers_that_claim_at_once_each_run_goes_to_exactly_one(database: Database, other: Database) -> None:
    """6."""
    for number in range(20):
        await database.transact(runs.start(new(number), NOW))
    rounds = [claim(worker, 3) for worker in "ab" * 5]
    claimed = await asyncio.gather(*((database, other)[at % 2].transact(one) for at, one in enumerate(rounds)))
    assert sorted(run.id for group in claimed for run in group) == sorted(f"run_{number}" for number in range(20))
    assert all(run.epoch == 1 and run.state is RunState.RUNNING for group in claimed for run in group)
    assert all(run.worker == worker for worker, group in zip("ab" * 5, claimed, strict=True) for run in group)


async def test_a_worker_whose_lease_has_ended_claims_nothing(database: Database) -> None:
    await database.transact(runs.start(new(), NOW))
    assert await database.transact(claim("a", now=NOW + LEASE)) == []
    assert await database.transact(claim("nobody")) == []
    assert (await get(database)).state is RunState.QUEUED


@pytest.mark.parametrize(("worker", "later"), [("a", LEASE), ("nobody", 0)])
async def test_a_run_that_would_begin_at_a_dead_worker_is_queued_instead(database: Database, worker: str, later: int) -> None:
    """Else nobody would ever recover it: its worker is not on the list."""
    run = (await database.transact(runs.start(new(lessee=Lessee(worker, "run_1")), NOW + later))).run
    assert (run.state, run.worker, run.epoch, run.started_at) == (RunState.QUEUED, None, 0, None)


async def test_a_worker_that_was_swept_is_not_revived_and_one_that_was_only_late_is(database: Database) -> None:
    await database.transact(workers.remove("a"))
    assert not await database.transact(workers.renew("a", NOW + 9 * LEASE, NOW))
    assert await database.transact(workers.renew("b", NOW + 9 * LEASE, NOW))
    assert await database.read(workers.dead(NOW + 8 * LEASE, 10)) == []


async def test_a_renewed_lease_is_not_swept(database: Database) -> None:
    """T9: whoever looks finds only those whose lease has ended."""
    await database.transact(workers.renew("a", NOW + 2 * LEASE, NOW))
    assert await database.read(workers.dead(NOW + LEASE, 10)) == [("b", NOW + LEASE)]


async def test_a_sweep_takes_runs_only_from_the_worker_that_it_names(database: Database) -> None:
    """T2."""
    await leased(database, "a")
    assert await database.transact(transitions.recover("run_1", "b", 5, NOW, NOW)) is None
    assert (await get(database)).worker == "a"
    recovered = await database.transact(transitions.recover("run_1", "a", 5, NOW, NOW))
    assert isinstance(recovered, RunRecord)
    assert recovered.state is RunState.QUEUED
    [run] = await database.transact(claim("b"))
    assert await database.transact(transitions.recover("run_1", "a", 5, NOW, NOW)) is None
    assert await get(database) == run


async def test_two_sweeps_at_once_queue_each_run_of_a_dead_worker_once(database: Database, other: Database) -> None:
    """T3."""
    for number in range(20):
        await leased(database, "a", number)

    async def sweep(by: Database) -> list[Any]:
        held = await by.read(workers.held_by("a", 100))
        return await asyncio.gather(*(by.transact(transitions.recover(run_id, "a", 5, NOW, NOW)) for run_id in held))

    swept = [one for group in await asyncio.gather(sweep(database), sweep(other)) for one in group if one is not None]
    assert sorted(run.id for run in swept) == sorted(f"run_{number}" for number in range(20))
    assert {run.recoveries for run in (await database.read(listing.page(RunFilter()))).runs} == {1}


async def test_a_run_is_given_up_after_so_many_crashes_without_a_record_in_between(database: Database) -> None:
    """T10."""
    lease = await leased(database)
    for seq in range(1, 4):
        await journal.append(database, lease, entry(seq, lease.epoch))
        lease = await taken_over(database, lease)
        assert (await get(database)).recoveries == 1
    for recoveries in (2, 3):
        lease = await taken_over(database, lease)
        assert (await get(database)).recoveries == recoveries
    found = await database.transact(transitions.recover("run_1", "b", 3, NOW, NOW))
    assert isinstance(found, Ended)
    assert found.run.state is RunState.FAILED
    assert '"crashed"' in (found.run.error or "")


async def test_of_two_answers_at_once_the_first_counts_and_the_second_is_told(database: Database, other: Database) -> None:
    """T39, 14."""
    lease = await leased(database)
    await asked(database, lease)
    answers = await asyncio.gather(
        database.transact(waitpoints.end("wp_1", YES, NOW)), other.transact(waitpoints.end("wp_1", NO, NOW)), return_exceptions=True
    )
    [refused] = [one for one in answers if isinstance(one, WaitpointAlreadyAnswered)]
    [kept] = [one.waitpoint for one in answers if isinstance(one, waitpoints.Woken)]
    assert await database.read(waitpoints.get("wp_1")) == kept
    assert refused.details["by"] == kept.answered_by
    assert (await get(database)).wakes == 1


async def test_an_answer_that_comes_too_late_changes_nothing_and_is_told_so(database: Database) -> None:
    lease = await leased(database)
    await asked(database, lease, due_at=NOW + 1)
    [(due, ending)] = await database.read(waitpoints.due(NOW + 1, 10))
    await database.transact(waitpoints.end(due, ending, NOW + 1))
    before = await get(database)
    with pytest.raises(WaitpointTimedOut):
        await database.transact(waitpoints.end("wp_1", YES, NOW + 2))
    assert (await database.read(waitpoints.get("wp_1"))).state is WaitState.TIMED_OUT
    assert await get(database) == before


async def test_an_answer_queues_the_run_that_waits_in_the_same_transaction(database: Database) -> None:
    lease = await leased(database)
    await asked(database, lease)
    assert await database.transact(transitions.suspend(lease, 0, SPENT)) is None

    def undone() -> Transaction[None]:
        yield from waitpoints.end("wp_1", YES, NOW)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await database.transact(undone())
    assert (await database.read(waitpoints.get("wp_1"))).state is WaitState.PENDING
    assert (await get(database)).state is RunState.WAITING
    woken = await database.transact(waitpoints.end("wp_1", YES, NOW))
    assert [run.state for run in woken.runs] == [RunState.QUEUED]


async def test_a_run_that_was_woken_since_it_looked_does_not_begin_to_wait(database: Database) -> None:
    """T29: there is no moment at which a wake-up is lost."""
    lease = await leased(database)
    await asked(database, lease)
    await database.transact(waitpoints.end("wp_1", YES, NOW))
    run = await database.transact(transitions.suspend(lease, 0, SPENT))
    assert run is not None
    assert (run.state, run.wakes) == (RunState.RUNNING, 1)
    [ended] = await database.read(waitpoints.ended_since(lease.run, 0))
    assert ended.answer == YES.answer


async def test_answers_and_suspensions_that_race_leave_no_run_waiting_for_nothing(database: Database, other: Database) -> None:
    """T29: from two connections, many times."""
    for number in range(30):
        lease = await leased(database, "a", number)
        await asked(database, lease, number)
        suspending, answering = transitions.suspend(lease, 0, SPENT), waitpoints.end(f"wp_{number}", YES, NOW)
        parked, _ = await asyncio.gather(database.transact(suspending), other.transact(answering))
        assert (await get(database, number)).state is (RunState.QUEUED if parked is None else RunState.RUNNING)


async def test_children_that_end_while_their_parents_do_end_whoever_is_first(database: Database, other: Database) -> None:
    """Found by the soak: a child that ended read the wait of its parent, which the parent's own end had cancelled a moment later."""
    for number in range(0, 60, 2):
        parent = await leased(database, "a", number)
        wait = approval(number, kind=WaitKind.CHILD, target=f"run_{number + 1}")
        child = new(number + 1, lessee=Lessee("b", f"run_{number + 1}"))
        started, _ = await database.transact(waitpoints.start_child(parent, child, wait, NOW))
        ends = (transitions.finish(lease_of(started.run), DONE, SPENT, NOW), transitions.finish(parent, DONE, SPENT, NOW))
        await asyncio.gather(other.transact(ends[0]), database.transact(ends[1]))
        assert {(await get(database, one)).state for one in (number, number + 1)} == {RunState.COMPLETED}


async def test_a_waitpoint_is_created_once_per_step_and_attempt_whoever_asks_again(database: Database) -> None:
    """T14: the connection broke after the commit, so the same creation comes again."""
    lease = await leased(database)
    first = await asked(database, lease)
    assert await asked(database, lease) == first
    assert len(await database.read(waitpoints.of_run(lease.run))) == 1


async def test_a_child_is_started_once_whoever_asks_again(database: Database) -> None:
    """T14: as above; the second answer is that of the first."""
    lease = await leased(database)
    wait = approval(kind=WaitKind.CHILD, target="run_2")
    first = await database.transact(waitpoints.start_child(lease, new(2, lessee=Lessee("a", "run_2")), wait, NOW))
    assert await database.transact(waitpoints.start_child(lease, new(2, lessee=Lessee("a", "run_2")), wait, NOW)) == first
    assert len((await database.read(listing.page(RunFilter()))).runs) == 2


async def test_of_two_starts_with_one_key_at_once_one_makes_the_run(database: Database, other: Database) -> None:
    """T15."""
    starts = [runs.start(new(number, idempotency_key="o-81"), NOW) for number in (1, 2)]
    first, second = await asyncio.gather(database.transact(starts[0]), other.transact(starts[1]))
    assert first.run.id == second.run.id
    assert {first.existed, second.existed} == {True, False}
    with pytest.raises(IdempotencyConflict):
        await database.transact(runs.start(new(3, idempotency_key="o-81", input='{"x":1}'), NOW))


async def test_a_dead_worker_stays_listed_until_all_of_its_runs_are_taken(database: Database) -> None:
    await leased(database)
    await database.transact(workers.remove("a"))
    assert {row["id"] for row in await database.fetch(SQL.workers.list())} == {"a", "b"}
    await database.transact(transitions.recover("run_1", "a", 5, NOW, NOW))
    await database.transact(workers.remove("a"))
    assert {row["id"] for row in await database.fetch(SQL.workers.list())} == {"b"}
