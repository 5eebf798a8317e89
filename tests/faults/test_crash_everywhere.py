"""A worker that dies at any write, or whose connection breaks there, costs no result and no second call of what was recorded."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import pytest

from agentflow.app.rebuild import load
from agentflow.database import open_database
from agentflow.database.port import Database
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import ConnectionLost, StorageError, WaitpointAlreadyAnswered
from agentflow.handle import outcome
from agentflow.records import EntryKind, RunRecord, RunState
from agentflow.serde import decode_failure, loads
from agentflow.storage import journal, listing
from agentflow.storage.listing import RunFilter
from agentflow.streams.fold import Fold
from agentflow.testing import Engine
from agentflow.testing.faults import Crashed, CrashingDatabase
from tests.faults.flaky import Break, FlakyDatabase
from tests.faults.workloads import Workload, agreeing, conversing, everything, in_a_thread, numbers, talking, within_a_budget
from tests.servers.postgres import PostgresServer

T = TypeVar("T")
Mode = Literal["before", "after"]
WORKLOADS: dict[str, Callable[[], Workload]] = {
    "everything": everything,
    "an agent": talking,
    "calls agreed to": agreeing,
    "a conversation": conversing,
    "a thread": in_a_thread,
    "a budget": within_a_budget,
}
PATIENCE = 20.0
Fresh = Callable[[], AbstractContextManager[str | None]]
"""Makes an empty database: its URL, or None for a file in the engine's folder."""


class Place(NamedTuple):
    """Where an engine keeps things."""

    folder: Path
    redis: str
    url: str | None


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """On both databases."""
    if request.param == "sqlite":
        return nullcontext
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return partial(postgres.database, request.getfixturevalue("migrated"))


