"""A `TaskContext` that keeps its journal in memory: the agent code is tested against the seam, whatever engine is behind it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, TypeVar
from uuid import UUID

from agentflow.control import Suspend
from agentflow.engine.context import CallbackAddress, ReceiveCall, StartCall, StepCall, WaitRequest, WaitResult, current, scope
from agentflow.engine.thread_scope import ThreadScope
from agentflow.errors import AgentflowError, StepFailed
from agentflow.policy import Policy
from agentflow.records import WaitKind, WaitState
from agentflow.serde import dumps
from agentflow.storage.pins import Held, Wanted
from agentflow.streams.events import Event, StepRetrying

PATIENCE = 10.0
E = TypeVar("E")


@dataclass
class Scope:
    """A step's body while it runs."""

    id: str
    attempt: int
    run: MemoryRun

    @property
    def idempotency_key(self) -> str:
        return f"{self.run.journal.id}/{self.id}"

    def publish(self, event: Event) -> None:
        self.run.journal.events.append(event)

    def join(self, run_id: str, event: Event) -> None:
        raise AssertionError("this run has nobody above it")

    def touch(self) -> None:
        self.run.journal.touches += 1


@dataclass
class Journal:
    """What outlives a crash."""

    id: str = "run_1"
    results: dict[str, str] = field(default_factory=dict[str, str])
    waits: dict[str, WaitRequest] = field(default_factory=dict[str, WaitRequest])
    children: dict[str, StartCall] = field(default_factory=dict[str, StartCall])
    answers: dict[str, WaitResult] = field(default_factory=dict[str, WaitResult])
    events: list[Event] = field(default_factory=list[Event])
    digests: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    begun: Counter[str] = field(default_factory=Counter[str])
    touches: int = 0

    def of(self, kind: type[E]) -> list[E]:
        """The events of one type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The types of the events so far."""
        return [event.type for event in self.events]


