"""A run's log from what the database holds, for readers whose stream is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentflow.database.port import Transaction
from agentflow.engine.replay import standing
from agentflow.engine.retelling import recorded, with_words
from agentflow.engine.telling import child_finished, ended_below, last_words, requested, resolved, seen_from_above
from agentflow.records import JournalEntry, RunRecord, WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage import journal, runs, showing, waitpoints
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import (
    ChildStarted,
    Event,
    RunProgress,
    RunStarted,
)
from agentflow.streams.transcript import read_transcript

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


@dataclass(frozen=True, slots=True)
class Others:
    """What other runs have in a run's log.

    `joined`: what they said in its stream, as JSON, with the times. `shown`: their questions, each with the tool call of this run that
    waits for the answer.
    """

    joined: Iterable[tuple[int, str]] = ()
    shown: Iterable[tuple[WaitpointRecord, str | None]] = ()


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
    said = yield from journal.transcripts(run.key)
    joined = yield from journal.joined(run.key)
    shown = yield from showing.in_run(run.key)
    return Rebuilt(run, rebuild(run, entries, waited, said, Others(joined, shown)))


def rebuild(
    run: RunRecord,
    entries: Iterable[JournalEntry],
    waited: Iterable[WaitpointRecord],
    said: Mapping[int, str],
    others: Others = Others(),
) -> list[StoredEvent]:
    """What is known of a run, as events in the order of their times; with `end` when it has ended.

    `said`: transcripts by entry.
    """
    dated: list[_Dated] = []
    for entry in standing(entries):
        event = recorded(entry)
        dated += [] if event is None else [(entry.ended_at, one) for one in with_words(event, said.get(entry.seq))]
    dated += [one for wait in waited for one in _waited(wait)]
    dated += [(_in_time(run, at), event) for at, text in others.joined for event in read_transcript(text)]
    dated += [(_in_time(run, at), event) for one, call in others.shown for at, event in _asked_below(run, one, call)]
    dated.sort(key=lambda one: one[0])
    if run.started_at is not None:
        began = RunStarted(run.task, run.attempt, run.epoch, parent=run.parent_id, thread=run.thread)
        dated.insert(0, (run.started_at, began))
    last = run.finished_at or (dated[-1][0] if dated else run.created_at)
    if run.metadata != "{}":
        dated.append((last, RunProgress(loads(run.metadata))))
    if run.state.terminal:
        dated += [(last, event) for event in last_words(run)]
    epoch = _epoch(run)
    return [StoredEvent(Cursor(epoch, number), at // 1_000, event) for number, (at, event) in enumerate(dated, start=1)]


def _in_time(run: RunRecord, at: int) -> int:
    """A time that the clock of another run tells; nothing is later than the end."""
    return at if run.finished_at is None else min(at, run.finished_at)


def _asked_below(run: RunRecord, one: WaitpointRecord, call: str | None) -> list[_Dated]:
    """A question of another run. What became of it after the end of this one is told in no log of this one."""
    events: list[_Dated] = [(one.created_at, seen_from_above(one, call))]
    if one.ended_at is not None and (run.finished_at is None or one.ended_at <= run.finished_at):
        events.append((max(one.created_at, one.ended_at), ended_below(one)))
    return events


def _waited(one: WaitpointRecord) -> list[_Dated]:
    subject = loads(one.subject)
    events: list[_Dated] = []
    # Two clocks tell these times: an end must not come before its beginning, however far apart they are.
    ended_at = None if one.ended_at is None else max(one.created_at, one.ended_at)
    if one.kind is WaitKind.APPROVAL:
        events.append((one.created_at, requested(one)))
        if ended_at is not None:
            events.append((ended_at, resolved(one)))
    elif one.kind is WaitKind.CHILD:
        child = one.target or ""
        call = subject.get("call")
        events.append((one.created_at, ChildStarted(child, str(subject.get("task", "")), call, one.key)))
        if ended_at is not None:
            events.append((ended_at, child_finished(one, child, one.key, call)))
    return events
