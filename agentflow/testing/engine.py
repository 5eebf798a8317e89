"""A whole engine for a test: a database of its own, a real stream server, a clock that the test advances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

from agentflow.app import Agentflow
from agentflow.app.outbox import Reach
from agentflow.clock import SECOND
from agentflow.database import open_database
from agentflow.database.port import BlockingDatabase, Database, Query, Rows, T, Transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.engine.calls import performed
from agentflow.engine.conversation import recall
from agentflow.engine.queue import declared
from agentflow.engine.starting import launcher, opened
from agentflow.engine.step import Step
from agentflow.engine.task import Task, defined
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import ConfigurationError
from agentflow.handle import Readable, RunHandle, Writable
from agentflow.policy import Policy
from agentflow.records import JournalEntry, RunRecord, RunState, WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage import queues, waitpoints
from agentflow.streams.codec import StoredEvent
from agentflow.streams.fold import Fold
from agentflow.testing.clock import ManualClock
from agentflow.testing.replay import ReplayReport, replay

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
PATIENCE = 10.0
"""Seconds of real time after which a test that waits for a run gives up."""
FILE = "test.db"
"""The name of its database, where that is a file."""
_MOMENT = 0.02


class Waiting:
    """An open waitpoint of a run under test."""

    def __init__(self, engine: Engine, record: WaitpointRecord) -> None:
        self._engine = engine
        self.record = record
        self.id = record.id

    async def approve(self, *, by: str, reason: str | None = None, edits: dict[str, Any] | None = None) -> None:
        """Answer an approval with yes."""
        await self._engine.app.waitpoints.approve(self.id, by=by, reason=reason, edits=edits)

    async def deny(self, *, by: str, reason: str | None = None, stop: bool = False) -> None:
        """Answer an approval with no, and stop the run if that is wanted."""
        await self._engine.app.waitpoints.deny(self.id, by=by, reason=reason, stop=stop)

    async def answer(self, value: Any, *, by: str = "test") -> None:
        """Answer with a JSON value."""
        await self._engine.app.waitpoints.answer(self.id, value, by=by)


class Engine:
    """The fixture `engine`. Every task that the test's process has defined is known to it; the rules of its app are in `policy`.

    async def test_a_large_refund_waits_for_a_person(engine: Engine) -> None:
        run = await engine.start(refund, "o-1", cents=20_000)
        [waiting] = await engine.waiting(run)
        await engine.crash()
        await waiting.approve(by="maria")
        assert (await run.result()).state == "refunded"
    """

    def __init__(
        self,
        directory: Path,
        redis: str | None,
        settings: WorkerSettings | None = None,
        *,
        wrap: Callable[[Database], Database] | None = None,
        database: str | None = None,
        **reach: Unpack[Reach],
    ) -> None:
        self.clock = ManualClock()
        self.clock.settle = self.settle
        self.directory = directory
        # On this engine's clock and database there is one process.
        self.settings = replace(settings or WorkerSettings(), isolate=False)
        self._redis = redis
        self._database = database
        self._reach = reach
        self._activity = self._asked = 0
        self._awaited: list[asyncio.Future[None]] = []
        # A test need not hold what it starts: without a name of its own, it would be gone with the next garbage collection.
        self._started: list[Task[..., Any]] = []
        self.policy = Policy()
        self.written: set[asyncio.Event] = set()
        self.wrap: Callable[[Database], Database] = wrap or (lambda database: database)
        self.app = self._app()

    def _app(self, tasks: Mapping[str, Task[..., Any]] | None = None) -> Agentflow:
        # On a manual clock no commit is ever slow: everything happens on the loop, in an order that repeats.
        opened = SqliteDatabase(self.directory / FILE, slow_commit=60.0) if self._database is None else open_database(self._database)
        database = self.wrap(self.watched(opened))
        known = _Everything() if tasks is None else tasks
        where: dict[str, Any] = {"database": database, "redis": self._redis, "directory": self.directory}
        return Agentflow(known, **where, worker=self.settings, policy=self.policy, clock=self.clock, **self._reach)

    def watched(self, database: Database) -> Database:
        """A database that `settle` waits for: for a second process in the same test."""
        return _Watched(database, self)

    @property
    def database_url(self) -> str:
        """Where its database is, for a second process in the same test."""
        return self._database or str(self.directory / FILE)

    async def open(self) -> None:
        """Begin; the fixture does it."""
        performed.clear()
        await self.app.open()
        launcher.set(self.app)

    async def close(self) -> None:
        """End; the fixture does it."""
        draining = asyncio.ensure_future(self.app.close())
        while not draining.done():
            await self.settle()
            if not draining.done():
                await self.clock.advance(1)
        await draining

    # -- runs ----------------------------------------------------------------------------------------------------------------------------

    async def start(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Start a run. The handle outlives a crash of the engine."""
        # Of several tasks with one name, as test modules have them, the one that is started counts.
        defined[task.name] = task
        self._started.append(task)
        await self._declare(task)
        handle = await task.start(*args, **kwargs)
        return RunHandle(handle.id, _LiveVerbs(self), task.codec)

    async def _declare(self, task: Task[..., Any]) -> None:
        """A worker declares the queues of the tasks that it knows when it joins: this one may be younger than that."""
        unknown = [one for one in declared([task.options.queue]) if one.limited and not await self.app.database.read(queues.find(one.name))]
        if unknown:
            await self.app.database.transact(queues.declare(unknown))
            self.app.streams.signal("queues", unknown[0].name)

    async def get(self, run: RunHandle[Any]) -> RunRecord:
        """The run as it is now."""
        return await self.app.runs.get(run.id)

    async def until(self, run: RunHandle[Any], *states: RunState | str) -> RunRecord:
        """The run once it is in one of these states."""
        wanted = {RunState(state) for state in states}
        return await self._until(run, lambda record: record.state in wanted, f"become {' or '.join(sorted(wanted))}")

    async def waiting(self, run: RunHandle[Any], count: int = 1, *, kind: WaitKind | str | None = None) -> list[Waiting]:
        """The open waitpoints of a run, oldest first, once it waits for at least `count`; with `kind` only those of that kind.

        A run that waits for child runs before it asks somebody is met too early without it.

        >>> [question] = await engine.waiting(run, kind="approval")
        """
        await self.until(run, RunState.WAITING)
        async with asyncio.timeout(PATIENCE):
            while len(found := await self._open(run, kind)) < count:
                await asyncio.sleep(0)
                await self.until(run, RunState.WAITING)
        return [Waiting(self, one) for one in reversed(found)]

    async def _open(self, run: RunHandle[Any], kind: WaitKind | str | None) -> list[WaitpointRecord]:
        return [one for one in await self.app.runs.waiting_for(run.id) if kind is None or one.kind is WaitKind(kind)]

    async def _until(self, run: RunHandle[Any], test: Callable[[RunRecord], bool], what: str) -> RunRecord:
        written = asyncio.Event()
        self.written.add(written)
        record = await self.get(run)
        try:
            async with asyncio.timeout(PATIENCE):
                while not test(record):
                    if record.state.terminal:
                        raise TimeoutError
                    await _set_soon(written)
                    record = await self.get(run)
        except TimeoutError:
            raise AssertionError(f"{run.id} did not {what}: it is {record.state.value}, error {record.error}") from None
        finally:
            self.written.discard(written)
        return record

    async def events(self, run: RunHandle[Any]) -> list[StoredEvent]:
        """What the run has said so far."""
        await self.app.streams.flush()
        return await self.app.streams.read(run.id)

    async def items(self, run: RunHandle[Any], stream: Readable[S]) -> list[S]:
        """The items of a stream that the run has appended so far, without what a retry voided."""
        return [stream.read(data) for data in Fold().apply_all(await self.events(run)).stream(stream.name)]

    async def replay(self, run: RunHandle[Any]) -> ReplayReport:
        """Whether today's code would go through what the run has recorded."""
        record = await self.get(run)
        task = defined[record.task]
        waited = await self.app.database.read(waitpoints.of_run(record.key))
        entries = await self.app.runs.journal(run.id)
        looked = next((one.value for one in entries if one.key == "thread.history#0" and one.value is not None), None)
        before = () if looked is None else (await self.app.database.read(recall(record.thread or "", looked))).messages
        return await replay(task, record, entries, waited, before, await self._bodies(entries))

    async def _bodies(self, entries: list[JournalEntry]) -> dict[str, str]:
        """The bodies of the prompts that a run holds, by hash."""
        keys = [(one.key.rpartition("/prompt:")[2].removeprefix("prompt:"), one) for one in entries if "prompt:" in one.key]
        held = [(key.partition(":")[0], loads(one.value or "{}")["hash"]) for key, one in keys]
        return {hash: (await self.app.prompts.version(name, hash)).body for name, hash in held}

    def calls(self, function: Step[..., Any] | Task[..., Any]) -> int:
        """How often the body of a step or task was called in this test."""
        return sum(calls for one, calls in performed.items() if getattr(one, "function", None) is function.function)

    # -- faults --------------------------------------------------------------------------------------------------------------------------

    async def crash(self) -> None:
        """The worker dies as by `kill -9`; its lease runs out and another worker takes over."""
        await self.stop()
        await self.go_on()

    async def stop(self) -> None:
        """The worker dies as by `kill -9`, and none is left."""
        app = self.app
        opened.discard(app)
        await app.outbox.kill()
        if app.worker is not None:
            await app.worker.kill()
        await app.streams.close()
        await app.database.close()

    async def go_on(self, tasks: Mapping[str, Task[..., Any]] | None = None) -> None:
        """Another worker starts, and finds the lease of a dead one run out."""
        self.app = self._app(tasks)
        await self.app.open()
        launcher.set(self.app)
        await self.clock.advance((self.settings.lease + 1) / SECOND)

    async def settle(self) -> None:
        """Return once the engine has nothing left to do at this moment of the clock."""
        quiet, seen = 0, self._activity
        while quiet < 25:
            # A loop that turns meanwhile takes the time of a database server that shares its processor.
            await (self._answer() if self._asked else asyncio.sleep(0))
            quiet, seen = (quiet + 1, seen) if seen == self._activity and not self._waits else (0, self._activity)

    async def _answer(self) -> None:
        """The next answer of the database."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append(answer)
        await answer

    @property
    def _waits(self) -> bool:
        """Whether the engine waits for an answer, of the database or of a stream."""
        with suppress(ConfigurationError):
            return bool(self._asked or self.app.streams.reading)
        return bool(self._asked)

    @contextmanager
    def asking(self, *, writes: bool = False) -> Generator[None]:
        """The engine uses the database."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1
            self._activity += 1
            for event in self.written if writes else ():
                event.set()
            for answer in self._awaited:
                if not answer.done():
                    answer.set_result(None)
            self._awaited.clear()


