"""What is due: timers, delays, ends of life, forced cancels, dead workers, hooks. Every worker does it, in bounded rounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from agentflow.clock import SECOND
from agentflow.engine.executor import call_hooks
from agentflow.engine.guarding import Guarding
from agentflow.engine.host import Services
from agentflow.engine.stopping import ask_to_stop
from agentflow.engine.task import Task
from agentflow.engine.telling import tell_answer, tell_end, tell_people, tell_rung
from agentflow.engine.upkeep import Upkeep
from agentflow.errors import StorageError, WaitpointError
from agentflow.records import RunRecord, RunState, WaitpointRecord
from agentflow.serde import dumps
from agentflow.storage import audit, ladder, outbox, rows, runs, transitions, waitpoints, workers
from agentflow.storage.ladder import Climbed
from agentflow.storage.statements import SQL
from agentflow.storage.transitions import Ended
from agentflow.storage.waitpoints import Ending, Woken

_log = logging.getLogger("agentflow.engine")
ROUND = 256
HOOK_TIME = 60 * SECOND
RETRY = SECOND


class Maintenance:
    """Does what is due, when it is due; sleeps in between."""

    def __init__(self, services: Services, tasks: Mapping[str, Task[..., Any]], max_recoveries: int) -> None:
        self._services = services
        self._database = services.database
        self._clock = services.clock
        self._tasks = tasks
        self._max_recoveries = max_recoveries
        self.worker = ""
        self._news = asyncio.Event()
        self._calling: dict[int, asyncio.Task[None]] = {}
        self._next: int | None = 0
        self._failed = False
        self.upkeep = Upkeep(services.database, services.streams, services.clock)
        self.guarding = Guarding(services.database, services.streams, services.clock)
        self._deaths: list[Callable[[int], None]] = []

    def on_death(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the time at which the lease of a worker ended that is taken off the list here."""
        self._deaths.append(callback)

    def hint(self, when: int | None) -> None:
        """Something is due at `when`, in microseconds since 1970."""
        if when is not None and (self._next is None or when < self._next):
            self._next = when
            self._news.set()

    def due(self, when: int | None) -> None:
        """Something is due at `when`: tell whoever does it."""
        self._services.host.hint(when)

    def look(self) -> None:
        """Look now: another process may have made something due."""
        self._news.set()

    async def work(self) -> None:
        """Do rounds for ever. Hooks that are cut short are called again, here or elsewhere."""
        loop = asyncio.get_running_loop()
        beside = [loop.create_task(one.work(lambda: self.worker)) for one in (self.upkeep, self.guarding)]
        try:
            await self._work()
        finally:
            for task in (*beside, *self._calling.values()):
                task.cancel()
            await asyncio.gather(*beside, *self._calling.values(), return_exceptions=True)

    async def _work(self) -> None:
        while True:
            self._news.clear()
            # Whatever is hinted at from here on, it may come too late for what is read in this round.
            self._next = None
            try:
                await self.round()
                due = await self._next_due()
                # What failed is due still: it is tried again, but not without a pause.
                self._next = due if due is None or not self._failed else max(due, self._clock.now() + RETRY)
            except StorageError as error:
                _log.error("maintenance failed, trying on: %s", error)
                self._next = self._clock.now() + RETRY
            await self._rest()

    async def _rest(self) -> None:
        news = asyncio.ensure_future(self._news.wait())
        tasks: set[asyncio.Future[Any]] = {news}
        if self._next is not None:
            tasks.add(asyncio.ensure_future(self._clock.sleep_until(self._next)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _next_due(self) -> int | None:
        found = await self._database.fetch(SQL.runs.next_due(worker=self.worker))
        return found[0]["at"]

    def announce(self, run: RunRecord) -> None:
        """Tell all workers that a run is queued."""
        self._services.host.announce(run)

    async def round(self) -> None:
        """Do what is due now, at most `ROUND` of each kind; what is left over is due again at once."""
        now = self._clock.now()
        self._failed = False
        for part in (
            self._promote,
            self._end_waits,
            self._climb,
            self._expire,
            self._force_cancels,
            self._cancel_children,
            self._recover,
            self._hooks,
            self._seal,
        ):
            await self._guarded(part(now))
        await self._database.execute(SQL.idempotency.sweep(now=now, limit=ROUND))

    async def _guarded(self, work: Awaitable[Any]) -> None:
        """Do a part of a round: one odd row must not keep the others waiting for ever."""
        try:
            await work
        except StorageError:
            raise
        except Exception:  # noqa: BLE001 - see above
            _log.exception("a part of maintenance failed, trying on")
            self._failed = True

    async def _promote(self, now: int) -> None:
        for row in await self._database.execute(SQL.runs.promote(now=now, limit=ROUND)):
            self._services.streams.signal("queued", row["queue"])

    async def _end_waits(self, now: int) -> None:
        due = await self._database.read(waitpoints.due(now, ROUND))
        await asyncio.gather(*(self._guarded(self._end_wait(waitpoint_id, ending, now)) for waitpoint_id, ending in due))

    async def _end_wait(self, waitpoint_id: str, ending: Ending, now: int) -> None:
        with suppress(WaitpointError):
            self.woken(await self._database.transact(waitpoints.end(waitpoint_id, ending, now)))

    async def _climb(self, now: int) -> None:
        # One after the other: the rungs of a question are in order.
        for waitpoint_id, seq in await self._database.read(ladder.due(now, ROUND)):
            await self._guarded(self._climb_one(waitpoint_id, seq, now))

    async def _climb_one(self, waitpoint_id: str, seq: int, now: int) -> None:
        climbed = await self._database.transact(ladder.climb(waitpoint_id, seq, now))
        if climbed is not None:
            tell_rung(self._services.streams, climbed)

    async def _expire(self, now: int) -> None:
        for row in await self._database.fetch(SQL.runs.expired(now=now, limit=ROUND)):
            self._ended(await self._database.transact(transitions.expire(row["id"], now)))

    async def _force_cancels(self, now: int) -> None:
        for row in await self._database.fetch(SQL.runs.overdue_cancels(now=now, limit=ROUND)):
            self._ended(await self._database.transact(transitions.force_cancel(row["id"], now)))

    async def _cancel_children(self, now: int) -> None:
        for row in await self._database.fetch(SQL.runs.parents_cancelling(limit=ROUND)):
            reason = row["cancel_reason"] or f"its parent {row['id']} ended as {row['state']}"
            for child in await self._database.fetch(SQL.runs.children_to_cancel(run=row["key"])):
                await self.cancel(child["id"], reason)
            await self._database.execute(SQL.runs.children_told(run=row["key"]))

    async def cancel(self, run_id: str, reason: str) -> RunRecord:
        """Ask a run to stop, and tell whoever has to know."""
        asked = await ask_to_stop(self._services, run_id, reason)
        if asked.ended is not None:
            return asked.ended.run
        self.look()
        return asked.run

    async def _recover(self, now: int) -> None:
        left = ROUND
        for worker_id, died_at in await self._database.read(workers.dead(now, ROUND)):
            if worker_id == self.worker:
                continue  # It slept, with all of its machine perhaps, and renews in a moment.
            held = await self._database.read(workers.held_by(worker_id, left))
            for run_id in held:
                await self._guarded(self.recover(run_id, worker_id, died_at))
            left -= len(held)
            if await self._database.transact(workers.remove(worker_id)):
                for callback in self._deaths:
                    callback(died_at)
            if left <= 0:
                return

    async def recover_orphans(self) -> None:
        """Take the runs whose worker was taken off the list while they were being leased to it."""
        for run_id, worker_id in await self._database.read(workers.orphans(ROUND)):
            await self.recover(run_id, worker_id, self._clock.now())

    async def recover(self, run_id: str, worker_id: str, died_at: int, epoch: int | None = None) -> None:
        """Take a run from a worker that does not work on it any more; after too many such ends in a row it is given up."""
        now = self._clock.now()
        found = await self._database.transact(transitions.recover(run_id, worker_id, self._max_recoveries, died_at, now, epoch))
        if isinstance(found, Ended):
            self._ended(found)
        elif found is not None:
            _log.warning("%s: recovered from %s, which does not work on it any more", run_id, worker_id)
            self._services.host.announce(found)

    async def _hooks(self, now: int) -> None:
        if not any(task.hooks for task in self._tasks.values()):
            return
        known = dumps([name for name, task in self._tasks.items() if task.hooks])
        for row in await self._database.execute(SQL.runs.hooks_due(now=now, again=now + HOOK_TIME, tasks=known, limit=ROUND)):
            if row["key"] not in self._calling:
                # Beside the rounds: a slow hook holds up nobody else's timer.
                self._calling[row["key"]] = asyncio.get_running_loop().create_task(self._call_hooks(rows.run(row)))

    async def _call_hooks(self, run: RunRecord) -> None:
        try:
            run = await self._database.read(runs.get(run.id))
            for moment in (_MOMENTS.get(run.state), "complete"):
                if moment is not None:
                    await call_hooks(self._tasks[run.task], moment, run)
            await self._database.execute(SQL.runs.hooks_called(run=run.key))
        except StorageError as error:
            _log.error("%s: its hooks are called again in a minute: %s", run.id, error)
        finally:
            self._calling.pop(run.key, None)

    async def _seal(self, now: int) -> None:
        # Also what other workers wrote: what tells the audit of a run's own doings has nobody who waits for it.
        if await self._database.read(audit.is_open()):
            await self._database.transact(audit.seal())

    def _ended(self, ended: Ended | None) -> None:
        """A run was ended by somebody who did not hold it: the next epoch says so, for the last holder may still be talking."""
        if ended is not None:
            self._services.host.ended(ended, ended.run.epoch + 1)

    def told(self, ended: Ended, epoch: int) -> None:
        """Tell the readers of a run that it has ended, and the runs that this woke."""
        tell_end(self._services.streams, ended, epoch)
        for run in ended.woken:
            self._services.host.announce(run)
        if ended.run.state is not RunState.COMPLETED and self._services.channels:
            # It may have taken questions with it of which people were told.
            self._services.streams.signal(outbox.TOLD, "")
        task = self._tasks.get(ended.run.task)
        if ended.run.state is not RunState.COMPLETED or (task is not None and task.hooks):
            self.look()

    def reminded(self, climbed: Climbed) -> None:
        """Tell that people were reminded of a waitpoint."""
        tell_rung(self._services.streams, climbed)

    def changed(self, one: WaitpointRecord) -> None:
        """Tell of a waitpoint that is for others now."""
        tell_people(self._services.streams, one)

    def woken(self, woken: Woken) -> None:
        """Tell of a waitpoint that ended, and of the runs that this woke."""
        tell_answer(self._services.streams, woken)
        for run in woken.runs:
            self._services.host.announce(run)


_MOMENTS = {
    RunState.COMPLETED: "success",
    RunState.FAILED: "failure",
    RunState.EXPIRED: "failure",
    RunState.CANCELLED: "cancel",
}
