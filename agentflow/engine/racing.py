"""Several waits side by side, of which some are given up: which, is recorded, so that a replay gives up the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from agentflow.control import ControlFlow
from agentflow.engine.branch import Branch, branch
from agentflow.engine.calls import finishing
from agentflow.engine.context import recording
from agentflow.engine.replay import Replay
from agentflow.engine.session import Session
from agentflow.engine.stopping import ask_to_stop
from agentflow.engine.telling import resolved, tell_people
from agentflow.errors import DefinitionError, RunNotFound
from agentflow.records import EntryKind, JournalEntry, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage.superseding import given_up, supersede

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


async def race(*waits: Awaitable[T]) -> T:
    """The result of whatever ends first; the others are given up.

    Approvals, forms and callbacks among the others are superseded in the transaction that records the winner: who answers one afterwards is
    told so. Child runs among them are cancelled. A replay sees the same winner. What the winner raises is raised.

    >>> first = await race(ask(Reply, assign="user:maria"), sleep("2h"))
    """
    if not waits:
        raise DefinitionError("race() has nothing to wait for.", hint="Give it two waits or more.")
    run = recording()
    if run is None:
        return await _plainly([asyncio.ensure_future(one) for one in waits])
    return await run.side_by_side(run.key("race"), waits, every=False)


@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], fourth: Awaitable[T4], /) -> tuple[T1, T2, T3, T4]: ...
@overload
async def gather(*waits: Awaitable[T]) -> tuple[T, ...]: ...
async def gather(*waits: Awaitable[Any]) -> tuple[Any, ...]:
    """The results of all waits, in their order, whatever the order in which they end.

    When one raises, that is raised and the others are given up as those of `race` are; `asyncio.gather` would leave them open.

    >>> index, table = await gather(approve("Delete the index?"), approve("Drop the table?"))
    """
    run = recording()
    if run is None:
        return tuple(await asyncio.gather(*waits))
    return await run.side_by_side(run.key("gather"), waits, every=True)


async def _plainly(tasks: Sequence[asyncio.Future[T]]) -> T:
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _stop(tasks)
    return next(one for one in tasks if one in done).result()


async def _stop(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Winner:
    """What is recorded: whose end counts, whether it raised, and the keys that were given up."""

    place: int
    failed: bool
    dropped: list[str]

    @classmethod
    def of(cls, entry: JournalEntry | None, attempt: int) -> Winner | None:
        """From the journal; None where nothing holds: as all errors, one that won belongs to its attempt."""
        found = None if entry is None else cls(**loads(entry.value or "null"))
        return None if entry is None or found is None or (found.failed and entry.attempt < attempt) else found

    async def replayed(self, tasks: Sequence[asyncio.Future[Any]]) -> Any:
        """The result of the winner; the others, which have not begun, never do."""
        await _stop([one for place, one in enumerate(tasks) if place != self.place])
        return await tasks[self.place]


class Racing:
    """The races of one run in memory. `known` are its waitpoints by key."""

    def __init__(self, session: Session, replay: Replay, known: Callable[[], dict[str, WaitpointRecord]], root: Branch) -> None:
        self._session = session
        self._replay = replay
        self._known = known
        self._root = root
        self._gone: list[str] = []

    async def run(self, key: str, waits: Sequence[Awaitable[Any]], *, every: bool) -> Any:
        """What ended first, or `every` result."""
        winner = Winner.of(self._replay.ask(key), self._session.run.attempt)
        here = branch.get() or self._root
        tasks = [asyncio.ensure_future(one) for one in waits]
        branches = [here.tasks.get(one) for one in tasks]
        if winner is not None:
            self._replay.drop(winner.dropped)
            await self._stop_children(one for name, one in self._known().items() if given_up(name, winner.dropped))
            return await winner.replayed(tasks)
        try:
            until = asyncio.FIRST_EXCEPTION if every else asyncio.FIRST_COMPLETED
            done, _ = await asyncio.wait(tasks, return_when=until) if tasks else (set[asyncio.Future[Any]](), None)
            ended = [place for place, one in enumerate(tasks) if one in done and (not every or _failed(one))]
            self._control(tasks)
            if every and not ended:
                return tuple(one.result() for one in tasks)
            place = min(ended, key=lambda one: self._ended(branches[one]))
            dropped = self._dropped(branches, place, here)
        finally:
            # Also when this very wait is cancelled: no branch outlives who waits for it.
            await _stop([one for one in tasks if not one.done()])
        self._control([tasks[place]])
        here.live = True
        await self._record(key, Winner(place, _failed(tasks[place]), dropped))
        return tasks[place].result()

    def _control(self, tasks: Sequence[asyncio.Future[Any]]) -> None:
        """Raise what is nobody's end: the run leaves, or stops."""
        if self._session.latched is not None:
            raise self._session.latched
        for one in tasks:
            if one.done() and one.cancelled():
                raise asyncio.CancelledError
            if one.done() and isinstance(one.exception(), ControlFlow):
                one.result()

    def _ended(self, one: Branch | None) -> int:
        """When a branch came to its end, by the wakes of the run: of several that have ended meanwhile, the first one counts."""
        if one is None:
            return 0
        waits = (wait.wake for key, wait in self._known().items() if key.startswith(one.path) or key == one.awaited)
        return max(waits, default=0)

    def _dropped(self, branches: Sequence[Branch | None], winner: int, here: Branch) -> list[str]:
        """The keys under which the losers have something open: their own, and those that the code around took for them."""
        paths = tuple(one.path for place, one in enumerate(branches) if place != winner and one is not None)
        taken = {one.awaited for one in here.tasks.values() if one.awaited and one.path.startswith(paths)}
        taken |= {one.awaited for place, one in enumerate(branches) if place != winner and one is not None and one.awaited}
        return [*paths, *sorted(key for key in taken if not key.startswith(paths))]

    async def _record(self, key: str, winner: Winner) -> None:
        await self._session.enter()
        try:
            await finishing(self._supersede(key, winner))
        finally:
            self._session.leave()

    async def _supersede(self, key: str, winner: Winner) -> None:
        session, now = self._session, self._session.services.clock.now()
        session.seq += 1
        value = dumps({"place": winner.place, "failed": winner.failed, "dropped": winner.dropped})
        entry = JournalEntry(session.seq, EntryKind.VALUE, key, value, None, session.code, session.run.attempt, 1, now, now, session.epoch)
        await self._give_up(winner.dropped, entry)
        self._replay.drop(winner.dropped)
        self._gone += winner.dropped
        if any(one.state is WaitState.PENDING and given_up(name, winner.dropped) for name, one in self._known().items()):
            await self._give_up(winner.dropped, None)

    async def opened(self, one: WaitpointRecord) -> None:
        """A wait is open whose code may have been given up meanwhile."""
        if one.key is not None and given_up(one.key, self._gone):
            await self._give_up([one.key], None)

    async def _give_up(self, dropped: list[str], entry: JournalEntry | None) -> None:
        session, now = self._session, self._session.services.clock.now()
        gone = await session.transact(lambda lease: supersede(lease, entry, dropped, now))
        for one in gone.waits:
            self._known()[one.key or one.id] = one
            if one.kind is WaitKind.APPROVAL:
                session.publish(resolved(one))
                await session.tell_above(one)
            tell_people(session.services.streams, one)
        if gone.waits:
            # It is in the audit, which maintenance seals.
            session.services.host.hint(now)
        for run in gone.woken:
            session.services.host.announce(run)
        await self._stop_children(gone.waits)

    async def _stop_children(self, waits: Iterable[WaitpointRecord]) -> None:
        # After the record: whoever crashes in between finds it, and comes here again.
        for child in [one.target for one in waits if one.kind is WaitKind.CHILD and one.state is WaitState.CANCELLED]:
            try:
                await ask_to_stop(self._session.services, child or "", f"{self._session.run.id} went on without it")
            except RunNotFound:
                continue


def _failed(task: asyncio.Future[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
