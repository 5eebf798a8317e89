"""A run in memory and its grip on the database: lease, journal, latch. What an epoch may write goes through here."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from agentflow.clock import SECOND
from agentflow.control import ControlFlow, LeaseLost
from agentflow.database.port import T, Transaction
from agentflow.engine.budget import Budget
from agentflow.engine.host import Services
from agentflow.engine.telling import tell_above, waits_for
from agentflow.errors import ConnectionLost, DatabaseBusy, DatabaseFull, DatabaseUnreachable, DatabaseUnreadable, StorageError
from agentflow.records import EntryKind, JournalEntry, RunRecord, RunState, WaitKind, WaitState
from agentflow.storage import journal, showing, transitions, waitpoints
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import Spent
from agentflow.storage.usage import Metered
from agentflow.storage.waitpoints import WaitpointRecord
from agentflow.streams.events import Event

_PATIENCE = 64
PASSING = (ConnectionLost, DatabaseBusy, DatabaseFull, DatabaseUnreachable, DatabaseUnreadable)
"""Failures of the database that time or an operator cures: work is kept and recorded then."""

_SAY = 8
"""Turns of the loop that code gets, after a call of it returned or a wait began, before its run is let go: an error takes two to leave a
`gather`."""
_log = logging.getLogger("agentflow.engine")


@dataclass(frozen=True, slots=True)
class Work:
    """What a record tells of the work behind it: when it began, a digest of its input, its tries, what it said, what it used."""

    began: int
    digest: str | None = None
    tries: int = 1
    said: journal.Words | None = None
    metered: Metered | None = None


class Session:
    """One run, in this process. It holds a lease while it works, and none while it waits."""

    budgets: Sequence[Budget] = ()

    def __init__(self, services: Services, run: RunRecord, code: str) -> None:
        self.services = services
        self.run = run
        self.code = code
        self.epoch = run.epoch
        self.lease: Lease | None = _lease(run)
        self.seen = 0
        self.seq = 0
        self.latched: ControlFlow | None = None
        self.cancel_reason: str | None = None
        self.timed_out = False
        self.blocked = False
        self.closed = False
        self.known: dict[str, WaitpointRecord] = {}
        self.waiting: dict[str, asyncio.Future[WaitpointRecord]] = {}
        self._awaited: dict[str, WaitpointRecord] = {}
        self.inflight = 0
        self._ended: dict[str, WaitpointRecord] = {}
        self._delivered = False
        self._raised: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._considering = False
        self._suspending = False
        self._roused: asyncio.Future[None] | None = None
        self._active = run.active
        self._since = services.clock.now()
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.on_cancel: Callable[[str], None] = lambda reason: None
        self.on_answer: Callable[[WaitpointRecord], None] = lambda one: None
        self.stays: Callable[[], bool] = lambda: False
        self.give_up: Callable[[], None] = lambda: None

    # -- what user code meets ------------------------------------------------------------------------------------------------------------

    async def control(self, *, waits: bool) -> None:
        """Raise what is latched, as often as it is swallowed; code that never stops swallowing is given up and goes no further."""
        asked = self.stopping is not None and (waits or not self._delivered)
        if self.latched is None and not asked:
            return
        branch = asyncio.current_task()
        raised = self._raised[branch] = self._raised.get(branch, 0) + 1
        if raised > _PATIENCE:
            self.give_up()
            await self.loop.create_future()
        if raised > 1:
            await asyncio.sleep(0)
        if self.latched is not None:
            raise self.latched
        self._delivered = True
        raise asyncio.CancelledError(self.stopping)

    async def enter(self, *, waits: bool = False) -> None:
        """Begin something that will be recorded: with the lease held, and the run kept from suspending until `leave()`."""
        if self.blocked:
            await self.control(waits=waits)
        while self._suspending or self.lease is None:
            await self._rouse()
            if self.blocked:
                await self.control(waits=waits)
        self.inflight += 1

    def leave(self) -> None:
        """End what `enter()` began."""
        self.inflight -= 1
        if self.waiting:
            self.consider()

    def publish(self, event: Event) -> None:
        """Send an event to the run's stream under this epoch."""
        if not self.closed:
            self.services.streams.publish(self.run.id, self.epoch, event)

    async def tell_above(self, one: WaitpointRecord) -> None:
        """Show a question of this run, as it is now, to the readers of the runs that it holds up."""
        tell_above(self.services.streams, one, await self.read(lambda: showing.sights(one.id)))

    # -- what is recorded ----------------------------------------------------------------------------------------------------------------

    def held(self) -> Lease:
        """The lease; raises `LeaseLost` without one."""
        if self.lease is None or self.closed:
            self.latch(LeaseLost(self.run.id))
            raise LeaseLost(self.run.id)
        return self.lease

    async def append(self, kind: EntryKind, key: str, value: str | None, work: Work | None = None) -> int:
        """Record an entry; when this returns it is durable. Returns its time. Raises `LeaseLost`."""
        self.seq += 1
        now = self.services.clock.now()
        done = work or Work(now)
        entry = JournalEntry(self.seq, kind, key, value, done.digest, self.code, self.run.attempt, done.tries, done.began, now, self.epoch)
        try:
            await journal.append(self.services.database, self.held(), entry, done.said, done.metered)
        except PASSING as error:
            await self._append_again(entry, done, error)
        except LeaseLost as lost:
            self.latch(lost)
            raise
        return now

    async def _append_again(self, entry: JournalEntry, done: Work, error: StorageError) -> None:
        """The database failed: either the entry is there all the same, or it is written once that works. The body is not run again."""
        delay = SECOND // 50
        while True:
            delay = await self._wait_for_storage(error, delay)
            try:
                found = await self.services.database.fetch(SQL.journal.found(run=self.run.key, seq=entry.seq))
                if found and (found[0]["epoch"], found[0]["kind"], found[0]["step"]) == (self.epoch, entry.kind, entry.key):
                    return
                return await journal.append(self.services.database, self.held(), entry, done.said, done.metered)
            except PASSING as again:
                error = again
            except LeaseLost as lost:
                self.latch(lost)
                raise

    async def transact(self, make: Callable[[Lease], Transaction[T]]) -> T:
        """Run a fenced transaction; while the database fails, wait for it. Raises `LeaseLost`."""
        delay = SECOND // 50
        while True:
            try:
                return await self.services.database.transact(make(self.held()))
            except PASSING as error:
                delay = await self._wait_for_storage(error, delay)
            except LeaseLost as lost:
                self.latch(lost)
                raise

    async def read(self, make: Callable[[], Transaction[T]]) -> T:
        """Read what is committed, under the lease; while the database fails, wait for it. Raises `LeaseLost`."""
        delay = SECOND // 50
        while True:
            try:
                return await self.services.database.read(make())
            except PASSING as error:
                delay = await self._wait_for_storage(error, delay)

    async def _wait_for_storage(self, error: StorageError, delay: int) -> int:
        _log.error("%s cannot record its work and tries again in %.2f s: %s", self.run.id, delay / SECOND, error)
        await self.services.clock.sleep_until(self.services.clock.now() + delay)
        self.held()
        return min(delay * 2, 5 * SECOND)

    @property
    def settled(self) -> bool:
        """Whether nothing that the run waits for is open or just being asked for."""
        return not self.inflight and all(one.state is not WaitState.PENDING for one in self.known.values())

    def spent(self) -> Spent:
        """The work of this run so far, this epoch included."""
        working = self.services.clock.now() - self._since if self.lease is not None else 0
        return Spent(active=self._active + working, code=self.code)

    # -- waiting -------------------------------------------------------------------------------------------------------------------------

    async def park(self, one: WaitpointRecord) -> WaitpointRecord:
        """Wait until a waitpoint of this run has ended. The run lets go of its lease once nothing else is under way."""
        if self.blocked:
            await self.control(waits=True)
        ended = self._ended.pop(one.id, None)
        if ended is not None:
            return ended
        future = self.waiting[one.id] = self.loop.create_future()
        self._awaited[one.id] = one
        self.consider()
        try:
            return await future
        finally:
            self.waiting.pop(one.id, None)
            self._awaited.pop(one.id, None)

    def consider(self) -> None:
        """Suspend if nothing but waits is left, once the code that this turn of the loop lets go on has had its say."""
        if not self._considering and self._quiet():
            self._considering = True
            self.loop.call_soon(self._suspend_if_quiet, _SAY)

    def _quiet(self) -> bool:
        idle = self.inflight == 0 and self.lease is not None and bool(self.waiting)
        return idle and not self._suspending and not self.blocked and not self.stays()

    def _suspend_if_quiet(self, turns: int) -> None:
        if turns and self._quiet():
            self.loop.call_soon(self._suspend_if_quiet, turns - 1)
            return
        self._considering = False
        if self._quiet():
            self._suspending = True
            self.in_background(self._suspend())

    async def regain(self) -> None:
        """The code has ended: what it still waits for counts no more, and how it ended is recorded under a lease."""
        self.waiting.clear()
        while self.latched is None and (self._suspending or self.lease is None):
            await self._rouse()

    async def rouse(self) -> None:
        """Have a run that waits taken up again, though nothing woke it."""
        delay = SECOND // 50
        while True:
            try:
                await self.services.database.execute(SQL.runs.rouse(run=self.run.key, epoch=self.epoch))
                break
            except PASSING:
                await self.services.clock.sleep_until(self.services.clock.now() + delay)
                delay = min(delay * 2, 5 * SECOND)
        self.services.host.announce(replace(self.run, state=RunState.QUEUED))

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call it on the run's loop: at once when this is its thread."""
        if threading.get_ident() == self.thread:
            call()
        else:
            self.loop.call_soon_threadsafe(call)

    def in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run the engine's own work for this run outside of its branches."""
        task = self.loop.create_task(work, context=Context())
        _background.add(task)
        task.add_done_callback(_background.discard)
        return task

    async def _suspend(self) -> None:
        try:
            if not self.waiting:
                # What it waited for has ended since: whatever is noticed after this line is refused by the number of wake-ups seen.
                return
            seen, spent = self.seen, self.spent()
            woken = await self.transact(lambda lease: transitions.suspend(lease, seen, spent))
            if woken is None:
                self._active, self.lease = spent.active, None
                self.publish(waits_for(list(self._awaited.values())))
                self.services.host.parked(self.run.id)
            elif woken.cancel_reason is not None:
                self.on_cancel(woken.cancel_reason)
            else:
                await self.refresh()
        except LeaseLost:
            pass
        finally:
            self._suspending = False
            self._release_rousers()
            if self._roused is not None:
                self.in_background(self.rouse())
            if self.waiting and self.lease is not None:
                self.consider()

    async def _rouse(self) -> None:
        """Code of this run goes on although the run waits: get it a lease again."""
        roused = self._roused
        if roused is None:
            roused = self._roused = self.loop.create_future()
            if self.lease is None and not self._suspending:
                await self.rouse()
        await asyncio.shield(roused)

    def _release_rousers(self) -> None:
        if self._roused is not None and (self.lease is not None or self.latched is not None):
            self._roused.set_result(None)
            self._roused = None

    async def refresh(self) -> None:
        """Read what has ended since this run last looked, and let its waits return."""
        database = self.services.database
        for one in await database.read(waitpoints.ended_since(self.run.key, self.seen)):
            self.seen = max(self.seen, one.wake)
            if one.kind is WaitKind.APPROVAL:
                self.on_answer(one)
            future = self.waiting.pop(one.id, None)
            if future is None:
                # Ended before the code got as far as waiting for it.
                self._ended[one.id] = one
            elif not future.done():
                future.set_result(one)

    def take(self, run: RunRecord) -> None:
        """Hold a new lease."""
        self.run, self.epoch, self.lease = run, run.epoch, _lease(run)
        self._since = self.services.clock.now()

    async def go_on(self) -> None:
        """Let the code go on under the new lease."""
        await self.refresh()
        self._release_rousers()
        if self.waiting:
            self.consider()

    # -- control -------------------------------------------------------------------------------------------------------------------------

    def latch(self, flow: ControlFlow) -> None:
        """Remember why this run must unwind; every wait and every later call raises it."""
        if self.latched is None:
            self.latched = flow
        self.blocked = True
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(self.latched)
        self.waiting.clear()
        self._release_rousers()

    def ask_cancel(self, reason: str) -> bool:
        """Remember that the run is to be cancelled; False if it was known."""
        if self.cancel_reason is not None:
            return False
        self.cancel_reason = reason
        self.blocked = True
        return True

    @property
    def stopping(self) -> str | None:
        """Why the code is to clean up and end, if it is."""
        return "max_duration" if self.timed_out else self.cancel_reason

    def time_out(self, task: asyncio.Task[Any]) -> None:
        """Stop the code, which has worked for as long as it may."""
        self.timed_out = self.blocked = self._delivered = True
        task.cancel(self.stopping)

    def deliver_cancel(self, task: asyncio.Task[Any]) -> None:
        """Raise the cancellation where the code is now."""
        if not self._delivered:
            self._delivered = True
            task.cancel(self.cancel_reason)


_background: set[asyncio.Task[Any]] = set()


async def settled(patience: float) -> None:
    """Return once the engine's own work for the runs of this process is done, or after that many seconds."""
    if _background:
        await asyncio.wait(_background, timeout=patience)


def _lease(run: RunRecord) -> Lease:
    return Lease(run.key, run.id, run.epoch, run.worker or "")
