"""A worker: claims runs into its slots, keeps waiting ones in memory for a while, lets go when it shuts down."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.engine.branch import BranchingTasks
from agentflow.engine.context import StartCall
from agentflow.engine.executor import SETTLE, Execution, Middleware
from agentflow.engine.host import Services
from agentflow.engine.hot import Hot
from agentflow.engine.lease import LeaseTerms, WorkerLease
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.task import Task
from agentflow.errors import LeaseLost, StorageError
from agentflow.records import RunRecord, RunState
from agentflow.storage import runs, transitions, workers
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.transitions import Ended, Release, Spent
from agentflow.streams.events import RunQueued
from agentflow.streams.log import Streams

_log = logging.getLogger("agentflow.engine")
CLAIM_LIMIT = 256
_GC_DEFAULTS = (700, 2_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works. Times are microseconds, except `poll`: seconds between looks for what no wake-up told of."""

    slots: int = 100
    queues: tuple[str, ...] | None = None
    lease: int = 30 * SECOND
    renew_every: int = 10 * SECOND
    hot_window: int = 60 * SECOND
    hot_limit: int = 1_000
    max_recoveries: int = 5
    cancel_grace: int = 30 * SECOND
    drain: int = 25 * SECOND
    unknown_delay: int = 30 * SECOND
    poll: float = 5.0


