"""What is wrong with an installation, and what to do about it. Nothing waits in silence: whatever cannot go on is found here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from agentflow.app import Agentflow
from agentflow.app.backlogs import backlogs
from agentflow.app.finding import Finding, many
from agentflow.app.sizes import sizes
from agentflow.clock import SECOND
from agentflow.errors import AgentflowError
from agentflow.records import RunRecord, RunState, WorkerRecord
from agentflow.serde import decode_failure
from agentflow.settings import shown
from agentflow.storage import listing, outbox, versions, workers
from agentflow.storage.statements import SQL
from agentflow.storage.versions import Crowd

LIMIT = 200
"""How many runs of a kind are looked at."""
QUIET = 60 * SECOND
LATE = 300 * SECOND
"""How old a message is that should have been sent by now."""
LEAST_SPACE = 256 * 1024 * 1024


async def checkup(app: Agentflow) -> list[Finding]:
    """Look at everything; the app need not work itself."""
    now = app.clock.now()
    known = await app.database.read(workers.everyone())
    found = [_database(app), await _streams(app)]
    found += _space(app)
    found += await sizes(app)
    found += await _workers(app, known, now)
    found += await backlogs(app, now)
    found += await stuck(app)
    found += await cut_off(app)
    found += await _paused(app)
    found += await _cancels(app, now)
    found += await _untold(app, now)
    found += await _crowded(app)
    return found


def _database(app: Agentflow) -> Finding:
    # An app that is open has brought its schema up to date, or refused.
    return Finding("ok", "database", f"The database {shown(app.database_url)} answers, and its schema is up to date.")


async def _streams(app: Agentflow) -> Finding:
    where = shown(app.redis_url) if app.redis_url else f"embedded in {app.directory}"
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
        elif one.state == "draining":
            message = f"{one.id} ({one.host}, pid {one.pid}) drains: it takes no more runs, and still holds {held}."
            found.append(Finding("warning", "worker_draining", message, "It leaves by itself once they are done or handed back.", details))
        elif held < one.slots and now - one.claimed_at > QUIET:
            message = (
                f"{one.id} ({one.host}, pid {one.pid}) lives and has free slots, but took no run for {(now - one.claimed_at) // SECOND} s."
            )
            hint = "Its log tells: code blocks its event loop, or it cannot write to the database and its runs wait until it can."
            found.append(Finding("problem", "worker_quiet", message, hint, details))
    living = [one for one in known if one.expires_at > now and one.state == "live"]
    if living:
        slots = sum(one.slots for one in living)
        found.append(
            Finding("ok", "workers", f"{many(len(living), 'worker')} with {many(slots, 'slot')} at work.", details={"live": len(living)})
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


async def stuck(app: Agentflow, run_id: str | None = None) -> list[Finding]:
    """Runs, or the one run, that no live worker will take."""
    now = app.clock.now()
    living = _living(await app.database.read(workers.everyone()), now)
    grouped: dict[tuple[str, str], list[RunRecord]] = {}
    for run in await app.database.read(listing.stuck(now, LIMIT, run_id)):
        grouped.setdefault((run.code_name, run.queue), []).append(run)
    return [_nobody(waiting, living) for waiting in grouped.values()]


def _living(known: Sequence[WorkerRecord], now: int) -> list[WorkerRecord]:
    return [one for one in known if one.expires_at > now and one.state == "live"]


def _nobody(waiting: Sequence[RunRecord], living: Sequence[WorkerRecord]) -> Finding:
    run = waiting[0]
    why, hint = _missing(run.task, run.version, run.queue, living)
    ids = tuple(one.id for one in waiting)
    details = {"task": run.task, "version": run.version, "queue": run.queue}
    message = f"{many(len(waiting), 'run')} of {_code(run.task, run.version)} cannot start: {why}."
    return Finding("problem", "nobody_takes", message, hint, details, ids)


def _missing(task: str, version: str | None, queue: str, living: Sequence[WorkerRecord]) -> tuple[str, str]:
    """Why no live worker takes such a run, and what to do."""
    knowing = [one for one in living if task in one.tasks]
    named = task if version is None else f"{task}@{version}"
    if not living:
        return "no worker is alive", "Start one: `agentflow worker app.py`."
    if not knowing:
        return f"no live worker knows {task}", f"Start a worker with the code that defines {task}."
    if not any(named in one.tasks for one in knowing):
        others = sorted({other for one in knowing for other in one.served[task]})
        to = f"--to {others[-1]}" if others else "--to-any"
        hint = f"Start a worker with that version, or move them: `agentflow runs move --task {task} --from {version} {to}`."
        return f"no live worker takes version {version} (they take: {', '.join(others) or 'runs without a version'})", hint
    return f"no live worker that knows {_code(task, version)} serves queue {queue}", f"Start one with --queues {queue}."


def _code(task: str, version: str | None) -> str:
    return task if version is None else f"{task} version {version}"


async def cut_off(app: Agentflow, run: RunRecord | None = None) -> list[Finding]:
    """Waiting runs, or the one run, whose only code is gone: once what they wait for ends, nobody goes on with them."""
    now = app.clock.now()
    living = _living(await app.database.read(workers.everyone()), now)
    if not living or (run is not None and run.state is not RunState.WAITING):
        # Without a worker nothing goes on at all, and that is told.
        return []
    crowds = await app.database.read(versions.waiting()) if run is None else [Crowd(run.task, run.version, run.queue, 1)]
    found: list[Finding] = []
    for crowd in crowds:
        named = crowd.task if crowd.version is None else f"{crowd.task}@{crowd.version}"
        if not any(one.takes(named, now, crowd.queue) for one in living):
            why, hint = _missing(crowd.task, crowd.version, crowd.queue, living)
            message = f"{many(crowd.runs, 'waiting run')} of {_code(crowd.task, crowd.version)} will not go on: {why}."
            details = {"task": crowd.task, "version": crowd.version, "queue": crowd.queue, "runs": crowd.runs}
            found.append(Finding("warning", "code_gone", message, hint, details))
    return found


async def _paused(app: Agentflow) -> list[Finding]:
    return [_difference(run) for run in await app.runs.list(status=RunState.PAUSED, limit=LIMIT)]


def _difference(run: RunRecord) -> Finding:
    difference = {} if run.error is None else decode_failure(run.error).details or {}
    step = difference.get("step", "a step")
    message = f"{run.id} ({run.task}) is paused: its code has changed, and {step} is asked something else than what it has recorded."
    verbs = "`resume --continue` keeps the record, `resume --rerun` runs again from that step, `cancel` ends it"
    hint = f"Decide with `agentflow runs`: {verbs}."
    return Finding("problem", "paused", message, hint, {"difference": difference}, (run.id,))


async def _untold(app: Agentflow, now: int) -> list[Finding]:
    """Questions of which people could not be told: they stay open, so somebody has to look."""
    found: list[Finding] = []
    for one in await app.database.read(outbox.stuck(now - LATE)):
        details = {"channel": one.channel, "messages": one.many, "waitpoint": one.waitpoint, "error": one.error}
        where = f"as {one.waitpoint}: `agentflow approvals show {one.waitpoint}`"
        if one.dead:
            message = f"{many(one.many, 'message')} about open questions could not be sent on {one.channel!r}: {one.error}"
            hint = f"Mend the channel, then `agentflow approvals remind` them ({where})."
            found.append(Finding("problem", "undelivered", message, hint, details))
        else:
            why = one.error or "no live process has that channel"
            message = f"{many(one.many, 'message')} about open questions wait for {one.channel!r}: {why}"
            hint = f"They are tried again by themselves; look at the channel, and answer meanwhile ({where})."
            found.append(Finding("warning", "delivery_late", message, hint, details))
    return found


async def _cancels(app: Agentflow, now: int) -> list[Finding]:
    late: list[str] = [row["id"] for row in await app.database.fetch(SQL.runs.overdue_cancels(now=now, limit=LIMIT))]
    if not late:
        return []
    message = f"{many(len(late), 'run')} should have been stopped by now."
    return [Finding("problem", "cancel_overdue", message, "A live worker stops them by force; start one.", runs=tuple(late))]


async def _crowded(app: Agentflow) -> list[Finding]:
    """Questions that nobody is asked yet, for their family asks so many."""
    found: list[Finding] = []
    for row in await app.database.fetch(SQL.asking.crowded(limit=LIMIT)):
        family, held = row["family"].removeprefix("thread "), row["many"]
        what = "thread" if row["family"].startswith("thread ") else "run"
        details = {"family": family, "held": held, "waitpoint": row["waitpoint"]}
        message = (
            f"{many(held, 'question')} of {what} {family} and what it started are held back: as many as people are asked at once are open."
        )
        hint = "Answer those that are open, or cancel the run. `WorkerSettings(max_open_questions=…)` is how many that are."
        found.append(Finding("warning", "questions_held", message, hint, details))
    return found
