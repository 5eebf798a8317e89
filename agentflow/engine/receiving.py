"""How a run receives what others sent: each message once, in order, whatever becomes of the code that asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from itertools import count

from agentflow.control import LeaseLost
from agentflow.engine.context import ReceiveCall, WaitResult
from agentflow.engine.session import Session
from agentflow.records import EntryKind, JournalEntry, WaitKind, WaitpointRecord, WaitState, new_id
from agentflow.serde import dumps
from agentflow.storage import inputs
from agentflow.storage.inputs import NOTHING, Message
from agentflow.storage.waitpoints import NewWaitpoint


@dataclass(slots=True, eq=False)
class _Turn:
    """One look for a message: `pause` is the key of the wait that begins where there is none."""

    key: str
    pause: str
    name: str
    due: int | None
    given_up: bool = False
    message: Message | None = None


class Receiving:
    """Takes messages for the code of one run. `ended` waits for the end of a waitpoint."""

    def __init__(self, session: Session, ended: Callable[[WaitpointRecord], Awaitable[WaitResult]]) -> None:
        self._session = session
        self._ended = ended
        self._orders: dict[str, asyncio.Lock] = {}

    async def next(self, key: str, call: ReceiveCall) -> str | None:
        """The next message, recorded under `key`; None, recorded too, when none came in time."""
        session = self._session
        due = None if call.due_after is None else session.services.clock.now() + call.due_after
        for number in count():
            # As between two tries of a step: each attempt of the run waits anew, and what is recorded does not ask for it again.
            pause = f"{key}~{session.run.attempt}.{number}"
            one = session.known.get(pause)
            if one is None:
                got = await self._take(_Turn(key, pause, call.name, due))
                if isinstance(got, Message):
                    return got.data
                one = got
            due = one.due_at
            if (await self._ended(one)).state is WaitState.TIMED_OUT:
                break
        await session.enter()
        try:
            await session.append(EntryKind.VALUE, key, NOTHING)
        finally:
            session.leave()
        return None

    async def _take(self, turn: _Turn) -> Message | WaitpointRecord:
        session = self._session
        await session.enter(waits=True)
        work = session.loop.create_task(self._perform(turn), context=Context())
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            turn.given_up = True
            if turn.message is not None:
                # Taken before it could know. The run is kept from suspending from this very moment on.
                session.inflight += 1
                session.in_background(self._return(turn, turn.message))
            raise

    async def _perform(self, turn: _Turn) -> Message | WaitpointRecord:
        session = self._session
        try:
            async with self._order(turn.name):
                entry, wait, now = self._entry(turn.key), self._wait(turn), session.services.clock.now()
                got = await session.transact(lambda lease: inputs.receive(lease, turn.name, entry, wait, now))
                if isinstance(got, WaitpointRecord):
                    session.known[turn.pause] = got
                    session.services.host.hint(got.due_at)
                elif turn.given_up:
                    await self._give_back(turn, got)
                else:
                    turn.message = got
                return got
        finally:
            session.leave()

    async def _return(self, turn: _Turn, message: Message) -> None:
        try:
            with suppress(LeaseLost):
                async with self._order(turn.name):
                    await self._give_back(turn, message)
        finally:
            self._session.leave()

    async def _give_back(self, turn: _Turn, message: Message) -> None:
        session, entry = self._session, self._entry(turn.key)
        now = session.services.clock.now()
        sent = await session.transact(lambda lease: inputs.give_back(lease, turn.name, entry, message, now))
        for run in sent.runs:
            session.services.host.announce(run)

    def _order(self, name: str) -> asyncio.Lock:
        """Whoever gives a message back does so before anybody takes the one after it."""
        return self._orders.setdefault(name, asyncio.Lock())

    def _entry(self, key: str) -> JournalEntry:
        session, now = self._session, self._session.services.clock.now()
        session.seq += 1
        return JournalEntry(session.seq, EntryKind.VALUE, key, None, None, session.code, session.run.attempt, 1, now, now, session.epoch)

    def _wait(self, turn: _Turn) -> NewWaitpoint:
        session = self._session
        return NewWaitpoint(
            id=new_id("wp", session.services.clock.now()),
            key=turn.pause,
            kind=WaitKind.SIGNAL,
            attempt=session.run.attempt,
            subject=dumps({"stream": turn.name}),
            due_at=turn.due,
            target=inputs.target(session.run.id, turn.name),
        )


def received(entry: JournalEntry) -> str | None:
    """What a recorded receive got."""
    return None if entry.value in (None, NOTHING) else Message.of(entry.value or "").data
