"""`TaskContext` on our own engine."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Coroutine, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn

from agentflow.clock import SECOND
from agentflow.control import RunPaused
from agentflow.engine.branch import Branch, Tasks, branch, calling_line
from agentflow.engine.callbacks import Doors
from agentflow.engine.calls import finishing
from agentflow.engine.context import ReceiveCall, StartCall, StepCall, WaitRequest, WaitResult, scope
from agentflow.engine.conversation import Conversation, Place
from agentflow.engine.ladder import check_channels, heed
from agentflow.engine.metadata import Metadata
from agentflow.engine.meter import Meter
from agentflow.engine.patching import Patches
from agentflow.engine.placing import new_run, place, start_and_record
from agentflow.engine.prompting import Prompting
from agentflow.engine.racing import Racing
from agentflow.engine.receiving import Receiving, received
from agentflow.engine.replay import Replay
from agentflow.engine.replay_log import ReplayLogger
from agentflow.engine.requesters import without_requesters
from agentflow.engine.session import Session
from agentflow.engine.telling import child_finished, requested, resolved
from agentflow.engine.tries import Tries, recorded
from agentflow.errors import DefinitionError, DuplicateName, TellModel
from agentflow.policy import Policy
from agentflow.records import EntryKind, JournalEntry, WaitKind, WaitpointRecord, WaitState, new_id
from agentflow.serde import decode_failure, dumps, loads
from agentflow.storage import granting, showing, transitions, waitpoints
from agentflow.storage.inputs import is_given_back
from agentflow.storage.runs import Started
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import NewWaitpoint
from agentflow.streams.events import ChildStarted, Event, RunProgress

_log = logging.getLogger("agentflow.run")


class RunContext:
    """What the code of one run in memory can reach."""

    def __init__(
        self, session: Session, replay: Replay, known: dict[str, WaitpointRecord], caught_up: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._session = session
        self._caught_up = caught_up
        self._replay = replay
        self.known = session.known = known
        self.root = Branch("", Tasks())
        self.metadata: MutableMapping[str, Any] = Metadata(loads(session.run.metadata), self._tell)
        self.log = ReplayLogger(_log, {"run": session.run.id}, self)
        self.max_duration: int | None = None
        self._untold = False
        self._places: dict[str, str] = {}
        self.patch = Patches(session, replay).taken
        self.prompt = Prompting(session, replay, self._ask, self.root).held
        self._racing = Racing(session, replay, lambda: self.known, self.root)
        self.side_by_side = self._racing.run
        self.address = Doors(session).address
        self._receiving = Receiving(session, self._ended)
        self._top: str | None = None
        self._meter = Meter(session, self.wait)
        thread = session.run.thread
        self.thread = None if thread is None else Conversation(thread, Place(session, replay, self.key, self._ask, self.wait, self._knows))

    @property
    def run_id(self) -> str:
        return self._session.run.id

    @property
    def task(self) -> str:
        return self._session.run.task

    @property
    def attempt(self) -> int:
        return self._session.run.attempt

    @property
    def tags(self) -> tuple[str, ...]:
        return self._session.run.tags

    @property
    def started_by(self) -> str | None:
        return self._session.run.started_by

    @property
    def policy(self) -> Policy | None:
        return self._session.services.host.policy

    @property
    def idempotency_key(self) -> str:
        here = scope.get()
        return (self._session.run.idempotency_key or self.run_id) if here is None else here.idempotency_key

    @property
    def replaying(self) -> bool:
        return self._replay.ahead and not (branch.get() or self.root).live

    @property
    def cancelled(self) -> str | None:
        return self._session.cancel_reason

    @property
    def deadline(self) -> datetime | None:
        if self.max_duration is None:
            return None
        left = self.max_duration - self._session.spent().active
        return _moment(self._session.services.clock.now() + left)

    async def now(self) -> datetime:
        value = await self._value("now", lambda: self._session.services.clock.now())
        return _moment(value)

    async def uuid4(self) -> uuid.UUID:
        return uuid.UUID(await self._value("uuid4", lambda: str(uuid.uuid4())))

    async def random(self) -> float:
        return await self._value("random", lambda: random.random())  # noqa: S311

    def key(self, name: str, explicit: str | None = None) -> str:
        if explicit is None:
            return (branch.get() or self.root).key(name)
        key, place = f"{name}:{explicit}", calling_line()
        if key in self._places:
            raise DuplicateName(
                f"Two calls in this run have the key {key!r}: one at {self._places[key]}, one at {place}.",
                hint="An explicit key must be unique among the calls of one step.",
                key=key,
            )
        self._places[key] = place
        return key

    async def step(self, key: str, call: StepCall) -> Any:
        found = self._ask(key)
        if found is not None:
            self._check(found, call)
            return recorded(found, call)
        return await Tries(self._session, key, call, self._meter).run(self._replay.tried(key))

    def over(self, call: str) -> None:
        self._meter.over(call)

    def _check(self, found: Any, call: StepCall) -> None:
        try:
            self._replay.check(found, call.digest, self._session.code)
        except RunPaused as paused:
            self._session.latch(paused)
            raise

    def recorded(self, key: str) -> bool:
        return self._replay.known(key) or key in self.known

    def unsettled(self, key: str) -> int:
        return self._replay.unsettled(key)

    async def wait(self, key: str, request: WaitRequest) -> WaitResult:
        self._replay.ask(key)
        return await self._ended(self._find(key) or await self._working(lambda: self._create(key, request), waits=True))

    async def open(self, key: str, request: WaitRequest) -> str:
        found = self._find(key) or await self._working(lambda: self._create(key, request), waits=True)
        return found.id

    async def child(self, key: str, call: StartCall) -> WaitResult:
        if call.options.thread is not None and call.options.thread == self._session.run.thread:
            hint = "Start it with `start()`: it has its turn when this run has ended. Or give it a thread of its own."
            raise DefinitionError(f"{self.run_id} cannot wait for another run of its own thread {call.options.thread!r}.", hint=hint)
        self._replay.ask(key)
        one = self._find(key)
        if one is None or (one.attempt < self.attempt and not _stands(one, call)):
            one = await self._working(lambda: self._create_child(key, call), waits=True)
        result = await self._ended(one)
        self.publish(child_finished(result, one.target or "", key, call.call))
        return result

    async def start(self, key: str, call: StartCall) -> str:
        found = self._ask(key)
        if found is not None:
            return loads(found.value or "null")
        started = await self._working(lambda: self._start_detached(key, call))
        return started.run.id

    async def receive(self, key: str, call: ReceiveCall) -> str | None:
        found = self._ask(key)
        if found is not None and not is_given_back(found):
            return received(found)
        (branch.get() or self.root).live = True
        return await self._receiving.next(key, call)

    async def above(self, target: Literal["root", "parent"]) -> str | None:
        run = self._session.run
        if run.parent_id is None or target == "parent":
            return run.parent_id
        if self._top is None:
            self._top = (await self._session.services.database.fetch(SQL.runs.root(run=run.key)))[0]["id"]
        return None if self._top == run.id else self._top

    async def stop(self, reason: str) -> NoReturn:
        session, now = self._session, self._session.services.clock.now()
        by = now + session.services.cancel_grace
        await self._working(lambda: session.transact(lambda _: transitions.ask_cancel(self.run_id, reason, by, now)))
        session.on_cancel(reason)
        while True:
            await session.control(waits=True)

    async def caught_up(self) -> None:
        await self._caught_up()

    def publish(self, event: Event) -> None:
        if not self.replaying:
            self._session.publish(event)

    def _ask(self, key: str) -> JournalEntry | None:
        found = self._replay.ask(key)
        if found is None:
            (branch.get() or self.root).live = True
        return found

    # -- how ----------------------------------------------------------------------------------------------------------------------------

    def _find(self, key: str) -> WaitpointRecord | None:
        one = self.known.get(key)
        if one is not None and one.state is WaitState.CANCELLED and one.attempt < self.attempt and one.kind is not WaitKind.CHILD:
            one = None
        if one is None or one.state is WaitState.PENDING:
            (branch.get() or self.root).live = True
        return one

    def _knows(self, key: str) -> bool:
        return key in self.known

    async def _ended(self, one: WaitpointRecord) -> WaitResult:
        if one.state is WaitState.PENDING:
            here = branch.get() or self.root
            here.parked, here.awaited = True, one.key or ""
            try:
                one = await self._session.park(one)
            finally:
                here.parked = False
            self.known[one.key or one.id] = one
        return WaitResult(one.id, one.state, one.answer, one.answered_by, one.subject)

    async def _working(self, work: Callable[[], Coroutine[Any, Any, Any]], *, waits: bool = False) -> Any:
        # Whoever is cancelled here, the work goes on: a run that it leased to this worker must be taken over.
        await self._session.enter(waits=waits)
        try:
            return await finishing(work())
        finally:
            self._session.leave()

    async def _create(self, key: str, request: WaitRequest) -> WaitpointRecord:
        session, now = self._session, self._session.services.clock.now()
        request = await without_requesters(session, request)
        check_channels(request.subject, session.services.channels)
        new = self._new_waitpoint(key, request, now)
        one = await session.transact(lambda lease: granting.open_wait(lease, new, request.call, session.run.thread, now))
        self.known[key] = one
        if request.kind is WaitKind.APPROVAL:
            session.publish(requested(one))
            if one.state is WaitState.PENDING:
                await session.tell_above(one)
            else:
                session.publish(resolved(one))
        elif request.kind is WaitKind.CHILD:
            await self._tell_of_below(one)
        # A grant that was used is in the audit, which maintenance seals.
        session.services.host.hint(now if request.call is not None and one.state is not WaitState.PENDING else new.due_at)
        heed(session.services, request.subject, now)
        await self._racing.opened(one)
        return one

    def _new_waitpoint(self, key: str, request: WaitRequest, now: int) -> NewWaitpoint:
        due = request.due_at if request.due_after is None else now + request.due_after
        return NewWaitpoint(
            id=request.id or new_id("wp", now),
            key=key,
            kind=request.kind,
            attempt=self.attempt,
            subject=dumps(request.subject),
            schema=None if request.schema is None else dumps(request.schema),
            due_at=due,
            target=request.target,
            most=self._session.services.max_open_questions,
        )

    async def _create_child(self, key: str, call: StartCall) -> WaitpointRecord:
        await self._meter.declare()
        session, now = self._session, self._session.services.clock.now()
        host = session.services.host
        new = new_run(call, now, scope=self.run_id, host=host, key=key, started_by=self.started_by)
        wait = self._new_waitpoint(key, WaitRequest(kind=WaitKind.CHILD, target=new.id, subject=_child(call, new.id)), now)
        try:
            started, one = await session.transact(lambda lease: waitpoints.start_child(lease, new, wait, now))
        except BaseException:
            place(host, new, None)
            raise
        place(host, new, started)
        self.known[key] = one
        session.publish(ChildStarted(started.run.id, call.task, call.call, step=key))
        if started.existed:
            await self._tell_of_below(one)
        await self._racing.opened(one)
        return one

    async def _tell_of_below(self, one: WaitpointRecord) -> None:
        """A run for which this one begins to wait may be held up by a question already."""
        session = self._session
        if one.state is WaitState.PENDING:
            for asked in await session.read(lambda: showing.open_in(session.run.key)):
                await session.tell_above(asked)

    async def _start_detached(self, key: str, call: StartCall) -> Started:
        await self._meter.declare()
        session, now = self._session, self._session.services.clock.now()
        host = session.services.host
        new = new_run(call, now, scope=self.run_id, host=host, key=key, started_by=self.started_by)
        session.seq += 1
        seq = session.seq
        try:
            started = await session.transact(lambda lease: start_and_record(lease, new, key, seq, session, now))
        except BaseException:
            place(host, new, None)
            raise
        place(host, new, started)
        return started

    async def _value(self, name: str, make: Callable[[], Any]) -> Any:
        key = self.key(name)
        found = self._ask(key)
        if found is not None:
            return loads(found.value or "null")
        value = make()
        await self._session.enter()
        try:
            await self._session.append(EntryKind.VALUE, key, dumps(value))
        finally:
            self._session.leave()
        return value

    def _tell(self) -> None:
        if not self.replaying:
            self._untold = True
            # From whatever thread: a blocking step may tell of its progress.
            self._session.call_soon(self.tell_changes)

    def tell_changes(self) -> None:
        """Write metadata that has changed; while the run waits it holds no lease, and does so once it goes on."""
        if self._untold and self._session.lease is not None:
            self._session.in_background(self._write_metadata())

    async def _write_metadata(self) -> None:
        session, values = self._session, dict(self.metadata)
        self._untold = False
        session.publish(RunProgress(values))
        query = SQL.runs.tell(run=session.run.key, epoch=session.epoch, metadata=dumps(values))
        self._untold = not await session.services.database.execute(query) or self._untold


def _child(call: StartCall, run_id: str) -> dict[str, Any]:
    """What a wait for a child says of it."""
    return {"task": call.task, "run": run_id, **({} if call.call is None else {"call": call.call})}


def _stands(one: WaitpointRecord, call: StartCall) -> bool:
    """Whether the end of a child stands in a later attempt, where what failed is tried anew."""
    if one.state not in (WaitState.FAILED, WaitState.CANCELLED) or call.final:
        return True
    return call.call is not None and one.answer is not None and decode_failure(one.answer).type == TellModel.__name__


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / SECOND, UTC)
