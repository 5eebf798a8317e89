"""One soak, from its servers to its report."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agentflow import Agentflow
from agentflow.records import RunRecord
from agentflow.server import create_asgi
from tests.faults.soak import invariants, previous, streamed
from tests.faults.soak.clock import JumpingClock, Offsets
from tests.faults.soak.customers import Customers, insist
from tests.faults.soak.faults import Field, Misfortune
from tests.faults.soak.fleet import Fleet, Forker, Member
from tests.faults.soak.limit import Limit
from tests.faults.soak.readers import Audience
from tests.faults.soak.report import Report
from tests.faults.soak.schedule import Fault, faults
from tests.faults.soak.stores import PostgresStore, SqliteStore, Store, wire
from tests.faults.soak.truth import Truth, every_run, read_truth
from tests.faults.soak.worker import Post
from tests.faults.soak.workload import orders, pause
from tests.server.site import served
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer

SETTLE = 45.0
"""Seconds after the last fault within which every run must have ended."""
HEARING = 20.0
"""Seconds after that within which every reader must have been told."""
CLIENTS = 3
"""Two that start and answer, one that serves the readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A soak; all of it follows from the seed. `rate`: runs started per second; `before`: the revision that half of the workers run."""

    seed: int
    seconds: float
    workers: int = 4
    database: str = "postgres"
    rate: float = 6.0
    before: str = "HEAD~1"

    @property
    def schedule(self) -> list[Fault]:
        """The faults."""
        return faults(self.seed, self.seconds, self.workers, server=self.database == "postgres")


class Soak:
    """A soak that goes on."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._stack = AsyncExitStack()
        self._offsets = Offsets(folder / "clock")
        self._store: Store = PostgresStore() if plan.database == "postgres" else SqliteStore(folder)
        self._valkey = ValkeyServer()
        self._fleet = Fleet(folder)
        self._databases: dict[int, Proxy | None] = {}
        self._streams: dict[int, Proxy] = {}
        self._apps: list[Agentflow] = []
        self._report = Report(f"seed {plan.seed}: {plan.seconds:g} s, {plan.workers} workers on {plan.database}")

    async def run(self) -> Report:
        """Do all of it."""
        async with self._stack:
            await self._begin()
            audience = Audience(await self._stack.enter_async_context(served(create_asgi(self._apps[-1]))))
            self._stack.push_async_callback(audience.close)
            customers = Customers(self._plan.seed, self._apps[:-1], audience.follow)
            misfortune = await self._suffer(customers)
            self._report.count(misfortune.done)
            truth = await insist(lambda: read_truth(self._apps[0].database, self._folder / "bodies"))
            await self._check(truth, customers, audience)
            self._count(truth, customers)
        return self._report

    # -- begin ---------------------------------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        self._stack.callback(self._valkey.close)
        await asyncio.to_thread(self._valkey.start)
        for number in range(1, self._plan.workers + CLIENTS + 1):
            await self._wire(number)
        await self._fleet.open()
        self._stack.push_async_callback(self._fleet.close)
        code = await self._previous()
        now = await Forker.load(None)
        before = now if code is None else await Forker.load(code)
        evens = range(2, self._plan.workers + 1, 2)
        # Those of before come first: they make the database, and are there while it is brought up to date.
        await asyncio.gather(*(self._fleet.hire(Member(self._post(number), before)) for number in evens))
        for number in range(self._plan.workers + 1, self._plan.workers + CLIENTS + 1):
            await self._open_client(self._post(number))
        if code is not None and (refused := await previous.refusal(code, self._store.url(None))) is not None:
            self._report.remarks.append(f"workers of {self._plan.before} began, and come back as those of today: {refused}")
            self._fleet.upgrade = now
        odds = range(1, self._plan.workers + 1, 2)
        await asyncio.gather(*(self._fleet.hire(Member(self._post(number), now)) for number in odds))

    async def _wire(self, number: int) -> None:
        self._databases[number] = await self._store.wire()
        self._streams[number] = await wire(self._valkey.port)
        for proxy in (self._databases[number], self._streams[number]):
            if proxy is not None:
                self._stack.push_async_callback(proxy.close)

    def _post(self, number: int) -> Post:
        redis = f"redis://127.0.0.1:{self._streams[number].port}"
        database = self._store.url(self._databases[number])
        return Post(name=f"w{number}", number=number, database=database, redis=redis, folder=str(self._folder))

    async def _previous(self) -> Path | None:
        """The code that half of the workers run, where that can be had."""
        code = self._folder / "before"
        refused = await previous.usable(self._plan.before, code, await self._store.scratch())
        if refused is None:
            self._report.remarks.append(f"half of the workers run {self._plan.before}")
            return code
        self._report.remarks.append(f"all workers run today's code, for that of {self._plan.before} cannot be used: {refused}")
        return None

    async def _open_client(self, post: Post) -> None:
        clock = JumpingClock(self._offsets)
        app = Agentflow(database=post.database, redis=post.redis, directory=self._folder, worker=False, clock=clock)
        await app.open()
        self._stack.push_async_callback(app.close)
        self._apps.append(app)

    # -- the time of faults --------------------------------------------------------------------------------------------------------------

    async def _suffer(self, customers: Customers) -> Misfortune:
        """Runs and faults for some seconds, then peace until every run has ended."""
        misfortune = Misfortune(
            Field(self._fleet, self._databases, self._streams, self._store, self._valkey, self._offsets),
        )
        plan, began = self._plan, asyncio.get_running_loop().time()
        answering = asyncio.create_task(customers.attend())
        limit = Limit(self._apps[0].database)
        watching = asyncio.create_task(limit.watch())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(misfortune.happen(plan.schedule, began))
                group.create_task(customers.order(orders(plan.seed, plan.seconds, plan.rate), began))
            took = await self._settled(answering)
            self._report.remarks.append(f"every run had ended {took:.1f} s after the last fault")
        except TimeoutError:
            self._report.remarks.append(f"{SETTLE:g} s after the last fault there are runs that have not ended")
        finally:
            for task in (answering, watching):
                task.cancel()
            await asyncio.wait({answering, watching})
        self._check_limit(limit)
        return misfortune

    def _check_limit(self, limit: Limit) -> None:
        self._report.count({"at once in the narrow queue": limit.most})
        if all(member.forker.limited for member in self._fleet.members.values()):
            self._report.check("no_queue_above_its_limit", limit.wrong)
        else:
            self._report.remarks.append("some workers know of no limits: whether they are kept is not checked")

    async def _settled(self, answering: asyncio.Task[None]) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(SETTLE):
            while any(not run.state.terminal for run in await self._every_run()):
                if answering.done():
                    answering.result()
                await pause(0.2)
        return loop.time() - began

    async def _every_run(self) -> list[RunRecord]:
        return await insist(lambda: every_run(self._apps[0].database))

    # -- what came of it -----------------------------------------------------------------------------------------------------------------

    async def _check(self, truth: Truth, customers: Customers, audience: Audience) -> None:
        check, memory = self._report.check, customers.memory
        check("every_run_ended_once", list(invariants.every_run_ended_once(truth)))
        check("every_order_is_one_run", list(invariants.every_order_is_one_run(truth, memory)))
        check("every_result_is_right", list(invariants.every_result_is_right(truth, memory)))
        check("nothing_recorded_was_done_again", list(invariants.nothing_recorded_was_done_again(truth)))
        check("every_record_has_a_body", list(invariants.every_record_has_a_body(truth)))
        check("every_child_was_started_once", list(invariants.every_child_was_started_once(truth)))
        check("no_wait_is_left_open", list(invariants.no_wait_is_left_open(truth)))
        check("every_answer_counts_once", list(invariants.every_answer_counts_once(truth, memory)))
        check("every_slot_is_free", await self._slots())
        check("no_engine_error", list(self._errors()))
        await self._listen(truth, audience)

    async def _listen(self, truth: Truth, audience: Audience) -> None:
        ended = [run.id for run in truth.runs.values() if run.state.terminal]
        deaf = await audience.done(HEARING)
        self._report.check("every_reader_was_told_the_end", [f"{run_id} has ended, its reader waits" for run_id in deaf])
        live = {run_id: reader for run_id, reader in audience.readers.items() if run_id not in deaf and run_id in ended}
        self._report.check("what_was_told_live_is_true", list(streamed.every_stream_is_whole(truth, live, "live")))
        later = {run_id: await audience.again(run_id, HEARING) for run_id in ended}
        self._report.check("what_is_told_afterwards_is_true", list(streamed.every_stream_is_whole(truth, later, streamed.AFTERWARDS)))
        self._report.count(
            {
                "readers": len(live),
                "events": sum(one.events for one in live.values()),
                "cuts of readers": sum(one.cuts for one in live.values()),
                "resets": sum(one.resets for one in live.values()),
            }
        )

    async def _slots(self) -> list[str]:
        wrong: list[str] = []
        for number in self._fleet.members:
            state = await self._fleet.until(number, lambda state: state["free"] == state["slots"])
            if state["free"] != state["slots"] or state["active"]:
                wrong.append(f"worker {number} is idle and has {state}")
        return wrong

    def _logs(self) -> Mapping[str, Sequence[str]]:
        return {path.name: path.read_text(encoding="utf-8").splitlines() for path in sorted(self._folder.glob("w*.log"))}

    def _errors(self) -> list[str]:
        """What was logged with a traceback, and its last line: the engine expects faults, and logs those it expects in one line."""
        found: list[str] = []
        for name, lines in self._logs().items():
            for at, line in enumerate(lines):
                if line.startswith("Traceback"):
                    rest = lines[at + 1 :]
                    last = next((one for one in rest if one and not one.startswith(" ")), "")
                    found.append(f"{name}: {lines[at - 2] if lines[at - 1].startswith('future:') else lines[at - 1]}: {last}")
        return found

    def _count(self, truth: Truth, customers: Customers) -> None:
        lines = [line for lines in self._logs().values() for line in lines]
        memory = customers.memory
        doubled = self._report.violations["nothing_recorded_was_done_again"]
        lost = self._report.violations["every_run_ended_once"] + self._report.violations["every_order_is_one_run"]
        self._report.count(
            {
                "runs": len(truth.runs),
                "ordered twice or answered twice": memory.twice,
                "answers refused": memory.refused,
                "answers too late": memory.late,
                "cancelled": len(memory.cancelled),
                "steps": sum(len(truth.results(run_id)) for run_id in truth.runs),
                "bodies": len(truth.bodies),
                "leases": sum(run.epoch for run in truth.runs.values()),
                "leases lost by live workers": sum("lost its lease" in line for line in lines),
                "recoveries": sum(": recovered from" in line for line in lines),
                "milliseconds of the longest standstill": truth.standstill,
                "lost": len(lost),
                "doubled": len(doubled),
            }
        )


async def soak(plan: Plan, *, keep: bool = False) -> Report:
    """Run a soak; its files stay when something does not hold, or with `keep`."""
    folder = Path(tempfile.mkdtemp(prefix="af-soak-", dir="/tmp"))
    report = await Soak(plan, folder).run()
    if report.failed or keep:
        report.remarks.append(f"the logs of the workers are in {folder}")
    else:
        shutil.rmtree(folder)
    return report


def counted(reports: Sequence[Report]) -> Mapping[str, int]:
    """The sums of all counts."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report.counts)
    return total
