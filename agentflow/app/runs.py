"""What can be done with runs from outside of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, suppress
from contextvars import Context
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from agentflow.app.following import follow
from agentflow.app.held import explained
from agentflow.app.moving import Moved, Moving
from agentflow.app.rescheduling import Rescheduling
from agentflow.app.sending import Sending
from agentflow.app.waking import Waking
from agentflow.clock import Clock, Duration, microseconds
from agentflow.database.port import Database
from agentflow.engine.maintenance import Maintenance
from agentflow.engine.starting import check_person
from agentflow.engine.task import Task
from agentflow.engine.worker import Worker
from agentflow.errors import RunNotFound, RunTimeout, StorageError, StreamError
from agentflow.handle import Item, Readable, Writable, items_of
from agentflow.records import JournalEntry, RunRecord, RunState, RunUsage, UsageRecord, WaitKind, WaitpointRecord
from agentflow.serde import decode_failure
from agentflow.storage import asking, journal, listing, runs, showing, transitions, upkeep, usage, waitpoints
from agentflow.storage.inputs import NewMessage
from agentflow.storage.listing import RunFilter, RunPage
from agentflow.storage.statements import SQL
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.log import Streams

T = TypeVar("T")
_log = logging.getLogger("agentflow.app")

_SLICE = 500
POLL = 2.0
"""Seconds between looks at a run that may have ended in a process which could not tell."""


class Runs:
    """`app.runs`: look at runs, follow them, stop them, take them up again."""

    def __init__(
        self,
        database: Database,
        streams: Streams,
        clock: Clock,
        worker: Worker | None,
        maintenance: Maintenance,
        tasks: Mapping[str, Task[..., Any]],
    ) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock
        self._maintenance = maintenance
        self._moving = Moving(database, streams, clock, maintenance)
        self._rescheduling = Rescheduling(database, clock, maintenance, tasks)
        self._sending = Sending(database, clock, Waking(database, worker), maintenance, tasks)
        self._worker = worker
        self._waiters: dict[str, list[asyncio.Future[RunRecord]]] = {}
        self._looking: asyncio.Task[None] | None = None
        if worker is not None:
            worker.on_ended(self._heard_end)

    async def get(self, run_id: str) -> RunRecord:
        """A run as it is now; the `note` of one that a limit or a pause holds back says so. Raises `RunNotFound`."""
        return (await explained(self._database, self._clock, [await self._read(run_id)]))[0]

    async def _read(self, run_id: str) -> RunRecord:
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
        """The last `limit` runs that fit, newest first; `before` is the `key` of the last run of the list before.

        Where several filters decide, this may look through many runs; `page` looks at a bounded number.
        """
        state = None if status is None else RunState(status)
        wanted = RunFilter(task=task, state=state, tag=tag, parent=parent, before=before, limit=limit)
        page = await self.page(wanted)
        found = list(page.runs)
        while page.next is not None and len(found) < limit:
            # Others have their turn between two looks.
            await asyncio.sleep(0)
            page = await self.page(replace(wanted, before=page.next, limit=limit - len(found)))
            found += page.runs
        return found

    async def page(self, wanted: RunFilter) -> RunPage:
        """A page of runs in bounded time: it may be short, or empty, and still name the next one."""
        page = await self._database.read(listing.page(wanted))
        return replace(page, runs=await explained(self._database, self._clock, page.runs))

    async def journal(self, run_id: str) -> list[JournalEntry]:
        """What a run has recorded, in order. Raises `RunNotFound`."""
        run = await self._read(run_id)
        return await self._database.read(journal.load(run.key))

    async def usage(self, run_id: str) -> RunUsage:
        """What the model calls of a run used, and those of all runs below it. Raises `RunNotFound`.

        >>> usage = await app.runs.usage(run.id)
        >>> usage.total.tokens, usage.total.usd
        """
        return await self._database.read(usage.of_run((await self._read(run_id)).key))

    async def usage_of_steps(self, run_id: str) -> Mapping[int, UsageRecord]:
        """What each of a run's records used, by its `seq`. Raises `RunNotFound`."""
        return await self._database.read(usage.of_steps((await self._read(run_id)).key))

    async def waiting_for(self, run_id: str) -> list[WaitpointRecord]:
        """The open waitpoints of a run, newest first."""
        found = await self._database.read(waitpoints.open_of_run(run_id))
        return await self._database.read(asking.placed(found))

    async def asked_of(self, run_id: str) -> list[WaitpointRecord]:
        """The open approvals that hold up a run: its own, and those of the runs that it waits for. Raises `RunNotFound`."""
        run = await self._read(run_id)
        own = [one for one in await self.waiting_for(run_id) if one.kind is WaitKind.APPROVAL]
        return [*own, *await self._database.read(showing.open_in(run.key))]

    async def cancel(self, run_id: str, reason: str = "cancelled by an operator") -> RunRecord:
        """Ask a run and its children to stop; doing so again, or after its end, changes nothing. Raises `RunNotFound`."""
        return await self._maintenance.cancel(run_id, reason)

    async def resume(self, run_id: str, *, rerun: bool = False) -> RunRecord:
        """Let a paused run go on: with its record as it is, or with `rerun` again from the step that differs. Raises `RunError`."""
        paused = await self._read(run_id)
        difference = _difference(paused)
        start = difference.get("seq") if rerun else None
        code = difference.get("asked", {}).get("code")
        run = await self._database.transact(transitions.resume(run_id, code, start, self._clock.now()))
        self._maintenance.announce(run)
        return run

    async def reschedule(
        self, run_id: str, *, delay: Duration | None = None, at: datetime | None = None, payload: Mapping[str, Any] | None = None
    ) -> RunRecord:
        """Let a run that waits for its delay, or for the quiet of a debounce, start at another time instead.

        `delay` counts from now, `at` is a moment (a naive one is UTC), `payload` takes the place of its payload: an entry per argument. Its
        time to live moves along. Raises `RunError` when the delay has ended, `RunNotFound`, `InvalidPayload`, `DefinitionError`.
        """
        return await self._rescheduling.one(await self._read(run_id), delay, at, payload)

    async def revive(self, run_id: str) -> RunRecord:
        """Take up a failed run again: a new run with its input and its journal. Raises `RunError`."""
        run = await self._database.transact(transitions.revive(run_id, self._clock.now()))
        self._maintenance.announce(run)
        return run

    async def move(self, run_id: str, *, to: str | None, force: bool = False) -> Moved:
        """Have a run taken by code of version `to` from now on; None: by whatever code its task has.

        A run that waits in the memory of another version's worker leaves it. One that is at work goes on under the code that it has, and
        the move counts from its next lease on: after a wait, a retry or a crash. Where the new code asks a recorded step something else,
        the run is paused, as after any change of code. Moving a run to where it is changes nothing.

        Raises `RunNotFound`; `RunError` when it has ended; `UnknownVersion` when neither a live worker nor the registry knows that version,
        unless `force`.

        >>> moved = await app.runs.move(run.id, to="2")
        >>> print(moved.warning or "a worker takes it")
        """
        return await self._moving.one(await self._read(run_id), to, force=force)

    async def move_all(self, *, task: str, version: str, to: str | None, force: bool = False) -> Moved:
        """As `move`, for all active runs of a task that have a version, in bounded batches. Raises `UnknownTask`, `UnknownVersion`.

        >>> await app.runs.move_all(task="fulfil", version="1", to="2")
        """
        return await self._moving.all(task, version, to, force=force)

    async def delete(self, run_id: str) -> None:
        """Delete a run that has ended, with all it has recorded and said. Raises `RunError` while it goes on, and `RunNotFound`.

        Its children stay. Whoever asks for it afterwards, a parent that goes on for example, is told that there is no such run.
        """
        key = await self._database.transact(upkeep.delete(run_id))
        with suppress(StreamError):
            await self._streams.forget([run_id])
        while await self._database.transact(upkeep.clear(_SLICE, key)):
            await asyncio.sleep(0)

    async def keyed(self, task: str, idempotency_key: str) -> str | None:
        """The id of the run of a task that an idempotency key has started, from outside of runs; None when there is none."""
        found = await self._database.fetch(SQL.idempotency.get(key=runs.scoped("", task, idempotency_key), now=self._clock.now()))
        return found[0]["owner"] if found else None

    async def events(self, run_id: str, after: Cursor | None = None) -> AsyncIterator[StoredEvent]:
        """A run's events after a cursor, live, up to and with its `end`. Raises `RunNotFound`."""
        async with aclosing(follow(self._streams, self._database, self._clock, run_id, after)) as events:
            async for event in events:
                yield event

    async def stream(self, run_id: str, stream: Readable[T], after: Cursor | None = None) -> AsyncGenerator[Item[T]]:
        """The items that a run appends to a stream, as `RunHandle.stream` does. Raises `RunNotFound`."""
        async with aclosing(items_of(self.events(run_id, after), stream)) as items:
            async for item in items:
                yield item

    async def send(
        self, run_id: str, stream: Writable[T] | str, message: T, *, idempotency_key: str | None = None, sent_by: str | None = None
    ) -> int:
        """Send a message into an input stream of a run, as `RunHandle.send` does; returns its number there.

        Of a stream that is named, the message is a JSON value: it is checked here if this process knows the code of the run, and else where
        it is received. `sent_by` is the person in whose name it is: once the run has received it, they cannot decide what it asks with
        `exclude_requester`, as little as whoever started it. Raises `InvalidMessage` too.

        >>> await app.runs.send(run_id, "inbox", {"text": "make it express"}, sent_by="maria")
        """
        if sent_by is not None:
            check_person(sent_by)
        if isinstance(stream, str):
            return await self._sending.value(run_id, stream, message, idempotency_key, sent_by)
        text = stream.write(message)
        return await self._sending.message(run_id, NewMessage(name=stream.name, data=text, key=idempotency_key, sent_by=sent_by))

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
        return run if run.output is None or not run.output.startswith("@") else await self._read(run_id)

    async def _wait(self, run_id: str, future: asyncio.Future[RunRecord], deadline: int | None) -> RunRecord:
        if self._worker is None or run_id not in self._worker.active:
            run = await self._read(run_id)
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
        run = await self._read(run_id)
        if not run.state.terminal:
            raise RunTimeout(f"{run_id} has not ended yet.", hint="It goes on; ask again later.", run_id=run_id)
        return run

    async def _look(self) -> None:
        """Look at all runs that somebody waits for: one may have ended in a process which could not tell."""
        while self._waiters:
            await asyncio.sleep(POLL)
            for run_id in list(self._waiters):
                try:
                    run = await self._read(run_id)
                except StorageError as error:
                    _log.warning("cannot look whether %s has ended, trying on: %s", run_id, error)
                    break
                except RunNotFound as gone:
                    self._deleted(run_id, gone)
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

    def _deleted(self, run_id: str, gone: RunNotFound) -> None:
        for future in self._waiters.pop(run_id, ()):
            if not future.done():
                future.set_exception(gone)


def _difference(run: RunRecord) -> dict[str, Any]:
    return {} if run.error is None else decode_failure(run.error).details or {}
