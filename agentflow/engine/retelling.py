"""What a run's stream does not know, though it is recorded: its worker died before it could say so, or it was said too late to be heard.

What a step said is told again with its end, from its transcript, under the ids that its parts had: whoever heard some of it replaces it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from agentflow.engine.replay import standing
from agentflow.engine.session import Session
from agentflow.engine.telling import resolved
from agentflow.errors import StorageError, StreamError
from agentflow.records import EntryKind, JournalEntry, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import decode_failure
from agentflow.storage import journal
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import RENUMBERED
from agentflow.streams.events import ApprovalResolved, Event, RunWaiting, StepCompleted, StepFailed, StepStarted
from agentflow.streams.fold import Fold
from agentflow.streams.reader import PAGE
from agentflow.streams.transcript import read_transcript

STREAM_PATIENCE = 5.0
"""Seconds that a recovery waits for the stream to tell what the lost worker had begun. A worker that has just started is slow to ask: it
loads the SDKs of its models meanwhile."""

LAST_PATIENCE = 1.0
"""Seconds that the end of a run waits for the stream to tell what it does not know."""

GLANCE = 16
"""Events: enough to see that whoever held the run last had said everything."""

_COUNTED = re.compile(r"(?:.*/)?([^/]+)#\d+")
_TOLD = ("completed", "failed")

BLIND = 64
"""Records that are told again where Redis is away and cannot say what it knows."""


class Retelling:
    """Looks into a run's stream when its lease is taken, and says what is missing there. Readers may be told twice, but never falsely."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._looking: dict[asyncio.Task[None], tuple[Sequence[JournalEntry], Sequence[WaitpointRecord]]] = {}
        session.on_answer = self.answered

    async def recovered(self, entries: Sequence[JournalEntry], waits: Iterable[WaitpointRecord]) -> tuple[tuple[str, ...], list[Event]]:
        """After a worker was lost: the steps that it had begun and not recorded, as far as the stream tells, and what it had not said."""
        page, waits = await self._newest(PAGE), list(waits)
        await self._tell_above(one for one in waits if one.state is WaitState.PENDING)
        if page is None:
            return (), await self._whole(unseen(entries, waits), entries)
        done = {entry.key for entry in standing(entries) if entry.kind in (EntryKind.RESULT, EntryKind.ERROR)}
        steps = Fold().apply_all(page).steps.values()
        void = tuple(step.id for step in steps if step.state in ("running", "retrying") and step.id not in done)
        return void, await self._whole(untold(page, whole=len(page) < PAGE, entries=entries, waits=waits), entries)

    def taken(self, entries: Sequence[JournalEntry], waits: Sequence[WaitpointRecord]) -> None:
        """After a wait or a delay: whoever let go of the run may have died before it had said everything. Looks in the background."""
        self._begin(entries, waits)

    def answered(self, one: WaitpointRecord) -> None:
        """An approval has ended: who answered it, elsewhere perhaps, may have been too late to say so."""
        self._begin((), (one,))

    async def done(self) -> None:
        """Return once everything that was looked for is said; what cannot be looked up in a moment is said again."""
        if self._looking:
            await asyncio.wait(self._looking, timeout=LAST_PATIENCE)
        for entries, waits in tuple(self._looking.values()):
            self._say(await self._whole(unseen(entries, waits), entries))
        self.stop()

    def stop(self) -> None:
        """Look no further: the run has left this process, which may be about to close its streams."""
        for task in self._looking:
            task.cancel()

    def _begin(self, entries: Sequence[JournalEntry], waits: Sequence[WaitpointRecord]) -> None:
        task = self._session.in_background(self._look(entries, waits))
        self._looking[task] = (entries, waits)
        task.add_done_callback(lambda done: self._looking.pop(done, None))

    def _say(self, events: Iterable[Event]) -> None:
        for event in events:
            self._session.publish(event)

    async def _look(self, entries: Sequence[JournalEntry], waits: Sequence[WaitpointRecord]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAM_PATIENCE):
                # What this very process has to say of the run may be on its way still.
                await self._session.services.streams.flush()
        page = await self._newest(GLANCE)
        if page and not self._is_complete(page, entries, waits):
            page = await self._newest(PAGE)
        else:
            page = page and ()
        missing = unseen(entries, waits) if page is None else untold(page, whole=len(page) < PAGE, entries=entries, waits=waits)
        self._say(await self._whole(missing, entries))
        ended = {event.approval for event in missing if isinstance(event, ApprovalResolved)}
        await self._tell_above(one for one in waits if one.id in ended)

    async def _tell_above(self, waits: Iterable[WaitpointRecord]) -> None:
        """Whoever could not tell the readers of this run did not tell those of the runs that it holds up either."""
        for one in waits:
            if one.kind is WaitKind.APPROVAL:
                await self._session.tell_above(one)

    async def _whole(self, events: Sequence[Event], entries: Sequence[JournalEntry]) -> list[Event]:
        """With what the steps had said before they ended."""
        ended = {event.step for event in events if isinstance(event, StepCompleted)}
        numbers = {entry.key: entry.seq for entry in entries if entry.key in ended}
        if not numbers:
            return list(events)
        session = self._session
        said: dict[int, str] = {}
        with suppress(StorageError):
            said = await session.services.database.read(journal.transcripts(session.run.key, min(numbers.values())))
        whole: list[Event] = []
        for event in events:
            text = said.get(numbers.get(event.step, 0)) if isinstance(event, StepCompleted) else None
            whole += [event] if text is None else with_words(event, text)
        return whole

    def _is_complete(self, page: Sequence[StoredEvent], entries: Sequence[JournalEntry], waits: Sequence[WaitpointRecord]) -> bool:
        parted = any(isinstance(one.event, RunWaiting) and one.id.epoch == self._session.epoch - 1 for one in page)
        ended = [one for one in waits if one.kind is WaitKind.APPROVAL and one.state is not WaitState.PENDING]
        last = max(ended, key=lambda one: one.wake, default=None)
        asked = None if last is None else Fold().apply_all(page).approvals.get(last.id)
        return (parted or not entries) and (last is None or (asked is not None and bool(asked.decision)))

    async def _newest(self, limit: int) -> Sequence[StoredEvent] | None:
        streams = self._session.services.streams
        with suppress(StreamError, TimeoutError):
            async with asyncio.timeout(STREAM_PATIENCE):
                return await streams.newest(self._session.run.id, limit)
        return None


