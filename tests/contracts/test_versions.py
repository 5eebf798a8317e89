"""Runs change their version once, whoever claims, wakes or holds them at that moment."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from agentflow.database import Database
from agentflow.database.port import Transaction
from agentflow.errors import RunError
from agentflow.records import RunState, WaitKind, WaitState
from agentflow.storage import queues, runs, transitions, versions, waitpoints, workers
from agentflow.storage.queues import Claimant
from agentflow.storage.runs import Lessee
from agentflow.storage.versions import Those
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.contracts.places import Place
from tests.contracts.stock import DONE, NOW, SPENT, leased, new

OLD, NEW = ("t", "t@1"), ("t", "t@2")
ROUNDS = 40


def claim(worker: str, serves: tuple[str, ...]) -> Transaction[list[str]]:
    claimed = yield from queues.claim_open(Claimant(worker=worker, serves=serves, limit=10), [("default", None)], NOW)
    return [run.id for run in claimed.runs]


async def test_a_claim_brings_runs_of_the_versions_that_are_served_and_those_without(database: Database) -> None:
    for number, version in enumerate((None, "1", "2", "2", "3")):
        await database.transact(runs.start(new(number, version=version), NOW))
    assert await database.transact(claim("a", OLD)) == ["run_0", "run_1"]
    assert await database.transact(claim("b", ("t", "t@3", "t@2"))) == ["run_2", "run_3", "run_4"]


async def test_a_move_and_a_claim_at_once_agree(database: Database, other: Database) -> None:
    """Either it was moved first, and the old code does not get it; or it was claimed first, and moves at its next lease."""
    for number in range(ROUNDS):
        await database.transact(runs.start(new(number, version="1"), NOW))
        moved, taken = await asyncio.gather(
            other.transact(versions.move(f"run_{number}", "2")), database.transact(claim("a", OLD)), return_exceptions=False
        )
        run = await database.read(runs.get(f"run_{number}"))
        assert moved.version == run.version == "2"
        assert (run.state, run.worker) == ((RunState.RUNNING, "a") if taken else (RunState.QUEUED, None))
        if not taken:
            assert await database.transact(claim("b", NEW)) == [run.id]


async def test_a_run_that_was_moved_is_not_leased_back_to_the_worker_that_keeps_the_old_code(database: Database) -> None:
    for number, kept in ((1, "1"), (2, "2")):
        lease = await leased(database, number=number, version="1")
        wait = NewWaitpoint(id=f"wp_{number}", key="ok", kind=WaitKind.APPROVAL, attempt=1)
        await database.transact(waitpoints.create(lease, wait, NOW))
        assert await database.transact(transitions.suspend(lease, 0, SPENT)) is None
        await database.transact(versions.move(lease.run_id, "2"))
        ending = Ending(WaitState.ANSWERED, "1", "maria")
        woken = await database.transact(waitpoints.end(wait.id, ending, NOW, Lessee("a", lease.run_id, kept)))
        assert bool(woken.leased) is (kept == "2")
    assert await database.transact(claim("a", OLD)) == []
    assert await database.transact(claim("b", NEW)) == ["run_1"]


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
async def test_a_batch_passes_over_a_run_that_somebody_holds_and_tells_which_are_left(database: Database, place: Place) -> None:
    for number in range(3):
        await database.transact(runs.start(new(number, version="1"), NOW))
    which = Those(task="t", version="1", until=NOW)
    holder: Any = await asyncpg.connect(place.url, timeout=10)
    async with holder.transaction():
        await holder.fetch("SELECT 1 FROM runs WHERE id = 'run_1' FOR UPDATE")
        assert await database.transact(versions.move_some(which, "2")) == (2, {"default"})
    await holder.close()
    assert await database.read(versions.left(which)) == ["run_1"]


async def test_only_active_runs_that_were_there_are_moved(database: Database) -> None:
    ended = await leased(database, number=1, version="1")
    await database.transact(transitions.finish(ended, DONE, SPENT, NOW))
    with pytest.raises(RunError, match="completed"):
        await database.transact(versions.move("run_1", "2"))
    await database.transact(runs.start(new(2, version="1"), NOW + 5))
    await database.transact(runs.start(new(3, version="1", task="u"), NOW))
    assert await database.transact(versions.move_some(Those(task="t", version="1", until=NOW), "2")) == (0, set())
    assert (await database.transact(versions.move_some(Those(task="t", version="1", until=NOW + 5), "2")))[0] == 1


async def test_what_nobody_has_the_code_for_is_set_aside_and_put_back_by_who_has_or_by_a_move(database: Database) -> None:
    for number in range(3):
        await database.transact(runs.start(new(number, version="9"), NOW))
    assert set(await database.transact(queues.sift(["default"], OLD, 10, NOW))) == {"run_0", "run_1", "run_2"}
    assert (await database.read(runs.get("run_0"))).note == "no worker for t version 9"
    assert await database.transact(claim("a", ("t", "t@9"))) == []
    await database.transact(versions.move("run_0", "1"))
    assert (await database.read(runs.get("run_0"))).note is None
    assert await database.transact(claim("a", OLD)) == ["run_0"]
    assert set(await database.transact(queues.serve(["default"], ["t", "t@9"]))) == {"run_1", "run_2"}
    assert await database.transact(claim("a", ("t", "t@9"))) == ["run_1", "run_2"]


async def test_a_worker_that_drains_counts_as_gone(database: Database) -> None:
    await database.transact(runs.start(new(1), NOW))
    assert await database.transact(queues.sift(["default"], (), 10, NOW)) == []
    for worker in ("a", "b"):
        drained = await database.transact(workers.drain(worker))
        assert drained is not None
        assert drained.state == "draining"
        assert await database.read(workers.drains(worker))
    assert await database.transact(workers.drain("nobody")) is None
    assert await database.transact(queues.sift(["default"], (), 10, NOW)) == ["run_1"]