class Worker:
    """Runs the tasks it knows. One per event loop; any number of processes may work on one database."""

    def __init__(
        self, database: Database, streams: Streams, clock: Clock, tasks: Mapping[str, Task[..., Any]], settings: WorkerSettings
    ) -> None:
        self.id = ""
        self.settings = settings
        self.middleware: Sequence[Middleware] = ()
        self.active: dict[str, Execution] = {}
        self.hot = Hot(clock, settings.hot_window, settings.hot_limit)
        self._database = database
        self._streams = streams
        self._clock = clock
        self._tasks = tasks
        self._services = Services(database, streams, clock, self, settings.cancel_grace)
        self._lease = WorkerLease(database, clock, LeaseTerms(settings.lease, settings.renew_every), self._lost)
        self.maintenance = Maintenance(self._services, tasks, settings.max_recoveries)
        self._on_ended: list[Callable[[RunRecord], None]] = []
        self._work = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._freed = asyncio.Event()
        self._reserved: set[str] = set()
        self._being_claimed = 0
        self._backlog = False
        self._accepting = False
        self._told: set[str] = set()
        self._strays: set[tuple[str, int]] = set()
        self._chores: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[Any]] = set()
        self._lives: set[asyncio.Task[None]] = set()
        self._unsubscribe: list[Callable[[], None]] = []
        self._branching: BranchingTasks | None = None

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues it serves: those it was told, else those of its tasks."""
        named = {task.options.queue.name for task in self._tasks.values()} | {"default"}
        return self.settings.queues or tuple(sorted(named))

    def on_ended(self, callback: Callable[[RunRecord], None]) -> None:
        """Call `callback` with every run that ends here."""
        self._on_ended.append(callback)

    # -- life ----------------------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register, and begin to take runs."""
        self._branching = BranchingTasks(asyncio.get_running_loop())
        _collect_less_often()
        await self._join()
        topics = (("queued", self._heard_queued), ("woken", self._heard_woken), ("cancel", self._heard_cancel), ("due", self._heard_due))
        for topic, heard in topics:
            self._unsubscribe.append(self._streams.on_signal(topic, heard))
        loop = asyncio.get_running_loop()
        for chore in (self._claim_always(), self.hot.watch(), self._poll_always(), self.maintenance.work()):
            self._chores.append(loop.create_task(chore))

    async def _join(self) -> None:
        self.id = await self._lease.take(self.settings.slots, self.queues, [task.record() for task in self._tasks.values()])
        self.maintenance.worker = self.id
        self.maintenance.look()
        self._streams.signal("due", str(self._lease.expires_at))
        self._accepting = True
        self._work.set()

    async def drain(self) -> None:
        """Stop: take no more, let waiting runs go, give running steps their time, hand the rest back."""
        self._accepting = False
        async with self._claiming:
            await self._database.transact(workers.drain(self.id))
        self.hot.evict_all()
        deadline = asyncio.get_running_loop().create_task(self._clock.sleep_until(self._clock.now() + self.settings.drain))
        while self.active and not deadline.done():
            self._freed.clear()
            freed = asyncio.get_running_loop().create_task(self._freed.wait())
            await asyncio.wait({deadline, freed}, return_when=asyncio.FIRST_COMPLETED)
            freed.cancel()
        deadline.cancel()
        await asyncio.gather(*(execution.hand_back() for execution in list(self.active.values())))
        await self._stop_chores()
        await self._lease.release()

    async def kill(self) -> None:
        """Stop as if the process had died: nothing is handed back, the lease runs out by itself."""
        self._accepting = False
        self._lease.close()
        for execution in [*self.active.values(), *self.hot.values()]:
            execution.lose()
        await self._stop_chores()

    async def _stop_chores(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._lives:
            # Code whose run was taken from it gets its time to stop before the loop may close.
            await asyncio.wait(self._lives, timeout=SETTLE)
        for life in self._lives:
            life.cancel()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, *self._errands, return_exceptions=True)
        if self._branching is not None:
            self._branching.close()

    def _lost(self) -> None:
        """The lease has ended: whatever is in memory belongs to others now. Join again under a new id."""
        if not self._accepting:
            return
        self._accepting = False
        for execution in [*self.active.values(), *self.hot.values()]:
            execution.lose()
        self.errand(self._join_again())

    async def _join_again(self) -> None:
        delay = SECOND
        while True:
            try:
                return await self._join()
            except StorageError as error:
                _log.error("cannot join again, trying on: %s", error)
                await self._clock.sleep_until(self._clock.now() + delay)
                delay = min(delay * 2, 30 * SECOND)

    def errand(self, work: Any) -> None:
        """Do something in the background, to the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # -- claiming ------------------------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Slots that are free."""
        return self.settings.slots - len(self.active) - len(self._reserved) - self._being_claimed if self._accepting else 0

    async def _claim_always(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                while self.free > 0 and await self._claim():
                    pass
            except StorageError as error:
                _log.error("cannot claim runs, trying on: %s", error)
            except Exception:  # noqa: BLE001 - a worker that takes no runs any more, but looks alive, is worse than one odd run
                _log.exception("claiming runs failed, trying on")

    async def _claim(self) -> bool:
        """Fill free slots; True when there may be more."""
        async with self._claiming:
            # Runs that were leased to this worker by others' ends may have filled it up meanwhile.
            return self.free > 0 and await self._claim_up_to(min(self.free, CLAIM_LIMIT))

    async def _claim_up_to(self, limit: int) -> bool:
        self._being_claimed += limit
        claimed: list[RunRecord] = []
        try:
            now = self._clock.now()
            claimed = await self._database.transact(runs.claim(self.id, self.queues, limit, now))
            self._lease.claimed_at = now
        finally:
            self._being_claimed -= limit
        for run in claimed:
            self._begin(run)
        self._backlog = len(claimed) == limit
        return self._backlog

    def _begin(self, run: RunRecord) -> None:
        if self._works_on(run.id, run.epoch):
            return
        task = self._tasks.get(run.task)
        if task is None:
            self.errand(self._give_back(run))
            return
        known = self.hot.take(run.id)
        if known is not None and known.session.epoch == run.epoch - 1 and not known.gone:
            self.active[run.id] = known
            self.errand(known.resume(run))
            return
        for stale in (known, self.active.get(run.id)):
            if stale is not None:
                stale.lose()
        execution = self.active[run.id] = Execution(self._services, run, task, self.middleware)
        self._lives.add(execution.life)
        execution.life.add_done_callback(self._lives.discard)

    async def _give_back(self, run: RunRecord) -> None:
        now = self._clock.now()
        note = f"no worker for {run.task}: {self.id} took it and does not know it"
        how = Release(attempt=run.attempt, ready_at=now + self.settings.unknown_delay, note=note)
        lease = Lease(run.key, run.id, run.epoch, self.id)
        _log.warning("%s: %s", run.id, note)
        with suppress(LeaseLost):
            await self._database.transact(transitions.release(lease, how, Spent(active=run.active), now))
        self.hint(how.ready_at)

    # -- what executions tell ------------------------------------------------------------------------------------------------------------

    def parked(self, run_id: str) -> None:
        execution = self.active.pop(run_id, None)
        if execution is None:
            return
        execution.rest()
        if self._accepting:
            self.hot.keep(execution)
        else:
            execution.evict()
        self._free_slot()

    def left(self, execution: Execution) -> None:
        self.hot.drop(execution)
        if self.active.get(execution.run_id) is execution:
            del self.active[execution.run_id]
        self._free_slot()

    def _free_slot(self) -> None:
        self._freed.set()
        if self._backlog:
            self._work.set()

    def offer(self, run_id: str, call: StartCall | None = None) -> Lessee | None:
        if self.free <= 0 or not (call is None or self._serves(call)):
            return None
        self._reserved.add(run_id)
        return Lessee(self.id, run_id)

    def _serves(self, call: StartCall) -> bool:
        return call.task in self._tasks and (self.settings.queues is None or call.queue in self.settings.queues)

    def retract(self, run_id: str) -> None:
        self._reserved.discard(run_id)

    def adopt(self, run: RunRecord) -> None:
        self._reserved.discard(run.id)
        self._begin(run)

    def keeps(self, run_id: str) -> Lessee | None:
        return Lessee(self.id, run_id) if self._accepting and run_id in self.hot else None

    def queued(self, run: RunRecord) -> None:
        self._streams.publish(run.id, 0, RunQueued(run.task, parent=run.parent_id))
        self.announce(run)

    def announce(self, run: RunRecord) -> None:
        if run.state is RunState.RUNNING:
            self._streams.signal("woken", run.id)
        elif not run.state.terminal:
            if not self._told:
                asyncio.get_running_loop().call_soon(self._tell)
            self._told.add(run.queue)

    def _tell(self) -> None:
        for queue in self._told:
            self._streams.signal("queued", queue)
        self._told.clear()

    def hint(self, when: int | None) -> None:
        self.maintenance.hint(when)

    def ended(self, ended: Ended, epoch: int) -> None:
        self.maintenance.told(ended, epoch)
        for run in ended.leased:
            self._begin(run)
        for callback in self._on_ended:
            callback(ended.run)

    # -- what others tell ----------------------------------------------------------------------------------------------------------------

    def _heard_queued(self, queue: str) -> None:
        if queue not in self.queues:
            return
        if self.free > 0:
            self._work.set()
        else:
            self._backlog = True

    def _heard_woken(self, run_id: str) -> None:
        execution = self.active.get(run_id)
        if execution is not None and execution.session.waiting:
            self.errand(execution.session.refresh())

    def _heard_cancel(self, run_id: str) -> None:
        self.errand(self._look_for_cancels())

    def _heard_due(self, when: str) -> None:
        self.maintenance.hint(int(when))

    async def _look_for_cancels(self) -> None:
        for run_id, reason in await self._database.read(workers.cancelled_here(self.id)):
            execution = self.active.get(run_id)
            if execution is not None:
                execution.cancel(reason)

    async def _look_for_strays(self) -> None:
        """Recover what is leased here and not worked on: its word was lost, or the engine failed. Seen twice, it is not on its way."""
        held = await self._database.read(workers.leased_to(self.id, 2 * self.settings.slots))
        strays = {(run_id, epoch) for run_id, epoch in held if not self._works_on(run_id, epoch)}
        known, self._strays = self._strays, strays
        for run_id, _ in strays & known:
            # Its code may have run here before, under this very epoch: only a new one is safe.
            _log.warning("%s: is leased to this worker, which does not work on it, and is recovered", run_id)
            await self.maintenance.recover(run_id, self.id, self._clock.now())

    def _works_on(self, run_id: str, epoch: int) -> bool:
        execution = self.active.get(run_id)
        return execution is not None and execution.session.epoch == epoch

    async def _poll_always(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll)
            self._work.set()
            self.maintenance.look()
            try:
                await self._look_for_cancels()
                await self._look_for_strays()
                await asyncio.gather(*(one.session.refresh() for one in self.active.values() if one.session.waiting))
            except StorageError as error:
                _log.error("cannot look for news, trying on: %s", error)
            except Exception:  # noqa: BLE001 - one odd run must not keep the others from being looked after
                _log.exception("looking for news failed, trying on")


def _collect_less_often() -> None:
    """Runs in memory are many objects that live for a while: with the default, the collector goes through all of them again and again.

    Thresholds that somebody chose are left alone.
    """
    if gc.get_threshold()[0] in _GC_DEFAULTS:
        gc.set_threshold(20_000, 20, 50)
