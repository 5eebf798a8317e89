"""A run's log from what the database holds, for readers whose stream is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentflow.database.port import Transaction
from agentflow.engine.replay import standing
from agentflow.engine.telling import last_words, requested, resolved
from agentflow.records import EntryKind, JournalEntry, RunRecord, WaitKind, WaitpointRecord
from agentflow.serde import decode_failure, loads
from agentflow.storage import journal, runs, waitpoints
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import (
    ChildFinished,
    ChildStarted,
    Event,
    RunProgress,
    RunStarted,
    StepCompleted,
    StepFailed,
)

_COUNTED = re.compile(r"(?:.*/)?([^/]+)#\d+")
_Dated = tuple[int, Event]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A run and its log, made anew. The ids of an ended run's log are above all that its stream ever had, and stay the same."""

    run: RunRecord
    events: Sequence[StoredEvent]

    @property
    def start(self) -> Cursor:
        """Just before the first event."""
        return Cursor(_epoch(self.run), 0)

    def after(self, cursor: Cursor) -> Sequence[StoredEvent]:
        """The events after a cursor of this log."""
        return [event for event in self.events if event.id > cursor]


def holds(run: RunRecord, cursor: Cursor | None) -> bool:
    """Whether a cursor is of the rebuilt log of this run, not of its stream."""
    return run.state.terminal and cursor is not None and cursor.epoch >= _epoch(run)


def _epoch(run: RunRecord) -> int:
    # Whoever ends a run that another process holds speaks in the epoch after the run's last one.
    return run.epoch + 2


def load(run_id: str) -> Transaction[Rebuilt]:
    """The rebuilt log of a run, read at one moment. Raises `RunNotFound`."""
    run = yield from runs.get(run_id)
    entries = yield from journal.load(run.key)
    waited = yield from waitpoints.of_run(run.key)
    return Rebuilt(run, rebuild(run, entries, waited))


def rebuild(run: RunRecord, entries: Iterable[JournalEntry], waited: Iterable[WaitpointRecord]) -> list[StoredEvent]:
    """What is known of a run, as events in the order of their times; with `end` when it has ended."""
    dated = [one for entry in standing(entries) for one in _recorded(entry)]
    dated += [one for wait in waited for one in _waited(wait)]
    dated.sort(key=lambda one: one[0])
    if run.started_at is not None:
        dated.insert(0, (run.started_at, RunStarted(run.task, run.attempt, run.epoch, parent=run.parent_id)))
    last = run.finished_at or (dated[-1][0] if dated else run.created_at)
    if run.metadata != "{}":
        dated.append((last, RunProgress(loads(run.metadata))))
    if run.state.terminal:
        dated += [(last, event) for event in last_words(run)]
    epoch = _epoch(run)
    return [StoredEvent(Cursor(epoch, number), at // 1_000, event) for number, (at, event) in enumerate(dated, start=1)]


def _recorded(entry: JournalEntry) -> list[_Dated]:
    name = step_name(entry.key)
    if entry.kind is EntryKind.RESULT:
        took = (entry.ended_at - entry.started_at) // 1_000
        return [(entry.ended_at, StepCompleted(entry.key, name, attempt=entry.tries, duration_ms=took))]
    if entry.kind is EntryKind.ERROR:
        failed = decode_failure(entry.value or "{}")
        return [(entry.ended_at, StepFailed(entry.key, {"type": failed.type, "message": failed.message}, name, attempt=entry.tries))]
    return []


def _waited(one: WaitpointRecord) -> list[_Dated]:
    subject = loads(one.subject)
    events: list[_Dated] = []
    if one.kind is WaitKind.APPROVAL:
        events.append((one.created_at, requested(one)))
        if one.ended_at is not None:
            events.append((one.ended_at, resolved(one)))
    elif one.kind is WaitKind.CHILD:
        child = one.target or ""
        events.append((one.created_at, ChildStarted(child, str(subject.get("task", "")), step=one.key)))
        if one.ended_at is not None:
            events.append((one.ended_at, ChildFinished(child, one.state.value, step=one.key)))
    return events


def step_name(key: str) -> str:
    """The name of a step from its key: `fetch#0`, `branch#1/fetch#0` and `fetch:explicit` are all `fetch`."""
    found = _COUNTED.fullmatch(key)
    return found[1] if found else key.partition(":")[0]
