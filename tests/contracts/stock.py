"""What contract tests of the storage store: workers and runs at a fixed moment."""

from __future__ import annotations

from typing import Any

from agentflow.clock import SECOND
from agentflow.database import Database, Transaction
from agentflow.records import RunRecord, RunState, WorkerRecord
from agentflow.storage import queues, runs
from agentflow.storage.queues import Claimant
from agentflow.storage.runs import Lease, Lessee, NewRun
from agentflow.storage.transitions import End, Spent

NOW = 1_800_000_000 * SECOND
LEASE = 30 * SECOND
SPENT = Spent(active=0)
DONE = End(state=RunState.COMPLETED, output="1")


def living(worker: str) -> WorkerRecord:
    until = NOW + LEASE
    return WorkerRecord(
        id=worker,
        host="here",
        pid=1,
        slots=10,
        queues=("default",),
        tasks=("t",),
        state="live",
        started_at=NOW,
        expires_at=until,
        claimed_at=NOW,
    )


def new(number: int | str = 1, **chosen: Any) -> NewRun:
    values: dict[str, Any] = {"id": f"run_{number}", "task": "t", "queue": "default", "input": "{}", **chosen}
    return NewRun(**values)


async def leased(database: Database, worker: str = "a", number: int = 1, **chosen: Any) -> Lease:
    """A new run in the hands of a worker."""
    run = (await database.transact(runs.start(new(number, lessee=Lessee(worker, f"run_{number}"), **chosen), NOW))).run
    return lease_of(run)


def lease_of(run: RunRecord) -> Lease:
    return Lease(run.key, run.id, run.epoch, run.worker or "")


def claim(worker: str, limit: int = 10, now: int = NOW) -> Transaction[list[RunRecord]]:
    claimed = yield from queues.claim_open(Claimant(worker=worker, serves=["t"], limit=limit), [("default", None)], now)
    return claimed.runs
