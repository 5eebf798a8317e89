"""A run's place in its thread: it waits for its turn, reads what was said before it, and adds what it said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentflow.engine.calls import finishing
from agentflow.engine.context import WaitRequest, WaitResult
from agentflow.engine.session import Session
from agentflow.errors import RunNotFound
from agentflow.records import EntryKind, JournalEntry, WaitKind
from agentflow.serde import dumps, loads
from agentflow.storage import threads


@dataclass(frozen=True, slots=True)
class Place:
    """What a conversation needs of the run around it: keys, records and waits."""

    session: Session
    key: Callable[[str], str]
    ask: Callable[[str], JournalEntry | None]
    wait: Callable[[str, WaitRequest], Awaitable[WaitResult]]
    knows: Callable[[str], bool]


class Conversation:
    """The thread `id`, as one run of it in memory sees it."""

    def __init__(self, id: str, place: Place) -> None:
        self.id = id
        self._place = place

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
        """The messages before this run."""
        key = self._place.key("thread.history")
        found = self._place.ask(key)
        upto: int = await self._look(key) if found is None else loads(found.value or "0")
        session = self._place.session
        said = await self._working(lambda: session.read(lambda: threads.said(self.id, upto=upto)))
        return [one.body for one in said]

    async def append(self, messages: Sequence[str]) -> None:
        """Add messages at the end."""
        key = self._place.key("thread.append")
        if self._place.ask(key) is None:
            await self._working(lambda: self._record(key, messages))

    async def _ahead(self) -> str | None:
        session = self._place.session
        return await self._working(lambda: session.transact(lambda lease: threads.ahead(lease, self.id, session.services.clock.now())))

    async def _look(self, key: str) -> int:
        session = self._place.session
        upto: int = await self._working(lambda: session.read(lambda: threads.length(self.id)))
        await self._working(lambda: session.append(EntryKind.VALUE, key, dumps(upto)))
        return upto

    async def _record(self, key: str, messages: Sequence[str]) -> None:
        session = self._place.session
        session.seq += 1
        now = session.services.clock.now()
        entry = JournalEntry(session.seq, EntryKind.VALUE, key, None, None, session.code, session.run.attempt, 1, now, now, session.epoch)
        await session.transact(lambda lease: threads.append(lease, self.id, messages, entry))

    async def _working(self, work: Callable[[], Any]) -> Any:
        session = self._place.session
        await session.enter()
        try:
            return await finishing(work())
        finally:
            session.leave()
