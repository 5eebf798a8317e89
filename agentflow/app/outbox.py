"""Sends what is to be told of waitpoints, on the channels of this process: at least once, one thing after the other, as long as it takes.

What is sent is how the waitpoint is then. Nothing here decides: a message that cannot be sent leaves its question open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from uuid import uuid4

from agentflow.channels import Channel, Notice, People, Question
from agentflow.channels.notice import Event
from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.engine.telling import decided
from agentflow.errors import AgentflowError, ConfigurationError, StorageError, WaitpointNotFound
from agentflow.records import DeliveryRecord, DeliveryState, WaitKind, WaitpointRecord, WaitState
from agentflow.retry import Retry
from agentflow.serde import loads
from agentflow.storage import outbox, waitpoints
from agentflow.storage.outbox import Address, Sender, Settled
from agentflow.storage.policy import person_of
from agentflow.streams.log import Streams

_log = logging.getLogger("agentflow.app")

RETRY = Retry(attempts=15, initial="5s", factor=2.5, max="1h")
"""Seven hours in all: an outage of a channel over night is shown in the morning."""
LEASE = 60 * SECOND
"""How long whoever took a message has, before another sends it."""
PATIENCE = 45.0
"""Seconds that a channel may take: less than the lease."""
LOOK = 30.0
"""Seconds between two looks at most: not everything that is to be sent is told of."""
PAUSE = SECOND
AT_ONCE = 16
CLOSING = 5.0
"""Seconds that messages under way get when the process ends."""

LinkMaker = Callable[[str, str | None], Awaitable[str | None]]
"""Makes the address of a waitpoint's page: for the one person named, who decides with it as themselves, or for whoever may log in."""


class Reach(TypedDict, total=False):
    """How an app reaches people: its `channels`, and the directory of `people`."""

    channels: Sequence[Channel]
    people: People


def by_name(channels: Sequence[Channel]) -> Mapping[str, Channel]:
    """Channels by name. Raises `ConfigurationError` for a name that two have, or that cannot be."""
    known: dict[str, Channel] = {}
    for one in channels:
        if not one.name or ":" in one.name:
            raise ConfigurationError(f"{one.name!r} cannot be the name of a channel.", hint="Use letters: `notify` is name:address.")
        if known.setdefault(one.name, one) is not one:
            raise ConfigurationError(f"Two channels are called {one.name!r}.", hint="Give one of them another name: Slack(…, name=…).")
    return known


@dataclass(frozen=True, slots=True)
class Told:
    """On what is told, to whom, and with which link."""

    channels: Mapping[str, Channel]
    people: People
    link: LinkMaker


