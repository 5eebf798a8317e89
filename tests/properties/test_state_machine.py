"""Any order of transitions, also by workers that are long dead: one live epoch, no lost wake-up, append-only journal, terminal is final."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from agentflow.clock import SystemClock
from agentflow.control import LeaseLost
from agentflow.database.migrate import migrate
from agentflow.database.port import Transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.database.sqlite_connection import BlockingSqlite
from agentflow.errors import RunError, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import Failure, RunRecord, RunState, WaitKind, WaitState, WorkerRecord
from agentflow.storage import journal, listing, queues, rows, runs, transitions, versions, waitpoints, workers
from agentflow.storage.queues import Claimant
from agentflow.storage.runs import Lease, Lessee, NewRun
from agentflow.storage.statements import MIGRATIONS, SQL
from agentflow.storage.transitions import End, Ended, Release, Spent
from agentflow.storage.waitpoints import Ending, NewWaitpoint
from tests.properties.model import TERMINAL, ModelRun

NOTHING = cast("Any", multiple())
LEASE = 1_000
LIMIT = 2
"""Crashes in a row that a run survives."""
NAMES = ("a", "b")
SERVES = {"a": ("t", "t@1"), "b": ("t", "t@2")}
"""What each worker has the code for: a version each, and runs without one."""
LANES = (None, "k")
VERSIONS = (None, "1", "2")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""What is durable is tested elsewhere; here every commit would wait for the disk."""


@functools.cache
def template() -> Path:
    """An empty database with its tables."""
    path = Path(tempfile.mkdtemp(prefix="af-model-", dir=MEMORY)) / "empty.db"

    async def make() -> None:
        database = SqliteDatabase(path)
        await migrate(database, MIGRATIONS, SystemClock())
        await database.close()

    asyncio.run(make())
    return path


