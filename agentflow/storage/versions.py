"""Which code takes a run: the version it has, and moving it to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.database.port import Transaction, transaction
from agentflow.errors import RunError
from agentflow.records import RunRecord, RunState
from agentflow.storage import rows, runs
from agentflow.storage.statements import SQL

BATCH = 500
"""Runs that one transaction moves."""
LOOK = 10_000
"""Waiting runs that are looked at for such as nobody has the code for."""


@transaction
def move(run_id: str, to: str | None) -> Transaction[RunRecord]:
    """Have a run taken by code of version `to` from its next lease on; None: by any code of its task.

    Raises `RunNotFound`, and `RunError` when it has ended.
    """
    run = yield from runs.lock(run_id)
    if run.state.terminal:
        hint = (
            "Only a run that goes on can be moved; a failed one is taken up again with `agentflow runs revive`, and that run can be moved."
        )
        raise RunError(f"{run_id} is {run.state.value}: it cannot be moved.", hint=hint, run_id=run_id)
    return rows.run((yield SQL.versions.move(run=run.key, version=to))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Those:
    """The runs of a task that have a version, are active and were created until then, in microseconds since 1970."""

    task: str
    version: str
    until: int


@transaction
def move_some(which: Those, to: str | None) -> Transaction[tuple[int, set[str]]]:
    """Move up to `BATCH` runs; returns how many, and the queues in which some of them wait for a worker."""
    moved = yield SQL.versions.move_many(task=which.task, version=which.version, until=which.until, to=to, limit=BATCH)
    return len(moved), {row["queue"] for row in moved if row["state"] == RunState.QUEUED}


def left(which: Those) -> Transaction[list[str]]:
    """Ids of runs that are still to be moved."""
    found = yield SQL.versions.left(task=which.task, version=which.version, until=which.until, limit=BATCH)
    return [row["id"] for row in found]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Waiting runs of one task, version and queue."""

    task: str
    version: str | None
    queue: str
    runs: int


def waiting() -> Transaction[Sequence[Crowd]]:
    """Waiting runs by task, version and queue, of the first `LOOK`."""
    return [Crowd(row["task"], row["version"], row["queue"], row["runs"]) for row in (yield SQL.versions.waiting(look=LOOK))]
