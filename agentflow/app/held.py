"""Why a queued run does not begin, in words. It is looked up when somebody reads the run: nothing of it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.queue import rate_text
from agentflow.records import RunRecord, RunState
from agentflow.storage.pressure import Pressure, pressure
from agentflow.storage.rates import QUEUE_SCOPE


async def explained(database: Database, clock: Clock, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs, those of them that a pause or a limit holds back with a note that says so."""
    lanes = {(run.queue, run.concurrency_key or "") for run in runs if _silent(run)}
    if not lanes:
        return list(runs)
    found = await database.read(pressure(lanes, clock.now()))
    return [replace(run, note=_note(run, found[run.queue])) if _silent(run) and run.queue in found else run for run in runs]


def _silent(run: RunRecord) -> bool:
    return run.state is RunState.QUEUED and run.note is None


def _note(run: RunRecord, held: Pressure) -> str | None:
    queue, lane = held.queue, run.concurrency_key or ""
    if queue.paused_at is not None:
        return f"queue {queue.name} is paused by {queue.paused_by}"
    if queue.concurrency is not None and held.running >= queue.concurrency:
        return f"queue {queue.name} is full: {held.running} of {queue.concurrency} run"
    if queue.key_concurrency is not None and held.keys.get(lane, 0) >= queue.key_concurrency:
        return f"{key_name(lane)} is full in queue {queue.name}: {held.keys[lane]} of {queue.key_concurrency} run"
    refusal = held.rates.refusal(lane, run.weight) if run.epoch == 0 else None
    if refusal is None:
        return None
    if refusal[0] == QUEUE_SCOPE:
        return f"queue {queue.name} has used up its rate of {rate_text(queue.rate, queue.rate_period)}"
    return f"{key_name(lane)} has used up its rate of {rate_text(queue.key_rate, queue.key_rate_period)} in queue {queue.name}"


def key_name(lane: str) -> str:
    """A concurrency key as people read it."""
    return f"key {lane!r}" if lane else "no key"