class Outbox:
    """Sends for ever, once started."""

    def __init__(self, database: Database, streams: Streams, clock: Clock, told: Told) -> None:
        self._database = database
        self._clock = clock
        self._channels, self._people, self._link = told.channels, told.people, told.link
        self._sender = Sender(f"sender_{uuid4().hex}", tuple(told.channels))
        self._news = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None
        self._quiet = streams.on_signal(outbox.TOLD, lambda _: self.look()) if told.channels else None

    def start(self) -> None:
        """Begin to send, where there is a channel."""
        if self._channels:
            self._work = asyncio.get_running_loop().create_task(self._always(), name="agentflow-outbox")

    def look(self) -> None:
        """Look now: there may be something to send."""
        self._news.set()

    async def close(self) -> None:
        """Take nothing more, and let what is being sent be sent; what takes too long is sent again, by whoever comes next."""
        if self._quiet is not None:
            self._quiet()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self._sending:
            await asyncio.wait(self._sending, timeout=CLOSING)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def kill(self) -> None:
        """Stop as a process that dies: nothing under way is recorded."""
        for task in (*self._sending, *([] if self._work is None else [self._work])):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _always(self) -> None:
        while True:
            self._news.clear()
            try:
                due = await self._round()
            except StorageError as error:
                _log.warning("what is to be told of waitpoints waits: %s", error)
                due = self._clock.now() + PAUSE
            except Exception:  # noqa: BLE001 - an odd row must not keep all others from being sent
                _log.exception("what is to be told of waitpoints waits")
                due = self._clock.now() + PAUSE
            await self._rest(due)

    async def _round(self) -> int | None:
        """Take what is due, as much as there is room for; returns when the next one is."""
        now = self._clock.now()
        room = AT_ONCE - len(self._sending)
        if room > 0:
            for one in await self._database.transact(outbox.claim(self._sender, now + LEASE, room, now)):
                task = asyncio.get_running_loop().create_task(self._deliver(one))
                self._sending.add(task)
                task.add_done_callback(self._done)
        if len(self._sending) >= AT_ONCE:
            # One that is done rings.
            return None
        return await self._database.read(outbox.next_due(self._sender))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._news.set()

    async def _rest(self, due: int | None) -> None:
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._news.wait())}
        if due is not None:
            waits.add(asyncio.ensure_future(self._clock.sleep_until(due)))
        try:
            await asyncio.wait(waits, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _deliver(self, one: DeliveryRecord) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                settled = await self._sent(one)
        except StorageError as error:
            _log.warning("%s is sent again: %s", one.id, error)
            return
        except Exception as error:  # noqa: BLE001 - a channel may be anybody's, and fail in any way
            settled = self._failed(one, error)
        if settled is not None:
            with suppress(StorageError):
                # Not recorded is not sent: it comes again, under the same id.
                await self._database.transact(outbox.settle(one, self._sender.name, settled, self._clock.now()))

    def _failed(self, one: DeliveryRecord, error: Exception) -> Settled:
        now, said = self._clock.now(), _said(error)
        delay = RETRY.delay(one.attempts, error, now)
        if delay is None:
            _log.error("%s cannot be sent to %s:%s, and its question stays open: %s", one.id, one.channel, one.address, said)
            return Settled(state=DeliveryState.DEAD, error=said)
        _log.info("%s is sent to %s:%s again in %.0f s: %s", one.id, one.channel, one.address, delay / SECOND, said)
        return Settled(state=DeliveryState.PENDING, error=said, again=now + delay)

    async def _sent(self, one: DeliveryRecord) -> Settled | None:
        """Send, or find that it need not be; None where it was spread over many."""
        channel = self._channels[one.channel]
        try:
            waitpoint = await self._database.read(waitpoints.get(one.waitpoint))
        except WaitpointNotFound:
            return Settled(state=DeliveryState.DROPPED)
        known, reference = await self._database.read(outbox.before(one))
        if self._is_idle(one, channel, waitpoint, known):
            return Settled(state=DeliveryState.DROPPED)
        if channel.reaches_people and _is_looked_up(one):
            await self._database.transact(outbox.spread(one, self._sender.name, await self._found(one, waitpoint), self._clock.now()))
            return None
        person = one.person or (await self._people.actor(channel.name, one.address)) or channel.owner(one.address)
        notice = Notice(
            id=one.id,
            event=cast("Event", one.event),
            at=one.created_at // 1_000,
            address=one.address,
            question=question_of(waitpoint),
            person=person,
            link=await self._link(one.waitpoint, person),
            reference=reference,
        )
        return Settled(state=DeliveryState.SENT, reference=await channel.send(notice))

    def _is_idle(self, one: DeliveryRecord, channel: Channel, waitpoint: WaitpointRecord, known: bool) -> bool:
        """Whether nobody need be told of it any more, or at all."""
        if one.event not in channel.events:
            return True
        if not channel.reaches_people:
            # People are told of by name there: machines hear everything as it is, once.
            return one.address.startswith(("user:", "group:"))
        if one.event == "resolved":
            return not known
        return waitpoint.state is not WaitState.PENDING

    async def _found(self, one: DeliveryRecord, waitpoint: WaitpointRecord) -> list[Address]:
        """Whom an address means. Raises `NobodyThere`."""
        named = [one.address] if one.address else assigned(loads(waitpoint.subject))
        found: dict[str, str] = {}
        for who in named:
            for name, address in (await self._people.addresses(one.channel, who)).items():
                found.setdefault(address, name)
        if not found:
            who = ", ".join(named) or "anybody, and nobody is named who may decide"
            hint = "Tell `people` their addresses, or name one in `notify`."
            raise NobodyThere(f"There is no {one.channel} address for {who}.", hint=hint)
        return [Address(one.channel, address, name) for address, name in found.items()]


class NobodyThere(AgentflowError):
    """Nobody has an address; that may change, so it is tried again."""

    code = "nobody_there"


def _is_looked_up(one: DeliveryRecord) -> bool:
    return not one.address or one.address.startswith(("user:", "group:"))


def assigned(subject: Mapping[str, Any]) -> list[str]:
    """Who is to decide, as `user:maria` and `group:ops`, in the order in which they were named."""
    users = [f"user:{person_of(name)}" for name in subject.get("users") or ()]
    groups = [f"group:{name}" for name in subject.get("groups") or ()]
    return list(dict.fromkeys([*users, *groups, *(subject.get("escalated") or ())]))


def question_of(one: WaitpointRecord) -> Question:
    """A waitpoint as channels are told it."""
    subject = loads(one.subject)
    answer: Any = loads(one.answer) if one.answer and one.answer.startswith("{") and one.state is WaitState.ANSWERED else {}
    about = subject.get("kind") if one.kind is WaitKind.APPROVAL else None
    return Question(
        id=one.id,
        kind=one.kind.value,
        title=str(subject.get("title", "")),
        about=about,
        # An answer to be filled in says nothing of what was done.
        body=subject["details"]["arguments"] if about == "outcome" else subject.get("body"),
        risk=subject.get("risk"),
        run=one.run_id,
        agent=subject.get("agent"),
        tool=subject.get("tool"),
        expires_at=None if one.due_at is None else one.due_at // 1_000,
        state=_state(one),
        by=one.answered_by,
        reason=answer.get("reason") if one.kind is WaitKind.APPROVAL else None,
        can_edit=can_edit(one, subject) and about != "outcome",
    )


def can_edit(one: WaitpointRecord, subject: Mapping[str, Any]) -> bool:
    """Whether people may change what is asked about with their yes: named values, of a schema."""
    known = one.kind is WaitKind.APPROVAL and one.schema is not None and isinstance(subject.get("body"), dict)
    return known and subject.get("can_edit") is not False


def _state(one: WaitpointRecord) -> str:
    if one.state is WaitState.PENDING or (one.kind is not WaitKind.APPROVAL and one.state is WaitState.ANSWERED):
        return one.state.value
    return decided(one)


def _said(error: Exception) -> str:
    """An error for who looks after the installation, on one line."""
    said = str(error) or type(error).__name__
    return f"{type(error).__name__}: {said}"[:500] if not isinstance(error, AgentflowError) else said[:500]
