"""A run's place in its thread: it waits for its turn, reads what was said before it, hears what is said to it, and adds what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentflow.database.port import Transaction
from agentflow.engine.calls import finishing
from agentflow.engine.context import WaitRequest, WaitResult
from agentflow.engine.replay import Replay
from agentflow.engine.session import Session
from agentflow.errors import RunNotFound
from agentflow.records import EntryKind, JournalEntry, MessageRecord, WaitKind
from agentflow.serde import dumps, loads
from agentflow.storage import inputs, steering, threads
from agentflow.storage.inputs import Message
from agentflow.storage.threads import Summary


@dataclass(frozen=True, slots=True)
class Place:
    """What a conversation needs of the run around it: keys, records and waits."""

    session: Session
    replay: Replay
    key: Callable[[str], str]
    ask: Callable[[str], JournalEntry | None]
    wait: Callable[[str, WaitRequest], Awaitable[WaitResult]]
    knows: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a run knows when it begins: the messages before it, and what stands for those before them."""

    said: Sequence[MessageRecord] = ()
    summary: Summary | None = None

    @property
    def messages(self) -> list[str]:
        """All of it, as JSON texts."""
        return [*([] if self.summary is None else [self.summary.body]), *(one.body for one in self.said)]


def recall(thread: str, looked: str) -> Transaction[Recalled]:
    """What was before a run, by what that has recorded of it."""
    found = loads(looked)
    head, summed, *by = (found, 0) if isinstance(found, int) else found
    summary = (yield from threads.summary(thread, summed, *by)) if summed else None
    return Recalled((yield from threads.said(thread, summed, head=head)), summary)


class Conversation:
    """The thread `id`, as one run of it in memory sees it."""

    def __init__(self, id: str, place: Place) -> None:
        self.id = id
        self._place = place
        self._follows = place.session.run.follows
        self._recalled = Recalled()

    async def turn(self) -> None:
        """Wait until every run before this one in line has ended: a wait like any other, without slot and lease."""
        waits = 0
        while True:
            key = f"thread.turn#{waits}"
            before = None if self._place.knows(key) else await self._ahead()
            if before is None and not self._place.knows(key):
                return
            subject = {"title": f"Its turn in thread {self.id}", "thread": self.id, "run": before}
            # One that is deleted in this very moment has ended.
            with suppress(RunNotFound):
                await self._place.wait(key, WaitRequest(kind=WaitKind.CALLBACK, target=before, subject=subject))
            waits += 1

    async def history(self) -> list[str]:
        """The messages before this run, or the summary of the older ones and those behind it."""
        key = self._place.key("thread.history")
        found = self._place.ask(key)
        looked = await self._look(key) if found is None else found.value or "0"
        # What is recorded is answered also to a run that is asked to stop: it goes on to where it was.
        self._recalled = await self._place.session.read(lambda: recall(self.id, looked))
        return self._recalled.messages

    async def append(self, messages: Sequence[str]) -> None:
        """Add messages at the end; the first of a run that answers anew, behind what led to the question."""
        key, follows = self._place.key("thread.append"), self._follows
        self._follows = None
        if self._place.ask(key) is None:
            await self._working(lambda: self._record(key, messages, follows))

    async def sum_up(self, count: int, summary: str) -> None:
        """Keep a summary of the first messages of the history. As often as it is done, the first one counts."""
        recalled = self._recalled
        behind = recalled.said[count - 1 if recalled.summary is None else count - 2]
        session, now = self._place.session, self._place.session.services.clock.now()
        summed = Summary(behind.seq, summary)
        await self._working(lambda: session.transact(lambda lease: threads.sum_up(lease, self.id, summed, now)))

    async def heard(self, key: str) -> Any | None:
        """The next message for this run to hear."""
        found = self._place.replay.ask(key)
        if found is not None and not inputs.is_given_back(found):
            return steering.said(Message.of(found.value or ""))
        # What is recorded behind this point knew nothing of a message that came later.
        message = None if self._place.replay.ahead else await self._hear(key)
        return None if message is None else steering.said(message)

    async def _hear(self, key: str) -> Message | None:
        session = self._place.session
        if not await self._working(lambda: session.read(lambda: steering.waits(session.run.key))):
            return None
        entry = self._entry(key)
        await session.enter()
        try:
            return await self._uncut(session.transact(lambda lease: steering.hear(lease, entry)), key)
        finally:
            session.leave()

    async def _uncut(self, hearing: Awaitable[Message | None], key: str) -> Message | None:
        """A message that was taken for code which is stopped at this moment is given back: it is not for the run any more."""
        session = self._place.session
        taking = asyncio.ensure_future(hearing)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            message = await taking
            if message is not None:
                entry, now = self._entry(key), session.services.clock.now()
                await session.transact(lambda lease: inputs.give_back(lease, steering.STEER, entry, message, now))
            raise

    async def _ahead(self) -> str | None:
        session = self._place.session
        if session.cancel_reason is not None:
            # It is here to clean up.
            return None
        return await self._working(lambda: session.transact(lambda lease: threads.ahead(lease, self.id, session.services.clock.now())))

    async def _look(self, key: str) -> str:
        """Up to which message the history goes; where there is a summary, also up to which that stands for it, and whose it is."""
        session, head = self._place.session, self._follows
        if head is None:
            head = await self._working(lambda: session.read(lambda: threads.length(self.id)))
        upto: int = head
        found: Summary | None = await self._working(lambda: session.read(lambda: threads.summary(self.id, upto)))
        # Whose it is only where that is a question: workers of the version before know no third number.
        looked = dumps(upto if found is None else [upto, found.upto, *([found.thread] if found.shared else [])])
        await self._working(lambda: session.append(EntryKind.VALUE, key, looked))
        return looked

    async def _record(self, key: str, messages: Sequence[str], follows: int | None) -> None:
        session, entry = self._place.session, self._entry(key)
        await session.transact(lambda lease: threads.append(lease, self.id, messages, entry, follows))

    def _entry(self, key: str) -> JournalEntry:
        session, now = self._place.session, self._place.session.services.clock.now()
        session.seq += 1
        return JournalEntry(session.seq, EntryKind.VALUE, key, None, None, session.code, session.run.attempt, 1, now, now, session.epoch)

    async def _working(self, work: Callable[[], Any]) -> Any:
        session = self._place.session
        await session.enter()
        try:
            return await finishing(work())
        finally:
            session.leave()
