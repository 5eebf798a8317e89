"""A worker: claims runs into its slots, keeps waiting ones in memory for a while, lets go when it shuts down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentflow.clock import SECOND, Clock
from agentflow.database.port import Database
from agentflow.engine.alarm import Alarm
from agentflow.engine.announcer import Announcer
from agentflow.engine.arrivals import Arrivals
from agentflow.engine.branch import BranchingTasks
from agentflow.engine.claims import Claims, serves
from agentflow.engine.context import StartCall
from agentflow.engine.executor import SETTLE, Execution, Middleware
from agentflow.engine.host import Services
from agentflow.engine.hot import Hot, collect_less_often
from agentflow.engine.isolated import Isolated, Spawning
from agentflow.engine.lease import LeaseTerms, WorkerLease
from agentflow.engine.leaving import Leaving, emptied
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.queue import declared
from agentflow.engine.task import Task
from agentflow.engine.worker_settings import WorkerSettings
from agentflow.errors import StorageError
from agentflow.policy import Policy
from agentflow.records import RunRecord
from agentflow.storage import queues, workers
from agentflow.storage.queues import Claimed
from agentflow.storage.runs import Lessee
from agentflow.storage.transitions import Ended
from agentflow.streams.log import Streams

_log = logging.getLogger("agentflow.engine")
CLAIM_LIMIT = 256


class Worker:
    """Runs the tasks it knows. One per event loop; any number of processes may work on one database."""

    id = ""
    middleware: Sequence[Middleware] = ()
    policy: Policy | None = None

    def __init__(
        self, database: Database, streams: Streams, clock: Clock, tasks: Mapping[str, Task[..., Any]], settings: WorkerSettings
    ) -> None:
        self.settings = settings
        self.spawning: Spawning | None = None
        self.active: dict[str, Execution | Isolated] = {}
        self.hot = Hot(clock, settings.hot_window, settings.hot_limit)
        self._database = database
        self._streams = streams
        self._clock = clock
        self._tasks = tasks
        known = (settings.public_url, settings.channels, settings.environment, settings.max_open_questions)
        self._services = Services(database, streams, clock, self, settings.cancel_grace, *known)
        self._lease = WorkerLease(database, clock, LeaseTerms(settings.lease, settings.renew_every), self._lost)
        self.maintenance = Maintenance(self._services, tasks, settings.max_recoveries)
        self._claims = Claims(database, clock, tasks)
        self._on_ended: list[Callable[[RunRecord], None]] = []
        self._work = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._freed = asyncio.Event()
        self._arrivals = Arrivals(database, self._claiming)
        self._being_claimed = 0
        self._backlog = self._accepting = False
        self._announcer = Announcer(streams)
        self._alarm = Alarm(clock, self._work.set)
        self._chores: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[Any]] = set()
        self._lives: set[asyncio.Task[None]] = set()
        self._unsubscribe: list[Callable[[], None]] = []
        self._branching: BranchingTasks | None = None
        self.leaving = Leaving(self._drain)

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
        collect_less_often()
        await self._join()
        topics = (("queued", self._heard_queued), ("woken", self._heard_woken), ("cancel", self._heard_cancel), ("due", self._heard_due))
        for topic, heard in (*topics, ("queues", self._heard_queues), ("drain", self._heard_drain)):
            self._unsubscribe.append(self._streams.on_signal(topic, heard))
        loop = asyncio.get_running_loop()
        for chore in (self._claim_always(), self.hot.watch(), self._poll_always(), self.maintenance.work()):
            self._chores.append(loop.create_task(chore))

    async def _join(self) -> None:
        tasks = [task for _, task in self._tasks.items()]
        await self._database.transact(queues.declare(declared(task.options.queue for task in tasks)))
        self.id = await self._lease.take(self.settings.slots, self.queues, [task.record() for task in tasks], serves(self._tasks))
        try:
            await self._database.transact(queues.serve(self.queues, serves(self._tasks)))
            await self._claims.look()
        except BaseException:
            # Nobody works under this lease: it must not be renewed.
            self._lease.close()
            raise
        self._streams.signal("queues", "")
        self.maintenance.worker = self.id
        self.maintenance.look()
        self._streams.signal("due", str(self._lease.expires_at))
        self._accepting = True
        self._work.set()

    async def drain(self) -> None:
        """Stop: take no more, let waiting runs go, give running steps their time, hand the rest back."""
        await self.leaving.ask()

    async def _drain(self) -> None:
        self._accepting = False
        async with self._claiming:
            await self._database.transact(workers.drain(self.id))
        self.hot.evict_all()
        await emptied(lambda: bool(self.active), self._freed, self._clock.sleep_until(self._clock.now() + self.settings.drain))
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
        self._alarm.close()
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

    def errand(self, work: Any) -> asyncio.Task[Any]:
        """Do something in the background, to the end."""
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    # -- claiming ------------------------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Slots that are free."""
        return self.settings.slots - len(self.active) - len(self._arrivals.slots) - self._being_claimed if self._accepting else 0

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
        self._backlog = False
        claimed = Claimed()
        try:
            now = self._clock.now()
            claimed = await self._claims.take(self.id, self.queues, limit)
            self._lease.claimed_at = now
        finally:
            self._being_claimed -= limit
        for run in claimed.runs:
            self.adopt(run)
        self._backlog = self._backlog or claimed.more or claimed.held_back
        self._alarm.set(claimed.retry_at)
        return claimed.more

    def adopt(self, run: RunRecord) -> None:
        current = self.active.get(run.id)
        # Word of a lease may come when the worker has lost it, and another epoch of the run has even ended here.
        if run.worker != self.id or (current is not None and current.epoch >= run.epoch):
            return
        task = self._tasks.get(run.task)
        if task is None:
            # Its code went while it was being claimed: it is found as a stray, and queued again.
            return
        known = self.hot.take(run.id)
        if known is not None and known.session.epoch == run.epoch - 1 and not known.gone:
            self.active[run.id] = known
            known.session.take(run)
            self.errand(known.resume())
            return
        for stale in (known, current):
            if stale is not None:
                stale.lose()
        execution = self.active[run.id] = self._take_up(run, task)
        self._lives.add(execution.life)
        execution.life.add_done_callback(self._lives.discard)

    def _take_up(self, run: RunRecord, task: Task[..., Any]) -> Execution | Isolated:
        if task.options.isolation is None or self.spawning is None:
            return Execution(self._services, run, task, self.middleware)
        return Isolated(self._services, run, task, self.spawning, self._left_apart)

    # -- what executions tell ------------------------------------------------------------------------------------------------------------

    def parked(self, run_id: str) -> None:
        execution = self.active.get(run_id)
        if not isinstance(execution, Execution):
            return
        del self.active[run_id]
        execution.rest()
        if self._accepting:
            self.hot.keep(execution)
        else:
            execution.evict()
        self._free_slot(execution.session.run)

    def left(self, execution: Execution) -> None:
        self.hot.drop(execution)
        if self.active.get(execution.run_id) is execution:
            del self.active[execution.run_id]
        self._free_slot(execution.session.run)

    def _free_slot(self, run: RunRecord) -> None:
        self._freed.set()
        if self._backlog:
            self._work.set()
        if self._claims.limits(run.queue):
            # The next one's code may be with another worker.
            self._announcer.look_at(run.queue)

    def offer(self, run_id: str, call: StartCall | None = None) -> Lessee | None:
        if self.free <= 0 or not (call is None or self._serves(call)):
            return None
        self._arrivals.slots.add(run_id)
        self._arrivals.expected.add(run_id)
        kept = self.hot.get(run_id)
        return Lessee(self.id, run_id, None if kept is None else kept.session.run.version)

    def _serves(self, call: StartCall) -> bool:
        task = self._tasks.get(call.task)
        if task is None or self._claims.limits(call.queue) or not (self.settings.queues is None or call.queue in self.settings.queues):
            return False
        return call.version is None or f"{call.task}@{call.version}" in task.serves

    def retract(self, lessee: Lessee) -> None:
        self._arrivals.slots.remove(lessee.run_id)
        self._arrivals.expected.remove(lessee.run_id)

    def keeps(self, run_id: str) -> Lessee | None:
        kept = self.hot.get(run_id) if self._accepting else None
        if kept is None:
            return None
        self._arrivals.expected.add(run_id)
        return Lessee(self.id, run_id, kept.session.run.version)

    def came(self, lessee: Lessee) -> None:
        self._arrivals.expected.remove(lessee.run_id)

    def queued(self, run: RunRecord) -> None:
        self._announcer.queued(run)

    def announce(self, run: RunRecord) -> None:
        self._announcer.announce(run)

    def hint(self, when: int | None) -> None:
        self.maintenance.hint(when)
        if when is not None and self.leaving.asked.is_set():
            # The process may go on without its worker: what it makes due is done by others.
            self._streams.signal("due", str(when))

    def ended(self, ended: Ended, epoch: int) -> None:
        self.maintenance.told(ended, epoch)
        for run in ended.leased:
            self.adopt(run)
        if epoch > ended.run.epoch and self._claims.limits(ended.run.queue):
            # It was ended from outside, which made room.
            self._announcer.look_at(ended.run.queue)
        self._tell_end(ended.run)

    def _left_apart(self, run: RunRecord) -> None:
        """A run of this worker left its process, which told its readers but not this one."""
        self.maintenance.look()
        if run.state.terminal:
            self._tell_end(run)

    def _tell_end(self, run: RunRecord) -> None:
        for callback in self._on_ended:
            callback(run)

    # -- what others tell ----------------------------------------------------------------------------------------------------------------

    def _heard_queued(self, queue: str) -> None:
        if queue not in self.queues:
            return
        # Also while a claim is under way: it may have looked too early.
        self._backlog = True
        self._work.set()

    def _heard_queues(self, queue: str) -> None:
        self.errand(self._look_at_queues())

    async def _look_at_queues(self) -> None:
        await self._claims.look_again()
        self._work.set()

    def _heard_woken(self, run_id: str) -> None:
        execution = self.active.get(run_id)
        if execution is not None:
            self.errand(execution.look())

    def _heard_cancel(self, run_id: str) -> None:
        self.errand(self._look_for_cancels())

    def _heard_drain(self, worker_id: str) -> None:
        if worker_id == self.id:
            self.leaving.ask()

    def _heard_due(self, when: str) -> None:
        self.maintenance.hint(int(when))

    async def _look_for_cancels(self) -> None:
        for run_id, reason in await self._database.read(workers.cancelled_here(self.id)):
            execution = self.active.get(run_id)
            if execution is not None:
                execution.cancel(reason)

    async def _look_for_strays(self) -> None:
        worker = self.id
        for run_id, epoch in await self._arrivals.strays(worker, 2 * self.settings.slots, self.active):
            # Its code may have run here before, under this very epoch: only a new one is safe.
            await self.maintenance.recover(run_id, worker, self._clock.now(), epoch)

    async def _poll_always(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll)
            self.maintenance.look()
            try:
                await self._look_at_queues()
                if await self._claims.sift(self.queues):
                    self._work.set()
                if self._accepting and await self._database.read(workers.drains(self.id)):
                    self.leaving.ask()
                await self._look_for_cancels()
                await self._look_for_strays()
                await self.maintenance.recover_orphans()
                await asyncio.gather(*(one.look() for one in self.active.values()))
            except StorageError as error:
                _log.error("cannot look for news, trying on: %s", error)
            except Exception:  # noqa: BLE001 - one odd run must not keep the others from being looked after
                _log.exception("looking for news failed, trying on")
