"""How an outcome is written: once, fenced by the lease, and told to whoever has to know."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from agentflow.control import LeaseLost
from agentflow.engine.host import Services
from agentflow.engine.outcome import Cancelled, Completed, Dropped, Failed, Outcome, Paused, Retrying
from agentflow.engine.session import Session
from agentflow.engine.task import Task
from agentflow.errors import StorageError, UnserializableValue
from agentflow.records import Failure, RunState
from agentflow.serde import failure
from agentflow.storage import runs, transitions
from agentflow.storage.transitions import End, Ended, Release
from agentflow.streams.events import RunWaiting


class Settling:
    """Writes how an epoch of a run ended. Each of its verbs raises `LeaseLost` when the run is held elsewhere by now."""

    def __init__(self, services: Services, session: Session, task: Task[..., Any]) -> None:
        self._services = services
        self._session = session
        self._task = task
        self._settled = False

    async def settle(self, outcome: Outcome) -> None:
        """Write an outcome; the first one counts."""
        if self._settled:
            return
        self._settled = True
        match outcome:
            case Completed(value):
                await self._complete(value)
            case Failed(error):
                await self._finish(End(state=RunState.FAILED, error=error))
            case Cancelled(reason):
                await self._finish(End(state=RunState.CANCELLED, error=transitions.cancellation(reason)))
            case Retrying():
                await self._retry(outcome)
            case Paused(error):
                await self._pause(error)
            case Dropped():
                self._session.closed = True

    async def hand_back(self, note: str, ready_at: int | None = None) -> None:
        """Give the run back to its queue, for now or for `ready_at`; it costs no attempt."""
        await self._release(Release(attempt=self._session.run.attempt, ready_at=ready_at, note=note))

    async def _complete(self, value: Any) -> None:
        try:
            output = self._task.codec.encode(value, what=f"the result of task {self._task.name!r}")
        except UnserializableValue as error:
            await self._finish(End(state=RunState.FAILED, error=failure(error)))
            return
        if self._session.settled and await self._complete_simply(output):
            return
        await self._finish(End(state=RunState.COMPLETED, output=output))

    async def _complete_simply(self, output: str) -> bool:
        session = self._session
        with suppress(StorageError):
            now = self._services.clock.now()
            ended = await transitions.complete(self._services.database, session.run, output, session.spent(), now)
            if ended is not None:
                self._services.host.ended(ended, session.epoch)
                session.closed = True
                return True
        return False

    async def _finish(self, end: End) -> None:
        try:
            ended = await self._finished(end)
        except LeaseLost:
            ended = await self._recorded_end(end)
        self._services.host.ended(ended, self._session.epoch)
        self._session.closed = True

    async def _finished(self, end: End) -> Ended:
        """Write the end. Where this worker keeps the parent in memory, the slot that this run frees is the parent's."""
        spent, parent, host = self._session.spent(), self._session.run.parent_id, self._services.host
        lessee = None if parent is None else host.keeps(parent)
        end = replace(end, lessee=lessee)
        try:
            return await self._session.transact(lambda lease: transitions.finish(lease, end, spent, self._services.clock.now()))
        finally:
            if lessee is not None:
                host.came(lessee)

    async def _recorded_end(self, end: End) -> Ended:
        """The end that this very epoch has recorded, though the connection broke before it heard so; else `LeaseLost`."""
        run = await self._services.database.read(runs.get(self._session.run.id))
        if run.epoch != self._session.epoch or run.state is not end.state:
            raise LeaseLost(self._session.run.id)
        return Ended(run)

    async def _retry(self, outcome: Retrying) -> None:
        session = self._session
        ready_at = self._services.clock.now() + outcome.delay
        how = Release(attempt=session.run.attempt + 1, ready_at=ready_at, error=outcome.error, note="waits for its next attempt")
        if await self._release(how):
            session.publish(RunWaiting("retry", until=ready_at // 1_000))
            self._services.host.hint(ready_at)

    async def _release(self, how: Release) -> bool:
        """False when the run ended instead: its cancellation was asked for."""
        session, spent = self._session, self._session.spent()
        released = await session.transact(lambda lease: transitions.release(lease, how, spent, self._services.clock.now()))
        if isinstance(released, Ended):
            self._services.host.ended(released, session.epoch)
            return False
        if how.ready_at is None:
            self._services.host.announce(released)
        return True

    async def _pause(self, error: Failure) -> None:
        spent = self._session.spent()
        await self._session.transact(lambda lease: transitions.pause(lease, error, spent))
        self._session.publish(RunWaiting("operator"))
