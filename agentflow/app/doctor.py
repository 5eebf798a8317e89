"""What is wrong with an installation, and what to do about it. Nothing waits in silence: whatever cannot go on is found here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentflow.app import Agentflow
from agentflow.clock import SECOND
from agentflow.errors import AgentflowError
from agentflow.records import RunRecord, RunState, WorkerRecord
from agentflow.serde import decode_failure
from agentflow.storage import rows, workers
from agentflow.storage.statements import SQL

LIMIT = 200
"""How many runs of a kind are looked at."""
QUIET = 60 * SECOND
BACKLOG = 60 * SECOND
LEAST_SPACE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know: `level` is ok, warning or problem, `code` is for programs, `hint` says what to do next, `runs` are ids."""

    level: str
    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    runs: tuple[str, ...] = ()


async def checkup(app: Agentflow) -> list[Finding]:
    """Look at everything; the app need not work itself."""
    now = app.clock.now()
    known = await app.database.read(workers.everyone())
    found = [_database(app), await _streams(app)]
    found += _space(app)
    found += await _workers(app, known, now)
    found += await _queues(app, known, now)
    found += await stuck(app)
    found += await _paused(app)
    found += await _cancels(app, now)
    return found


def _database(app: Agentflow) -> Finding:
    # An app that is open has brought its schema up to date, or refused.
    return Finding("ok", "database", f"The database {app.database_url} answers, and its schema is up to date.")


async def _streams(app: Agentflow) -> Finding:
    where = app.redis_url or f"embedded in {app.directory}"
    try:
        await app.streams.tail("doctor")
    except AgentflowError as error:
        return Finding(
            "problem", "streams", f"The stream server ({where}) does not answer: {error.message}", f"{error.hint} Runs go on meanwhile."
        )
    return Finding("ok", "streams", f"The stream server answers ({where}).")


def _space(app: Agentflow) -> list[Finding]:
    folder = Path(app.database_url.removeprefix("sqlite:///")).parent
    if not folder.is_dir():
        return []
    left = shutil.disk_usage(folder).free
    if left >= LEAST_SPACE:
        return []
    hint = "Make room: when the disk is full, runs wait until they can be recorded again."
    return [Finding("problem", "disk", f"Only {left // 1_048_576} MB are left on the disk of {folder}.", hint, {"free": left})]


async def _workers(app: Agentflow, known: Sequence[WorkerRecord], now: int) -> list[Finding]:
    found: list[Finding] = []
    for one in known:
        held = len(await app.database.read(workers.held_by(one.id, one.slots)))
        details = {"worker": one.id, "host": one.host, "pid": one.pid, "runs": held}
        if one.expires_at <= now:
            message = f"{one.id} ({one.host}, pid {one.pid}) is dead and still holds {held} runs."
            found.append(Finding("problem", "worker_dead", message, "A live worker takes them over by itself; start one.", details))
        elif held < one.slots and now - one.claimed_at > QUIET:
            message = (
                f"{one.id} ({one.host}, pid {one.pid}) lives and has free slots, but took no run for {(now - one.claimed_at) // SECOND} s."
            )
            hint = "Its log tells: code blocks its event loop, or it cannot write to the database and its runs wait until it can."
            found.append(Finding("problem", "worker_quiet", message, hint, details))
    living = [one for one in known if one.expires_at > now]
    if living:
        slots = sum(one.slots for one in living)
        found.append(
            Finding("ok", "workers", f"{_many(len(living), 'worker')} with {_many(slots, 'slot')} at work.", details={"live": len(living)})
        )
    else:
        found.append(
            Finding(
                "problem",
                "no_worker",
                "No worker is alive: nothing runs.",
                "Start one: `agentflow worker app.py`, or `agentflow dev app.py`.",
            )
        )
    return found


async def _queues(app: Agentflow, known: Sequence[WorkerRecord], now: int) -> list[Finding]:
    found: list[Finding] = []
    for row in await app.database.fetch(SQL.runs.counts()):
        age = now - row["oldest"]
        if row["state"] != RunState.QUEUED or age < BACKLOG:
            continue
        serving = [one for one in known if one.expires_at > now and row["queue"] in one.queues]
        message = f"Queue {row['queue']} holds {_many(row['runs'], 'run')}, the oldest since {age // SECOND} s."
        hint = "Start more workers, or give them more slots (--concurrency)." if serving else f"Start a worker: --queues {row['queue']}."
        details = {"queue": row["queue"], "queued": row["runs"], "oldest_seconds": age // SECOND, "workers": len(serving)}
        found.append(Finding("warning" if serving else "problem", "backlog", message, hint, details))
    return found


async def stuck(app: Agentflow, run_id: str | None = None) -> list[Finding]:
    """Runs, or the one run, that no live worker will take."""
    now = app.clock.now()
    known = [one for one in await app.database.read(workers.everyone()) if one.expires_at > now and one.state == "live"]
    held = [rows.run(row) for row in await app.database.fetch(SQL.runs.stuck(now=now, limit=LIMIT))]
    grouped: dict[tuple[str, str], list[RunRecord]] = {}
    for run in held:
        if run_id is None or run.id == run_id:
            grouped.setdefault((run.task, run.queue), []).append(run)
    return [_nobody(task, queue, waiting, known) for (task, queue), waiting in grouped.items()]


def _nobody(task: str, queue: str, waiting: Sequence[RunRecord], living: Sequence[WorkerRecord]) -> Finding:
    if not living:
        why, hint = "no worker is alive", "Start one: `agentflow worker app.py`."
    elif not any(task in one.tasks for one in living):
        why, hint = f"no live worker knows {task}", f"Start a worker with the code that defines {task}."
    else:
        why, hint = f"no live worker that knows {task} serves queue {queue}", f"Start one with --queues {queue}."
    details = {"task": task, "queue": queue}
    return Finding(
        "problem",
        "nobody_takes",
        f"{_many(len(waiting), 'run')} of {task} cannot start: {why}.",
        hint,
        details,
        tuple(run.id for run in waiting),
    )


async def _paused(app: Agentflow) -> list[Finding]:
    return [_difference(run) for run in await app.runs.list(status=RunState.PAUSED, limit=LIMIT)]


def _difference(run: RunRecord) -> Finding:
    difference = {} if run.error is None else decode_failure(run.error).details or {}
    step = difference.get("step", "a step")
    message = f"{run.id} ({run.task}) is paused: its code has changed, and {step} is asked something else than what it has recorded."
    verbs = "`resume --continue` keeps the record, `resume --rerun` runs again from that step, `cancel` ends it"
    hint = f"Decide with `agentflow runs`: {verbs}."
    return Finding("problem", "paused", message, hint, {"difference": difference}, (run.id,))


async def _cancels(app: Agentflow, now: int) -> list[Finding]:
    late: list[str] = [row["id"] for row in await app.database.fetch(SQL.runs.overdue_cancels(now=now, limit=LIMIT))]
    if not late:
        return []
    message = f"{_many(len(late), 'run')} should have been stopped by now."
    return [Finding("problem", "cancel_overdue", message, "A live worker stops them by force; start one.", runs=tuple(late))]


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