class Storage(RuleBasedStateMachine):
    """Workers come, hold runs, and die without noticing; `leases` keeps every lease there ever was."""

    ids: Bundle[str] = Bundle("ids")
    leases: Bundle[Lease] = Bundle("leases")
    waits: Bundle[tuple[str, str]] = Bundle("waits")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="af-model-", dir=MEMORY))
        shutil.copy(template(), self.folder / "test.db")
        self.database = BlockingSqlite(self.folder / "test.db")
        self.now = 1_000_000
        self.model: dict[str, ModelRun] = {}
        self.final: dict[str, Any] = {}
        self.workers: dict[str, int] = {}
        self.count = 0
        for name in NAMES:
            self._join(name)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    def _do(self, transaction: Transaction[Any]) -> Any:
        self.now += 1
        return self.database.transact(transaction)

    def _next(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def _join(self, name: str) -> None:
        self.workers[name] = self.now + LEASE
        live: dict[str, Any] = {"slots": 9, "queues": ("q",), "tasks": SERVES[name], "state": "live", "started_at": self.now}
        record = WorkerRecord(id=name, host="h", pid=1, expires_at=self.now + LEASE, claimed_at=self.now, **live)
        self._do(workers.register(record, [], self.now))

    def _renew(self, name: str) -> None:
        if self._do(workers.renew(name, self.now + LEASE, self.now)):
            self.workers[name] = self.now + LEASE - 1

    @contextmanager
    def _fenced(self, lease: Lease) -> Generator[ModelRun]:
        """What is done in here must be refused, and change nothing, unless the lease holds."""
        model = self.model[lease.run_id]
        held = model.holds(lease)
        try:
            yield model
        except LeaseLost:
            assert not held
        else:
            assert held

    # -- what callers do -----------------------------------------------------------------------------------------------------------------

    @rule(target=ids, ttl=st.none() | st.just(LEASE // 2), lane=st.sampled_from(LANES), version=st.sampled_from(VERSIONS))
    def start(self, ttl: int | None, lane: str | None, version: str | None) -> str:
        run_id = self._next("run")
        expires = None if ttl is None else self.now + ttl
        new = NewRun(id=run_id, task="t", queue="q", input="{}", expires_at=expires, concurrency_key=lane, version=version)
        self._do(runs.start(new, self.now))
        self.model[run_id] = ModelRun(expires, self.count, lane, version)
        return run_id

    @rule(target=leases, worker=st.sampled_from(NAMES))
    def start_here(self, worker: str) -> Any:
        """On a worker with a free slot, which may have died meanwhile."""
        run_id, living = self._next("run"), self._lives(worker)
        run = self._do(runs.start(NewRun(id=run_id, task="t", queue="q", input="{}", lessee=Lessee(worker, run_id)), self.now)).run
        model = self.model[run_id] = ModelRun(None, self.count)
        return self._claimed(run, model, worker) if living else NOTHING

    @rule(target=leases, one=waits, lessee=st.none() | st.sampled_from(NAMES), kept=st.sampled_from(VERSIONS))
    def answer(self, one: tuple[str, str], lessee: str | None, kept: str | None) -> Any:
        """By somebody, or on the very worker that keeps the run in memory, which goes on with it at once, unless it was moved."""
        run_id, waitpoint = one
        model = self.model[run_id]
        expected = waitpoint in model.open
        at_once = lessee is not None and model.state == "waiting" and self._lives(lessee) and model.version == kept
        try:
            offer = None if lessee is None else Lessee(lessee, run_id, kept)
            woken = self._do(waitpoints.end(waitpoint, Ending(WaitState.ANSWERED, "1", "maria"), self.now, offer))
        except (WaitpointAlreadyAnswered, WaitpointTimedOut):
            assert not expected
            return NOTHING
        assert expected
        model.wake(waitpoint)
        assert bool(woken.leased) == at_once
        return self._claimed(woken.leased[0], model, lessee or "") if woken.leased else NOTHING

    def _lives(self, worker: str) -> bool:
        return self.workers.get(worker, 0) > self.now

    def _claimed(self, run: RunRecord, model: ModelRun, worker: str) -> Lease:
        model.claim(worker)
        return Lease(run.key, run.id, run.epoch, worker)

    @rule(run_id=ids)
    def cancel(self, run_id: str) -> None:
        self._do(transitions.ask_cancel(run_id, "enough", self.now + LEASE, self.now))
        self.model[run_id].cancel()

    @rule(lease=leases)
    def cancel_started(self, lease: Lease) -> None:
        self.cancel(run_id=lease.run_id)

    # -- what workers do, dead or alive --------------------------------------------------------------------------------------------------

    @rule(target=leases, worker=st.sampled_from(NAMES), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> Any:
        ready = {run_id: run for run_id, run in self.model.items() if self._takes(worker, run)}
        claimed = self._claim(worker, limit)
        if limit > 1:
            assert {self.model[run.id].lane for run in claimed} == {run.lane for run in ready.values()}, "one key keeps another waiting"
        while 0 < len(claimed) < limit and (more := self._claim(worker, limit - len(claimed))):
            claimed += more
        assert {run.id for run in claimed} <= ready.keys()
        assert len(claimed) == min(limit, len(ready))
        for lane in LANES:
            first = sorted(run.order for run in ready.values() if run.lane == lane)
            taken = sorted(ready[run.id].order for run in claimed if run.concurrency_key == lane)
            assert taken == first[: len(taken)], "one run overtakes another of its key"
        return multiple(*(self._claimed(run, self.model[run.id], worker) for run in claimed))

    def _claim(self, worker: str, limit: int) -> list[RunRecord]:
        claimant = Claimant(worker=worker, serves=SERVES[worker], limit=limit)
        return self._do(queues.claim_open(claimant, [("q", None)], self.now)).runs

    def _takes(self, worker: str, run: ModelRun) -> bool:
        return self._lives(worker) and run.claimable(self.now) and run.code in SERVES[worker]

    @rule(worker=st.sampled_from(NAMES))
    def sift(self, worker: str) -> None:
        """A worker sets aside what neither it nor any other that lives has the code for, and takes back what it has."""
        living = {code for name in NAMES if self._lives(name) for code in SERVES[name]}
        for run in self.model.values():
            if run.state == "queued":
                run.unserved = run.code not in SERVES[worker] and (run.unserved or run.code not in living)
        self._do(queues.sift(["q"], SERVES[worker], 99, self.now))
        self._do(queues.serve(["q"], SERVES[worker]))

    @rule(run_id=ids, to=st.sampled_from(VERSIONS))
    def move(self, run_id: str, to: str | None) -> None:
        model = self.model[run_id]
        try:
            self._do(versions.move(run_id, to))
        except RunError:
            assert model.state in TERMINAL
            return
        assert model.state not in TERMINAL
        model.version, model.unserved = to, False

    @rule(lease=leases)
    def record(self, lease: Lease) -> None:
        model = self.model[lease.run_id]
        seq = len(model.journal) + 1
        written = self._do(_append(lease, seq, f'"{self.now}"', self.now))
        assert bool(written) == model.holds(lease)
        if written:
            model.journal.append((seq, f'"{self.now - 1}"', lease.epoch))

    @rule(target=waits, lease=leases)
    def wait(self, lease: Lease) -> Any:
        new = NewWaitpoint(id=self._next("wp"), key=self._next("key"), kind=WaitKind.APPROVAL, attempt=1)
        with self._fenced(lease) as model:
            self._do(waitpoints.create(lease, new, self.now))
            model.open.add(new.id)
            return lease.run_id, new.id
        return NOTHING

    @rule(lease=leases, missed=st.integers(0, 1))
    def suspend(self, lease: Lease, missed: int) -> None:
        if not self.model[lease.run_id].open:
            return
        with self._fenced(lease) as model:
            seen = max(0, model.wakes - missed)
            parked = self._do(transitions.suspend(lease, seen, Spent(active=0))) is None
            assert parked == model.suspend(seen)

    @rule(lease=leases, state=st.sampled_from((RunState.COMPLETED, RunState.FAILED)))
    def finish(self, lease: Lease, state: RunState) -> None:
        error = Failure(code="error", type="E", message="no") if state is RunState.FAILED else None
        end = End(state=state, error=error, output=None if error else "1")
        with self._fenced(lease) as model:
            self._do(transitions.finish(lease, end, Spent(active=0), self.now))
            model.leave("cancelled" if model.cancelling else state.value)

    @rule(lease=leases)
    def retry(self, lease: Lease) -> None:
        with self._fenced(lease) as model:
            self._do(transitions.release(lease, Release(attempt=self.now), Spent(active=0), self.now))
            model.leave("cancelled" if model.cancelling else "queued")

    # -- what time does ------------------------------------------------------------------------------------------------------------------

    @rule(victim=st.sampled_from(NAMES), swept=st.booleans())
    def crash(self, victim: str, swept: bool) -> None:
        """All but one renew; its lease ends, and it does not know."""
        for _ in range(2):
            self.now += LEASE // 2 + 10
            for name in NAMES:
                if name != victim:
                    self._renew(name)
        if swept:
            self.sweep(again=False)

    @rule(again=st.booleans())
    def sweep(self, again: bool) -> None:
        for name, died_at in self._do(workers.dead(self.now, 9)):
            assert self.workers[name] <= self.now
            held = self._do(workers.held_by(name, 99))
            assert set(held) == {run_id for run_id, run in self.model.items() if run.worker == name}
            for run_id in held * (1 + again):
                self._recover(run_id, name, died_at)
            self._do(workers.remove(name))
            self._join(name)

    def _recover(self, run_id: str, worker: str, died_at: int) -> None:
        model = self.model[run_id]
        found = self._do(transitions.recover(run_id, worker, LIMIT, died_at, self.now))
        if model.worker != worker:
            assert found is None
        elif model.recoveries >= LIMIT:
            assert isinstance(found, Ended)
            model.leave("failed")
        else:
            model.leave("queued")
            model.recoveries += 1

    @rule(run_id=ids)
    def expire(self, run_id: str) -> None:
        model = self.model[run_id]
        due = model.expires_at is not None and model.expires_at <= self.now and model.epoch == 0 and model.state not in TERMINAL
        ended = self._do(transitions.expire(run_id, self.now))
        assert (ended is not None) == due
        if due:
            model.leave("expired")

    @precondition(lambda self: any(run.cancelling for run in self.model.values()))
    @rule(lease=leases)
    def force_cancel(self, lease: Lease) -> None:
        model = self.model[lease.run_id]
        self._do(transitions.force_cancel(lease.run_id, self.now))
        if model.cancelling and model.state not in TERMINAL:
            model.leave("cancelled")

    # -- what always holds ---------------------------------------------------------------------------------------------------------------

    @invariant()
    def the_database_agrees_with_the_model(self) -> None:
        found = self.database.transact(_look(list(self.model)))
        for (run_id, model), (run, entries, waiting) in zip(self.model.items(), found, strict=True):
            assert (run.state.value, run.epoch, run.worker, run.version) == (model.state, model.epoch, model.worker, model.version)
            assert [(entry.seq, entry.value, entry.epoch) for entry in entries] == model.journal
            assert {one.id for one in waiting} == model.open
            if run.state is RunState.WAITING:
                assert waiting, "nothing will ever wake this run"
                assert run.wakes == model.wakes
            if run.state.terminal:
                assert self.final.setdefault(run_id, run) == run


def _append(lease: Lease, seq: int, value: str, now: int) -> Transaction[Any]:
    columns = {"seq": seq, "kind": "value", "step": f"s{seq}", "value": value, "digest": None, "code": None, "attempt": 1, "tries": 1}
    return (yield SQL.journal.append(run=lease.run, **columns, epoch=lease.epoch, started_at=now, ended_at=now))


def _look(run_ids: list[str]) -> Transaction[Any]:
    found: list[Any] = []
    for run_id in run_ids:
        run = rows.run((yield SQL.runs.get(id=run_id))[0])
        entries = yield from journal.load(run.key)
        waiting = yield from listing.waitpoints(state="pending", run_id=run_id)
        found.append((run, entries, waiting))
    return found


TestStorage = Storage.TestCase
TestStorage.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
