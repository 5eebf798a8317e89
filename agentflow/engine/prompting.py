"""The versions of prompts that one run in memory holds: chosen and recorded when they are first asked for, the same at every replay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from agentflow.control import RunPaused
from agentflow.database.port import Transaction
from agentflow.engine.branch import Branch, branch
from agentflow.engine.calls import finishing
from agentflow.engine.replay import Replay
from agentflow.engine.session import Session
from agentflow.errors import (
    AgentflowError,
    PromptError,
    RegistryUnreadable,
    ResumeIncompatible,
    StorageError,
    VersionNotFound,
    VersionRevoked,
)
from agentflow.records import EntryKind, JournalEntry
from agentflow.serde import loads
from agentflow.storage import fallbacks, pins, prompts
from agentflow.storage.pins import Held, Place, Wanted
from agentflow.storage.prompts import VersionRecord

T = TypeVar("T")
_bodies: dict[tuple[str, str], str] = {}
"""Bodies by prompt and hash. A version never changes, so what was read once is right for ever."""
_UNREADABLE = (RegistryUnreadable, VersionNotFound, StorageError)
"""What is wrong with the registry and not with the run. A lost connection is waited out before it gets here, as for the journal."""
_log = logging.getLogger("agentflow.prompts")


@dataclass(slots=True)
class _Grip:
    """A version in hand: the lease under which it was looked at last, how many records it has, the one that counts."""

    held: Held
    epoch: int
    records: int
    entry: JournalEntry | None = None


class Prompting:
    """What `RunContext.prompt` does. `ask` looks a record up, and says that its branch is live where there is none."""

    def __init__(self, session: Session, replay: Replay, ask: Callable[[str], JournalEntry | None], root: Branch) -> None:
        self._session = session
        self._replay = replay
        self._ask = ask
        self._root = root
        self._grips: dict[str, _Grip] = {}
        self._records: dict[str, tuple[JournalEntry | None, int]] = {}
        self._choosing, self._changing = asyncio.Lock(), asyncio.Lock()

    async def held(self, wanted: Wanted) -> Held:
        """The version that the run holds, or this call alone."""
        if wanted.pin == "step":
            return await self._once(wanted)
        grip = self._grips.get(wanted.key)
        if grip is not None and grip.entry is None and grip.epoch == self._session.epoch:
            return grip.held
        async with self._choosing:
            first = wanted.key not in self._grips
            grip = self._grips.get(wanted.key) or await self._grip(wanted)
            if grip.entry is not None:
                self._compare(wanted, grip, grip.entry)
            if grip.epoch != self._session.epoch:
                await self._look(wanted, grip, first=first)
            return grip.held

    async def _once(self, wanted: Wanted) -> Held:
        key = (branch.get() or self._root).key(f"{wanted.key}:step")
        entry = self._ask(key)
        if entry is not None:
            return await self._recorded(wanted, entry)
        return await self._changed(key, lambda place: self._chosen(wanted, place))

    async def _grip(self, wanted: Wanted) -> _Grip:
        entry, records = self._found(wanted.key)
        if entry is None:
            return await self._changed(f"{wanted.key}#0", lambda place: self._first(wanted, place))
        try:
            grip = _Grip(await self._recorded(wanted, entry), 0, records, entry)
        except VersionNotFound as gone:
            fallen = await self._changed(f"{wanted.key}#{records}", partial(self._fallen, wanted, gone))
            grip = _Grip(fallen, self._session.epoch, records + 1)
        self._grips[wanted.key] = grip
        return grip

    def _found(self, key: str) -> tuple[JournalEntry | None, int]:
        """The record that counts, and how many there are: looked up once, for a call that was refused may be made again."""
        found = self._records.get(key)
        if found is None:
            entry, records = self._ask(f"{key}#0"), 1
            while entry is not None and (later := self._replay.ask(f"{key}#{records}")) is not None:
                entry, records = later, records + 1
            found = self._records[key] = entry, records
        elif found[0] is None:
            (branch.get() or self._root).live = True
        return found

    async def _first(self, wanted: Wanted, place: Place) -> _Grip:
        """Choose and record a version, unless a call did that was cancelled meanwhile."""
        grip = self._grips.get(wanted.key)
        if grip is None:
            grip = self._grips[wanted.key] = _Grip(await self._chosen(wanted, place), self._session.epoch, 1)
        return grip

    async def _chosen(self, wanted: Wanted, place: Place) -> Held:
        choose = pins.resolve_once if wanted.pin == "step" else pins.resolve
        try:
            return await self._session.transact(lambda lease: choose(lease, wanted, place))
        except _UNREADABLE as error:
            return await self._fallen(wanted, error, place)

    async def _fallen(self, wanted: Wanted, error: AgentflowError, place: Place) -> Held:
        """The code's version, where the registry is damaged. Raises the error where code has none, or who asks insists on another."""
        own, session = wanted.own, self._session
        if own is None or wanted.version is not None or wanted.override is not None:
            raise error
        reason = _reason(error)
        _log.warning("%s goes by the code's own version of %s: %s", session.run.id, wanted.prompt, error.message)
        try:
            return await session.transact(lambda lease: fallbacks.take_own(lease, wanted, own, place, reason))
        except _UNREADABLE:
            # Nor can it be written: the journal can.
            return await session.transact(lambda lease: fallbacks.take_unregistered(lease, wanted, own, place, reason))

    async def _keep(self, wanted: Wanted, grip: _Grip, error: AgentflowError, place: Place) -> None:
        """Go on with what is held, where the registry is damaged and cannot say whether that still stands."""
        held, session, reason = grip.held, self._session, _reason(error)
        if await self._unfit(wanted, held):
            grip.held, grip.records = await self._fallen(wanted, error, place), grip.records + 1
        elif held.reason != reason:
            _log.warning("%s keeps its version of %s: %s", session.run.id, wanted.prompt, error.message)
            grip.held = await session.transact(lambda lease: fallbacks.keep(lease, wanted, held, place, reason))
            grip.records += 1

    async def _recorded(self, wanted: Wanted, entry: JournalEntry) -> Held:
        """What a record says. The body is what its hash says, wherever that is found."""
        text = entry.value or "{}"
        hash = loads(text)["hash"]
        body = _bodies.get((wanted.prompt, hash))
        if body is None and wanted.own is not None and wanted.own.hash == hash:
            body = wanted.own.body
        if body is None:
            body = (await self._session.read(lambda: _version(wanted.prompt, hash))).body
        _bodies[wanted.prompt, hash] = body
        return Held.read(text, body)

    def _compare(self, wanted: Wanted, grip: _Grip, entry: JournalEntry) -> None:
        """A body that says something else than it said when it was recorded stops the run, until an operator accepts today's code.

        What the same code, another branch of it, or an earlier attempt of the run had it say is not compared.
        """
        held, session = grip.held, self._session
        known = entry.code == session.code or self._replay.accepts(session.code)
        if known or held.rendered is None or held.branch != self._here or entry.attempt != session.run.attempt:
            grip.entry = None
            return
        try:
            rendered = wanted.fits(held.body)
        except PromptError:
            # Changed code gives it other variables: it is looked at as a whole.
            grip.entry, grip.epoch = None, 0
            return
        if rendered != held.rendered:
            error = ResumeIncompatible(f"{wanted.prompt} v{held.number} says something else than it said.")
            self._pause(
                error, entry.key, held, {"input": rendered, "code": self._session.code}, {"input": held.rendered, "code": entry.code}
            )
        grip.entry = None

    async def _look(self, wanted: Wanted, grip: _Grip, *, first: bool) -> None:
        """Under each new lease once: whether the version is to be another one from now on.

        `first`: this code's first call for it, which is the one that a replay compares.
        """
        session, held, key = self._session, grip.held, f"{wanted.key}#{grip.records}"
        try:
            if await self._unfit(wanted, held) or await self._working(
                lambda: session.read(lambda: pins.stale(session.run.key, wanted, held))
            ):
                await self._changed(key, lambda place: self._adopt(wanted, grip, place, first=first))
        except _UNREADABLE as error:
            await self._changed(key, partial(self._keep, wanted, grip, error))
        grip.epoch = session.epoch

    async def _adopt(self, wanted: Wanted, grip: _Grip, place: Place, *, first: bool) -> None:
        held = grip.held
        after = await self._session.transact(lambda lease: pins.adopt(lease, wanted, held, place, compared=first))
        if after is not None:
            grip.held, grip.records = after, grip.records + 1

    async def _unfit(self, wanted: Wanted, held: Held) -> bool:
        try:
            wanted.fits(held.body)
        except PromptError:
            return True
        return False

    async def _changed(self, key: str, change: Callable[[Place], Coroutine[Any, Any, T]]) -> T:
        session, here = self._session, self._here

        async def work() -> T:
            async with self._changing:
                return await change(self._place(key, here))

        try:
            return await self._working(work)
        except VersionRevoked as revoked:
            if revoked.details.get("policy") == "pause":
                self._pause(revoked, key, None, {"code": session.code}, {})
            raise

    def _place(self, key: str, here: str) -> Place:
        """Where the run is now. Under the lease: a run that waits gets a new one, with another epoch."""
        session, now = self._session, self._session.services.clock.now()
        session.seq += 1
        entry = JournalEntry(session.seq, EntryKind.VALUE, key, None, None, session.code, session.run.attempt, 1, now, now, session.epoch)
        run = session.run
        env = session.services.environment
        return Place(env=env, task=run.task, tags=run.tags, thread=run.thread, key=run.concurrency_key, branch=here, entry=entry)

    def _pause(self, error: PromptError, key: str, held: Held | None, asked: dict[str, Any], recorded: dict[str, Any]) -> None:
        version = error.details.get("number") if held is None else held.number
        note = {"step": key, "error": error.code, "message": error.message, "version": version, "asked": asked, "recorded": recorded}
        paused = RunPaused(note)
        self._session.latch(paused)
        raise paused

    async def _working(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._session.enter()
        try:
            return await finishing(work())
        finally:
            self._session.leave()

    @property
    def _here(self) -> str:
        return (branch.get() or self._root).path


def _reason(error: AgentflowError) -> str:
    return f"{error.code}: {error.message}"


def _version(prompt: str, hash: str) -> Transaction[VersionRecord]:
    try:
        return (yield from prompts.find(prompt, hash))
    except VersionNotFound as gone:
        hint = "The run recorded it, and it is nowhere any more: restore it, or start the run anew."
        raise VersionNotFound(f"{prompt} has no version {hash} any more.", hint=hint, prompt=prompt) from gone