class MemoryRun:
    """One epoch of a run."""

    task = "task"
    attempt = 1
    tags: tuple[str, ...] = ()
    cancelled: str | None = None
    deadline: datetime | None = None
    thread: ThreadScope | None = None
    started_by: str | None = None
    policy: Policy | None = None

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.run_id = journal.id
        self.metadata: dict[str, Any] = {}
        self.executed: list[str] = []
        self.over_with: list[str] = []
        self.delays: list[int] = []
        self.log = logging.LoggerAdapter(logging.getLogger("run"))
        self._counts: dict[str, int] = {}
        self._asked: set[str] = set()
        self._open: dict[str, asyncio.Future[None]] = {}
        self._moved = asyncio.Condition()

    @property
    def idempotency_key(self) -> str:
        here = scope.get()
        return self.run_id if here is None else here.idempotency_key

    @property
    def replaying(self) -> bool:
        return any(key not in self._asked for key in [*self.journal.results, *self.journal.answers])

    async def now(self) -> datetime:
        return datetime.now(UTC)

    async def uuid4(self) -> UUID:
        return UUID(int=0)

    async def random(self) -> float:
        return 0.5

    async def prompt(self, wanted: Wanted) -> Held:
        raise NotImplementedError("No agent here speaks by a prompt.")

    async def patch(self, name: str) -> bool:
        return True

    def key(self, name: str, explicit: str | None = None) -> str:
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return f"{name}#{explicit or count}"

    async def step(self, key: str, call: StepCall) -> Any:
        self._ask(key)
        self.journal.digests.setdefault(key, []).append(call.digest)
        if key not in self.journal.results:
            self.executed.append(key)
            self.journal.results[key] = call.codec.encode(await self._try(key, call), what=call.name)
        return call.codec.decode(self.journal.results[key], what=call.name)

    async def _try(self, key: str, call: StepCall) -> Any:
        tries = 0
        while True:
            tries += 1
            if call.consent is not None:
                self.journal.begun[key] += 1
            token = scope.set(Scope(key, tries, self))
            try:
                return await call.body()
            except Exception as error:
                delay = call.options.retry.delay(tries, error, 0)
                if delay is None and call.rescue is not None:
                    with suppress(type(error)):
                        return call.rescue(error)
                if delay is None and isinstance(error, AgentflowError):
                    raise
                if delay is None:
                    raise StepFailed(f"{call.name}: {error}", type=type(error).__name__) from error
                if call.consent is not None:
                    self.journal.begun[key] -= 1
                self.delays.append(delay)
                self.journal.events.append(StepRetrying(key, tries + 1))
            finally:
                scope.reset(token)

    def recorded(self, key: str) -> bool:
        return key in self.journal.results or key in self.journal.waits or key in self.journal.children

    def unsettled(self, key: str) -> int:
        return 0 if key in self.journal.results else self.journal.begun[key]

    async def stop(self, reason: str) -> NoReturn:
        self.cancelled = reason
        raise asyncio.CancelledError(reason)

    def over(self, call: str) -> None:
        self.over_with.append(call)

    async def wait(self, key: str, request: WaitRequest) -> WaitResult:
        self.journal.waits.setdefault(key, request)
        if request.kind is WaitKind.TIMER:
            self.journal.answers.setdefault(key, WaitResult(f"wp_{key}", WaitState.ANSWERED, None, None))
        return await self._answered(key)

    async def open(self, key: str, request: WaitRequest) -> str:
        self.journal.waits.setdefault(key, request)
        return f"wp_{key}"

    async def address(self, waitpoint_id: str, *, signed: bool) -> CallbackAddress:
        raise NotImplementedError("No agent waits for a callback.")

    async def side_by_side(self, key: str, waits: Sequence[Awaitable[Any]], *, every: bool) -> Any:
        raise NotImplementedError("No agent races its waits.")

    async def child(self, key: str, call: StartCall) -> WaitResult:
        self.journal.children.setdefault(key, call)
        return await self._answered(key)

    async def start(self, key: str, call: StartCall) -> str:
        self.journal.children.setdefault(key, call)
        return key

    async def receive(self, key: str, call: ReceiveCall) -> str | None:
        self.journal.waits.setdefault(key, WaitRequest(kind=WaitKind.SIGNAL, due_after=call.due_after))
        return (await self._answered(key)).answer

    async def above(self, target: Literal["root", "parent"]) -> str | None:
        return None

    async def caught_up(self) -> None:
        """Everything was told at once."""

    async def _answered(self, key: str) -> WaitResult:
        self._ask(key)
        if key not in self.journal.answers:
            future = self._open[key] = asyncio.get_running_loop().create_future()
            async with self._moved:
                self._moved.notify_all()
            await future
        return self.journal.answers[key]

    def publish(self, event: Event) -> None:
        if not self.replaying:
            self.journal.events.append(event)

    def _ask(self, key: str) -> None:
        assert key not in self._asked, f"{key} was asked twice"
        self._asked.add(key)

    # -- what the test does

    async def waiting(self, count: int = 1) -> list[str]:
        """The keys of what the run waits for, once it waits for so many."""
        async with asyncio.timeout(PATIENCE), self._moved:
            await self._moved.wait_for(lambda: len(self._open) >= count)
        return list(self._open)

    def answer(self, key: str, value: Any, state: WaitState = WaitState.ANSWERED) -> None:
        """End what the run waits for."""
        self.journal.answers[key] = WaitResult(f"wp_{key}", state, dumps(value), "maria", self._subject(key))
        if (future := self._open.pop(key, None)) is not None:
            future.set_result(None)

    def _subject(self, key: str) -> str:
        asked = self.journal.waits.get(key)
        return "{}" if asked is None else dumps(asked.subject)

    def evict(self) -> None:
        """The run leaves memory."""
        for future in self._open.values():
            future.set_exception(Suspend())

    @contextmanager
    def entered(self) -> Generator[MemoryRun]:
        """The code inside runs in this run."""
        token = current.set(self)
        try:
            yield self
        finally:
            current.reset(token)

    async def drive(self, body: Callable[[], Awaitable[Any]]) -> Any:
        """Run a task's body in this run."""
        with self.entered():
            return await body()