async def _set_soon(event: asyncio.Event) -> None:
    """Return when it is set, and clear it; or after a moment, for another process may have written."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOMENT):
            await event.wait()
    event.clear()


class _Everything(Mapping[str, Task[..., Any]]):
    """Every task of this process, looked up when it is asked for; one that nobody holds any more may vanish at any time."""

    def values(self) -> Any:
        """The tasks that are alive now."""
        return [task for _, task in defined.items()]

    def __getitem__(self, name: str) -> Task[..., Any]:
        return defined[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in defined.items()])

    def __len__(self) -> int:
        return len(defined.items())


class _LiveVerbs:
    """The verbs of whatever app the engine has open now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, run_id: str) -> RunRecord:
        return await self._engine.app.runs.get(run_id)

    async def ended(self, run_id: str, timeout: Any) -> RunRecord:
        async with asyncio.timeout(PATIENCE if timeout is None else None):
            return await self._engine.app.runs.ended(run_id, timeout)

    async def cancel(self, run_id: str, reason: str) -> RunRecord:
        return await self._engine.app.runs.cancel(run_id, reason)

    def events(self, run_id: str, after: Any) -> Any:
        return self._engine.app.runs.events(run_id, after)

    async def send(self, run_id: str, stream: Writable[T], message: T, *, idempotency_key: str | None = None) -> int:
        return await self._engine.app.runs.send(run_id, stream, message, idempotency_key=idempotency_key)


class _Watched:
    """A database that tells the engine of its use."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self.dialect = database.dialect

    async def transact(self, transaction: Transaction[T]) -> T:
        with self._engine.asking(writes=True):
            return await self._database.transact(transaction)

    async def execute(self, query: Query) -> Rows:
        with self._engine.asking(writes=True):
            return await self._database.execute(query)

    async def fetch(self, query: Query) -> Rows:
        with self._engine.asking():
            return await self._database.fetch(query)

    async def read(self, transaction: Transaction[T]) -> T:
        with self._engine.asking():
            return await self._database.read(transaction)

    def blocking(self) -> BlockingDatabase:
        return self._database.blocking()

    async def close(self) -> None:
        await self._database.close()