def recorded(entry: JournalEntry, kind: str = "code") -> Event | None:
    """What a journal entry says to readers; None for what they are not told of."""
    name = step_name(entry.key)
    if entry.kind is EntryKind.RESULT:
        took = (entry.ended_at - entry.started_at) // 1_000
        return StepCompleted(entry.key, name, kind, attempt=entry.tries, duration_ms=took)
    if entry.kind is EntryKind.ERROR:
        failed = decode_failure(entry.value or "{}")
        return StepFailed(entry.key, {"type": failed.type, "message": failed.message}, name, kind, attempt=entry.tries)
    return None


def with_words(event: Event, transcript: str | None) -> list[Event]:
    """A step's end after what it had said; the transcript knows its name and kind too."""
    if transcript is None or not isinstance(event, StepCompleted):
        return [event]
    began, *words = read_transcript(transcript)
    known = replace(event, name=began.name, kind=began.kind) if isinstance(began, StepStarted) else event
    return [began, *words, known]


def step_name(key: str) -> str:
    """The name of a step from its key: `fetch#0`, `branch#1/fetch#0` and `fetch:explicit` are all `fetch`."""
    found = _COUNTED.fullmatch(key)
    return found[1] if found else key.partition(":")[0]


def untold(page: Sequence[StoredEvent], *, whole: bool, entries: Iterable[JournalEntry], waits: Iterable[WaitpointRecord]) -> list[Event]:
    """What is recorded, and the last events of the stream do not tell. `whole`: whether `page` is all of the stream.

    A process says things in their order: what was recorded before anything on the page was said before it. Where Redis has lost the
    beginning, whoever reads is told of that from the database.
    """
    fold = Fold().apply_all(page)
    known = {step.id for step in fold.steps.values() if step.state in _TOLD}
    entries = [entry for entry in standing(entries) if entry.kind in (EntryKind.RESULT, EntryKind.ERROR)]
    whole = whole and bool(page) and page[0].id.seq < RENUMBERED
    told = entries if whole else [entry for entry in entries if entry.key in known] or entries[-GLANCE:]
    since = min((entry.seq for entry in told), default=0)
    missing = [entry for entry in entries if entry.seq >= since and entry.key not in known] if page else []
    events = [recorded(entry, fold.steps[entry.key].kind if entry.key in fold.steps else "code") for entry in missing]
    ended = [one for one in waits if one.kind is WaitKind.APPROVAL and one.state is not WaitState.PENDING]
    return [event for event in events if event is not None] + [resolved(one) for one in ended if _is_open(fold, one, whole)]


def unseen(entries: Sequence[JournalEntry], waits: Iterable[WaitpointRecord]) -> list[Event]:
    """What the last holder may not have said, where the stream cannot be seen: what it recorded last, and every answer."""
    last = [entry for entry in standing(entries)[-BLIND:] if entry.epoch == entries[-1].epoch]
    ended = [one for one in waits if one.kind is WaitKind.APPROVAL and one.state is not WaitState.PENDING]
    return [event for entry in last if (event := recorded(entry)) is not None] + [resolved(one) for one in ended]


def _is_open(fold: Fold, one: WaitpointRecord, whole: bool) -> bool:
    asked = fold.approvals.get(one.id)
    return whole if asked is None else not asked.decision
