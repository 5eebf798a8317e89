"""What can be done with runs from outside of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, suppress
from contextvars import Context
from typing import Any

from agentflow.app.following import follow
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.worker import Worker
from agentflow.errors import RunNotFound, RunTimeout, StorageError, StreamError
from agentflow.records import JournalEntry, RunRecord, RunState, WaitpointRecord
from agentflow.serde import decode_failure
from agentflow.storage import journal, runs, transitions, waitpoints
from agentflow.storage.runs import RunFilter
from agentflow.storage.statements import SQL
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.log import Streams

_log = logging.getLogger("agentflow.app")

POLL = 2.0
"""Seconds between looks at a run that may have ended in a process which could not tell."""


class Runs:
    """`app.runs`: look at runs, follow them, stop them, take them up again."""

    def __init__(self, database: Database, streams: Streams, clock: Clock, worker: Worker | None, maintenance: Maintenance) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._maintenance = maintenance
        self._worker = worker
        self._waiters: dict[str, list[asyncio.Future[RunRecord]]] = {}
        self._looking: asyncio.Task[None] | None = None
        if worker is not None:
            worker.on_ended(self._heard_end)

    async def get(self, run_id: str) -> RunRecord:
        """A run as it is now. Raises `RunNotFound`."""
        return await self._database.read(runs.get(run_id))

    async def list(
        self,
        *,
        task: str | None = None,
        status: RunState | str | None = None,
        tag: str | None = None,
        parent: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        """A page of runs, newest first; `before` is the `key` of the last run of the page before."""
        state = None if status is None else RunState(status)
        return await self._database.read(runs.page(RunFilter(task=task, state=state, tag=tag, parent=parent, before=before, limit=limit)))

    async def journal(self, run_id: str) -> list[JournalEntry]:
        """What a run has recorded, in order. Raises `RunNotFound`."""
        run = await self.get(run_id)
        return await self._database.read(journal.load(run.key))

    async def waiting_for(self, run_id: str) -> list[WaitpointRecord]:
        """The open waitpoints of a run, newest first."""
        return await self._database.read(waitpoints.open_of_run(run_id))

    async def cancel(self, run_id: str, reason: str = "cancelled by an operator") -> RunRecord:
        """Ask a run and its children to stop; doing so again, or after its end, changes nothing. Raises `RunNotFound`."""
        return await self._maintenance.cancel(run_id, reason)

    async def resume(self, run_id: str, *, rerun: bool = False) -> RunRecord:
        """Let a paused run go on: with its record as it is, or with `rerun` again from the step that differs. Raises `RunError`."""
        paused = await self.get(run_id)
        difference = _difference(paused)
        start = difference.get("seq") if rerun else None
        code = difference.get("asked", {}).get("code")
        run = await self._database.transact(transitions.resume(run_id, code, start, self._clock.now()))
        self._maintenance.announce(run)
        return run

    async def revive(self, run_id: str) -> RunRecord:
        """Take up a failed run again: a new run with its input and its journal. Raises `RunError`."""
        run = await self._database.transact(transitions.revive(run_id, self._clock.now()))
        self._maintenance.announce(run)
        return run

    async def keyed(self, task: str, idempotency_key: str) -> str | None:
        """The id of the run of a task that an idempotency key has started, from outside of runs; None when there is none."""
        found = await self._database.fetch(SQL.idempotency.get(key=runs.scoped("", task, idempotency_key), now=self._clock.now()))
        return found[0]["owner"] if found else None

    async def events(self, run_id: str, after: Cursor | None = None) -> AsyncIterator[StoredEvent]:
        """A run's events after a cursor, live, up to and with its `end`. Raises `RunNotFound`."""
        async with aclosing(follow(self._streams, self._database, run_id, after)) as events:
            async for event in events:
                yield event

    async def ended(self, run_id: str, timeout: Duration | None = None) -> RunRecord:
        """The run once it has ended. Raises `RunTimeout` after `timeout`, `RunNotFound`."""
        future: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        waiting = self._waiters.setdefault(run_id, [])
        waiting.append(future)
        try:
            run = await self._wait(run_id, future, None if timeout is None else self._clock.now() + microseconds(timeout))
        finally:
            waiting.remove(future)
            if not waiting and self._waiters.get(run_id) is waiting:
                del self._waiters[run_id]
        return run if run.output is None or not run.output.startswith("@") else await self.get(run_id)

    async def _wait(self, run_id: str, future: asyncio.Future[RunRecord], deadline: int | None) -> RunRecord:
        if self._worker is None or run_id not in self._worker.active:
            run = await self.get(run_id)
            if run.state.terminal:
                return run
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(), context=Context())
        return await self._until_end(run_id, future, deadline)

    async def _until_end(self, run_id: str, future: asyncio.Future[RunRecord], deadline: int | None) -> RunRecord:
        if self._worker is not None and deadline is None:
            return await future
        waits: list[Coroutine[Any, Any, None]] = []
        if self._worker is None:
            waits.append(self._follow_end(run_id))
        if deadline is not None:
            waits.append(self._clock.sleep_until(deadline))
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in waits]
        try:
            await asyncio.wait({future, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if future.done():
            return future.result()
        run = await self.get(run_id)
        if not run.state.terminal:
            raise RunTimeout(f"{run_id} has not ended yet.", hint="It goes on; ask again later.", run_id=run_id)
        return run

    async def _look(self) -> None:
        """Look at all runs that somebody waits for: one may have ended in a process which could not tell."""
        while self._waiters:
            await asyncio.sleep(POLL)
            for run_id in list(self._waiters):
                try:
                    run = await self.get(run_id)
                except StorageError as error:
                    _log.warning("cannot look whether %s has ended, trying on: %s", run_id, error)
                    break
                except RunNotFound:
                    continue
                if run.state.terminal:
                    self._heard_end(run)
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop looking; whoever waits still is told so."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        for run_id, waiting in self._waiters.items():
            for future in waiting:
                if not future.done():
                    future.set_exception(RunTimeout(f"The app was closed while {run_id} goes on.", hint="Ask again later.", run_id=run_id))

    async def _follow_end(self, run_id: str) -> None:
        """Return at the `end` event; where the stream cannot tell, leave it to the slow look."""
        with suppress(StreamError):
            async for _ in self.events(run_id):
                pass
            return
        await asyncio.get_running_loop().create_future()

    def _heard_end(self, run: RunRecord) -> None:
        for future in self._waiters.pop(run.id, ()):
            if not future.done():
                future.set_result(run)


def _difference(run: RunRecord) -> dict[str, Any]:
    return {} if run.error is None else decode_failure(run.error).details or {}
