"""What the tests of queues do with a database: fill it, take from it, end runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentflow.database import Database
from agentflow.records import QueueRecord, RunRecord, RunState
from agentflow.storage import listing, queues, runs, transitions
from agentflow.storage.listing import RunFilter
from agentflow.storage.queues import Claimant, Claimed
from tests.contracts.stock import DONE, NOW, SPENT, lease_of, new


async def limited(database: Database, **limits: Any) -> None:
    await database.transact(queues.declare([QueueRecord(name="default", **limits)]))


async def fill(database: Database, count: int, **chosen: Any) -> None:
    for number in range(count):
        await database.transact(runs.start(new(f"{chosen.get('concurrency_key', '')}{number}", **chosen), NOW))


async def take(database: Database, worker: str = "a", limit: int = 10, now: int = NOW, **chosen: Any) -> Claimed:
    claimant = Claimant(worker=worker, serves=["t"], limit=limit, **chosen)
    return await database.transact(queues.claim_limited(claimant, "default", now))


async def take_open(database: Database, after: str | None = None, limit: int = 10, **chosen: Any) -> Claimed:
    claimant = Claimant(worker="a", serves=["t"], limit=limit, **chosen)
    return await database.transact(queues.claim_open(claimant, [("default", after)], NOW))


async def finish(database: Database, run: RunRecord, now: int = NOW) -> None:
    await database.transact(transitions.finish(lease_of(run), DONE, SPENT, now))


async def in_state(database: Database, state: RunState) -> Sequence[RunRecord]:
    return list((await database.read(listing.page(RunFilter(state=state, limit=500)))).runs)


def numbers(claimed: Claimed) -> list[str]:
    return [run.id.removeprefix("run_") for run in claimed.runs]
