"""One run in memory, from its lease here until it leaves this process."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any

from agentflow.control import LeaseLost, Suspend
from agentflow.engine.branch import branch
from agentflow.engine.calls import in_thread
from agentflow.engine.context import TaskContext, current
from agentflow.engine.host import Services
from agentflow.engine.outcome import OUT_OF_TIME, Ending, decide
from agentflow.engine.replay import Replay
from agentflow.engine.retelling import Retelling
from agentflow.engine.run_context import RunContext
from agentflow.engine.session import Session
from agentflow.engine.settling import Settling
from agentflow.engine.task import Task
from agentflow.engine.trial import TrialContext, record_for
from agentflow.records import JournalEntry, RunRecord, WaitpointRecord, WaitState
from agentflow.storage import blobs, journal, waitpoints
from agentflow.streams.events import RunAttempt, RunStarted

_log = logging.getLogger("agentflow.engine")
Middleware = Callable[[TaskContext, Callable[[], Awaitable[Any]]], Awaitable[Any]]

TURNS = 100
"""Turns of the event loop that code gets to stop once its lease is gone, before nobody waits for it any more."""

HANDED_BACK = "handed back by a worker that shut down"
SETTLE = 5.0
"""Seconds that cancelled branches get to stop before their run ends without them."""


class Execution:
    """A run in memory: it works under a lease, waits without one, and ends in an outcome that is written once."""

    def __init__(self, services: Services, run: RunRecord, task: Task[..., Any], middleware: Sequence[Middleware]) -> None:
        self.session = Session(services, run, task.code)
        self.session.budgets = task.options.budgets
        self.session.on_cancel = self.cancel
        self.task = task
        self.parked_at = 0
        self.gone = False
        self._settling = Settling(services, self.session, task)
        self._retelling = Retelling(self.session)
        self._limit: asyncio.Task[Any] | None = None
        self._grace: asyncio.Task[Any] | None = None
        self._services = services
        self._middleware = middleware
        self._context: RunContext | None = None
        self._body: asyncio.Task[Any] | None = None
        self.life = asyncio.get_running_loop().create_task(self._run(), context=Context())

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.session.run.id

    @property
    def epoch(self) -> int:
        """The lease that it has, or had last."""
        return self.session.epoch

    @property
    def busy(self) -> bool:
        """Whether code of this run works on beside its waits, outside of steps: then it is not to leave memory."""
        return self._context is not None and self._context.root.busy

    # -- what the worker asks ------------------------------------------------------------------------------------------------------------

    async def resume(self) -> None:
        """Go on in memory under the lease that its session has just taken."""
        session, run = self.session, self.session.run
        with suppress(LeaseLost):
            session.publish(RunAttempt(run.epoch, "resume", run.attempt))
            self._limit_duration()
            await session.go_on()
            if self._context is not None:
                self._context.tell_changes()
            if run.cancel_reason is not None:
                self.cancel(run.cancel_reason)

    async def look(self) -> None:
        """Something woke the run while it works: see what has ended."""
        if self.session.waiting:
            await self.session.refresh()

    def cancel(self, reason: str) -> None:
        """Raise the cancellation where the code is; what it cleans up may take steps until the grace time ends."""
        if not self.session.ask_cancel(reason):
            return
        self._grace = self.session.in_background(self._end_grace())
        # A replay goes through what is recorded first: then the first call that is not raises the cancellation.
        if self._body is not None and self._context is not None and not self._context.replaying:
            self.session.deliver_cancel(self._body)

    async def _end_grace(self) -> None:
        await self._services.clock.sleep_until(self._services.clock.now() + self._services.cancel_grace)
        if not self.gone:
            self.lose()

    def evict(self) -> None:
        """Leave memory while the run waits; it is replayed when it is woken."""
        if self._body is not None and self._body.done():
            # The code has ended beside its waits: a replay finds that end again.
            self.session.in_background(self.session.rouse())
        self._unwind()
        self.session.latch(Suspend())

    def _unwind(self) -> None:
        if self._context is not None:
            self._context.root.tasks.unwinding = True

    def lose(self) -> None:
        """Stop at once and write nothing more: the lease is gone."""
        self._unwind()
        self.session.latch(LeaseLost(self.run_id))
        self.session.closed = True
        (self._body or self.life).cancel()
        self._wait_no_longer(TURNS)
        self._leave()

    def _wait_no_longer(self, turns: int) -> None:
        if self._body is not None and self._body.done():
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._wait_no_longer, turns - 1)
        else:
            self.session.give_up()

    async def hand_back(self) -> None:
        """Give the run back to its queue while its code still works, and drop the code: the worker shuts down."""
        with suppress(LeaseLost):
            await self._settling.hand_back(HANDED_BACK)
        self.lose()

    # -- its life ------------------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            ending = await self._perform()
            await self._settling.settle(decide(ending, self.task.options.retry, self.session.run.attempt, self._services.clock.now()))
        except (LeaseLost, asyncio.CancelledError):
            pass
        except Exception:  # noqa: BLE001 - a defect here must not take the worker down with it
            _log.exception("%s: the engine failed; the run is recovered, and given up after too many such ends", self.run_id)
        finally:
            self._leave()

    def rest(self) -> None:
        """The run works no longer, so nothing limits it."""
        if self._limit is not None and self._limit is not asyncio.current_task():
            self._limit.cancel()
        self._limit = None

    def _leave(self) -> None:
        self.rest()
        self._retelling.stop()
        if self._grace is not None and self._grace is not asyncio.current_task():
            self._grace.cancel()
        if not self.gone:
            self.gone = True
            self._services.host.left(self)

    async def _perform(self) -> Ending:
        session = self.session
        entries, waits = await self._read()
        context = self._context = await self._load(entries, waits)
        await self._announce(entries, list(waits.values()))
        if session.run.epoch == 1 and not isinstance(context, TrialContext):
            await self._call_hooks("start")
        if session.run.cancel_reason is not None:
            # The code comes back to where it was first: there it cleans up.
            self.cancel(session.run.cancel_reason)
        self._body = asyncio.get_running_loop().create_task(self._code(context), context=Context())
        self._limit_duration()
        value, error = await self._end_of(self._body)
        await self._stop_branches(context)
        await session.regain()
        await self._retelling.done()
        return Ending(value, error, session.latched, session.cancel_reason, session.timed_out)

    async def _read(self) -> tuple[Sequence[JournalEntry], dict[str, WaitpointRecord]]:
        run, database = self.session.run, self._services.database
        if run.epoch == 1:
            return (), {}
        return await database.read(journal.load(run.key)), await self._waits(run)

    async def _load(self, entries: Sequence[JournalEntry], waits: dict[str, WaitpointRecord]) -> RunContext:
        session = self.session
        run = session.run
        if run.input.startswith("@"):
            # Leased by a wake-up and not by a claim, after it had left memory: the row names a blob.
            session.run = replace(run, input=await self._services.database.read(blobs.full(run.input)))
        pending = {key for key, one in waits.items() if one.state is WaitState.PENDING}
        replay = Replay(entries, run.attempt, waits.keys() - pending, pending)
        session.seq = replay.last
        record = None if run.started_by is None else await self._services.database.read(record_for(run))
        done = self._retelling.done
        context = RunContext(session, replay, waits, done) if record is None else TrialContext(session, replay, waits, done, record)
        session.seen = max([run.wakes, *(one.wake for one in context.known.values())])
        context.max_duration = self.task.options.max_duration
        return context

    async def _waits(self, run: RunRecord) -> dict[str, WaitpointRecord]:
        found = await self._services.database.read(waitpoints.of_run(run.key))
        return {one.key: one for one in sorted(found, key=lambda one: one.attempt) if one.key is not None}

    async def _code(self, context: RunContext) -> Any:
        current.set(context)
        branch.set(context.root)
        if context.thread is not None:
            await context.thread.turn()
        if not self._middleware:
            return await self.task.perform(self.session.run.input)
        call: Callable[[], Awaitable[Any]] = functools.partial(self.task.perform, self.session.run.input)
        for layer in reversed(self._middleware):
            call = functools.partial(layer, context, call)
        return await call()

    async def _end_of(self, body: asyncio.Task[Any]) -> tuple[Any, BaseException | None]:
        """What the code returned or raised; nothing of code that will not stop."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.session.give_up = functools.partial(_set, ended)
        body.add_done_callback(functools.partial(_set, ended))
        await ended
        if not body.done():
            abandon(body, self.run_id)
            return None, None
        if body.cancelled():
            return None, asyncio.CancelledError()
        error = body.exception()
        return (None, error) if error is not None else (body.result(), None)

    async def _stop_branches(self, context: RunContext) -> None:
        """No branch outlives the code that made it: its side effects would be nobody's."""
        alive = [task for task in context.root.tasks if not task.done()]
        for task in alive:
            task.cancel()
        if alive:
            _, stubborn = await asyncio.wait(alive, timeout=SETTLE)
            for task in stubborn:
                abandon(task, self.run_id)

    def _limit_duration(self) -> None:
        longest = self.task.options.max_duration
        self.rest()
        if longest is not None and self.session.lease is not None:
            left = longest - self.session.spent().active
            self._limit = self.session.in_background(self._end_at(self._services.clock.now() + left, self.session.epoch))

    async def _end_at(self, when: int, epoch: int) -> None:
        await self._services.clock.sleep_until(when)
        session, body = self.session, self._body
        if session.epoch != epoch or session.lease is None or body is None or body.done():
            return
        session.time_out(body)
        await self._services.clock.sleep_until(when + self._services.cancel_grace)
        if not self.gone:
            with suppress(LeaseLost):
                await self._settling.settle(OUT_OF_TIME)
            self.lose()

    async def _announce(self, entries: Sequence[JournalEntry], waits: Sequence[WaitpointRecord]) -> None:
        run, session = self.session.run, self.session
        if run.epoch == 1:
            session.publish(RunStarted(run.task, run.attempt, run.epoch, parent=run.parent_id, thread=run.thread))
            return
        if run.recoveries:
            void, untold = await self._retelling.recovered(entries, waits)
            for event in (RunAttempt(run.epoch, "worker_lost", run.attempt, void), *untold):
                session.publish(event)
            return
        session.publish(RunAttempt(run.epoch, "retry" if run.attempt > 1 and run.error else "resume", run.attempt))
        self._retelling.taken(entries, waits)

    async def _call_hooks(self, moment: str) -> None:
        await call_hooks(self.task, moment, self.session.run)


def _set(ended: asyncio.Future[None], *_: Any) -> None:
    if not ended.done():
        ended.set_result(None)


def abandon(task: asyncio.Task[Any], run_id: str) -> None:
    """Wait no longer for code that goes on whatever is raised in it; the process may end without it."""
    import ctypes

    _log.error("%s: its code swallows every exception and cannot be stopped; it stays in memory", run_id)
    # A loop that closes waits for every task it knows, and this one would never end. (Documented for those who extend asyncio.)
    asyncio.tasks._unregister_task(task)
    # Nor may it ever be collected: whoever deletes a coroutine raises in it too, and would wait at the exit of the process.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


async def call_hooks(task: Task[..., Any], moment: str, run: RunRecord) -> None:
    """Call a task's hooks of one moment. What a hook raises is logged: it changes nothing about the run."""
    for hook in task.hooks.get(moment, ()):
        try:
            result = hook(run) if inspect.iscoroutinefunction(hook) else await in_thread(hook, run)
            if inspect.isawaitable(result):
                await result
        except Exception:  # noqa: BLE001 - a hook may raise anything
            _log.exception("%s: the %s hook of task %r failed", run.id, moment, task.name)