def writes(fresh: Fresh, mode: Mode) -> Iterator[int]:
    """Where to stop a workload: at every fifth write on SQLite; on PostgreSQL, where each takes its time, at every fifteenth.

    Before and after take turns: to die after a write is nearly to die before the next. `EVERY_WRITE=1` stops at all of them, in both ways.
    """
    if os.environ.get("EVERY_WRITE"):
        return count(1)
    stride = 5 if fresh is nullcontext else 15
    return count(1 if mode == "before" else 1 + stride // 2, stride)


class Driver:
    """Takes a workload to its end: starts it, answers, lets time pass, and once replaces the worker when it has died."""

    def __init__(self, engine: Engine, work: Workload, doomed: CrashingDatabase | None = None) -> None:
        self._engine = engine
        self._work = work
        self._doomed = doomed
        self._opened = False
        self._replaced = False
        self.recorded: set[str] = set()
        self.called_before = 0

    async def run(self) -> RunRecord:
        """The run once it has ended."""
        run_id = await self._surely(self._start)
        async with asyncio.timeout(PATIENCE):
            while not (run := await self._surely(lambda: self._look(run_id))).state.terminal:
                await self._surely(self._let_time_pass)
        await self._surely(self._settle)
        return run

    async def _settle(self) -> None:
        """Let what is under way end. From here on nothing dies: a worker writes now and then for as long as it lives."""
        await self._engine.settle()
        if self._doomed is not None:
            self._doomed.disarm()

    async def open(self) -> None:
        """Begin. An app that dies while it opens has closed what it had."""
        with suppress(Crashed):
            await self._engine.open()
            self._opened = True
        if self._dead:
            await self._replace()

    @property
    def _dead(self) -> bool:
        return self._doomed is not None and self._doomed.crashed.is_set() and not self._replaced

    async def _surely(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            with suppress(Crashed, ConnectionLost):
                result = await work()
                if not self._dead:
                    return result
            if self._dead:
                await self._replace()

    async def _replace(self) -> None:
        """Another worker, on a sound database; what was recorded by now may not run again."""
        engine = self._engine
        engine.wrap = lambda database: database
        if self._opened:
            await engine.stop()
        self._replaced = True
        self.recorded = await recorded(engine.database_url)
        self.called_before = len(self._work.called)
        await engine.go_on()

    async def _start(self) -> str:
        handle = await self._engine.start(self._work.task.using(idempotency_key="the one"), *self._work.given)
        return handle.id

    async def _look(self, run_id: str) -> RunRecord:
        await self._engine.settle()
        app = self._engine.app
        for one in await app.waitpoints.list(kind="approval"):
            if self._work.steers is not None:
                thread, said = self._work.steers
                await app.thread(thread).send(said, mode="steer", agent="support", idempotency_key="the word")
            with suppress(WaitpointAlreadyAnswered):
                cut_off = loads(one.subject).get("kind") == "outcome"
                edits = {"outcome": "done", "value": self._work.looked} if cut_off else None
                await app.waitpoints.approve(one.id, by="maria", edits=edits)
        for number in self._work.sent:
            # Whoever is not told whether it was sent, sends it again.
            await app.runs.send(run_id, numbers, number, idempotency_key=f"number {number}")
        return await app.runs.get(run_id)

    async def _let_time_pass(self) -> None:
        """Much of it only while nothing is under way; a little always, for who waits for the database to come back."""
        app = self._engine.app
        await self._engine.clock.advance("1s")
        states = {run.state for run in await app.runs.list() if not run.state.terminal}
        if states <= {RunState.WAITING, RunState.SCHEDULED} and not await app.waitpoints.list(kind="approval"):
            await self._engine.clock.advance("10m")


async def recorded(url: str) -> set[str]:
    """The run and key of every step that has a record; nothing while there are no tables."""
    database = open_database(url)
    found: set[str] = set()
    with suppress(StorageError):
        for run in (await database.read(listing.page(RunFilter()))).runs:
            entries = await database.read(journal.load(run.key))
            found |= {f"{run.id}:{entry.key}" for entry in entries if entry.kind is EntryKind.RESULT}
    await database.close()
    return found


async def check_streams(engine: Engine) -> None:
    """Every run has completed, and no stream says more than one `end` or anything after it.

    A stream may lack it: who dies between the last commit and the last word leaves that to the readers, who look into the database.
    """
    await engine.app.streams.flush()
    for run in await engine.app.runs.list():
        assert run.state is RunState.COMPLETED, (run.task, run.state, decode_failure(run.error or "{}").traceback)
        told = [entry.event.type for entry in await engine.app.streams.read(run.id)]
        assert "end" not in told[:-1], (run.task, told)


async def check_items(engine: Engine, run: RunRecord, work: Workload) -> None:
    """Readers know every item, once and in order; also those who come when the stream is gone and hear of it from the database."""
    if not work.said:
        return
    for events in (await engine.app.streams.read(run.id), (await engine.app.database.read(load(run.id))).events):
        fold = Fold().apply_all(events)
        assert {name: fold.stream(name) for name in fold.items} == work.said


async def check_usage(engine: Engine, run: RunRecord, work: Workload) -> None:
    """What was recorded counts once, and each question was asked once."""
    assert (await engine.app.runs.usage(run.id)).total.tokens == work.used or not work.used
    questions = await engine.app.waitpoints.list(kind="approval", state=None)
    assert len(questions) == work.asked or not work.asked


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("kind", WORKLOADS)
async def test_a_crash_at_any_write_ends_in_the_same_result_and_repeats_nothing_recorded(
    tmp_path: Path, stream_server: str, fresh: Fresh, kind: str, mode: Mode
) -> None:
    """Crash everywhere: at the n-th write, for every n, until a whole run needs fewer."""
    number = 0
    for number in writes(fresh, mode):
        with fresh() as url:
            (tmp_path / f"{number}").mkdir()
            crashed = await crash_at(Place(tmp_path / f"{number}", stream_server, url), WORKLOADS[kind](), number, mode)
        if not crashed:
            break
    print(f"{kind}: crashed {mode} {number - 1} writes")
    assert number > 20


async def crash_at(place: Place, work: Workload, number: int, mode: Mode) -> bool:
    """Run the work and crash at its n-th write; False when it needed fewer."""
    made: list[CrashingDatabase] = []

    def crashing(database: Database) -> Database:
        made.append(CrashingDatabase(database, number, mode))
        return made[-1]

    engine = Engine(place.folder, place.redis, wrap=crashing, database=place.url)
    driver = Driver(engine, work, made[0])
    await driver.open()
    try:
        run = await driver.run()
        await check_streams(engine)
        await check_items(engine, run, work)
        await check_usage(engine, run, work)
    finally:
        await engine.stop()
    assert outcome(run, work.task.codec) == work.result, (number, run)
    again = driver.recorded & set(work.called[driver.called_before :])
    assert not again, (number, again)
    assert max(Counter(work.called).values()) <= (2 if work.looked is None else 1)
    return made[0].crashed.is_set()


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("kind", WORKLOADS)
async def test_a_connection_that_breaks_at_any_write_ends_in_the_same_result_and_repeats_nothing_at_all(
    tmp_path: Path, stream_server: str, fresh: Fresh, kind: str, mode: Mode
) -> None:
    """T14 everywhere: the process lives on and knows what it did."""
    number = 0
    for number in writes(fresh, mode):
        with fresh() as url:
            (tmp_path / f"{number}").mkdir()
            broke = await break_at(Place(tmp_path / f"{number}", stream_server, url), WORKLOADS[kind](), number, mode)
        if not broke:
            break
    print(f"{kind}: broke {mode} {number - 1} writes")
    assert number > 20


async def break_at(place: Place, work: Workload, number: int, mode: Mode) -> bool:
    """Run the work while its n-th write fails once; False when it needed fewer."""
    made: list[FlakyDatabase] = []
    writes = 0

    def flaky(database: Database) -> Database:
        made.append(FlakyDatabase(database))
        return made[-1]

    def breaks(name: str) -> Break:
        nonlocal writes
        writes += 1
        return mode if writes == number else None

    engine = Engine(place.folder, place.redis, WorkerSettings(poll=0.02 if place.url is None else 0.5), wrap=flaky, database=place.url)
    driver = Driver(engine, work)
    await driver.open()
    made[0].breaks = breaks
    try:
        run = await driver.run()
        await check_streams(engine)
        await check_items(engine, run, work)
        await check_usage(engine, run, work)
    finally:
        await engine.stop()
    assert outcome(run, work.task.codec) == work.result, (number, run)
    assert max(Counter(work.called).values()) == 1, number
    return writes >= number
