"""`python -m tests.benchmarks.scale`: what a page, a claim and W1–W4 take beside very many runs, as ratios to a database with none.

Pages and claims among finished runs (`--finished`, a million); claims and W1–W4 beside waiting runs (`--waiting`, a hundred thousand),
where three workers share a queue that two of them keep busy.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from agentflow.clock import SystemClock
from agentflow.database import Database, Transaction, open_database
from agentflow.database.migrate import migrate
from agentflow.records import WorkerRecord
from agentflow.storage import queues, runs, workers
from agentflow.storage.queues import Claimant, Claimed
from agentflow.storage.runs import NewRun
from agentflow.storage.statements import MIGRATIONS
from tests.benchmarks.crowd import WORKLOADS, AskedWorker, seed_waiting
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes
from tests.scale.finished import fill, pages
from tests.servers.postgres import PostgresServer

CLAIMS = 100
EACH = 10
LOOKS = 30
SETTLED = 5
"""Runs of a statement until PostgreSQL has chosen its plan."""

WARM_ROUNDS = 1


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description="ratios beside very many runs")
    given.add_argument("--finished", type=int, default=1_000_000)
    given.add_argument("--waiting", type=int, default=100_000)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"])
    given.add_argument("--parts", nargs="+", choices=("finished", "waiting"), default=["finished", "waiting"])
    chosen = given.parse_args()
    disk = Path("/var/tmp")
    tempfile.tempdir = str(disk) if disk.is_dir() else None
    for database in chosen.databases:
        with two_places(database) as (empty, full):
            if "finished" in chosen.parts:
                asyncio.run(among_finished(empty, full, chosen.finished, chosen.rounds))
        with two_places(database) as (empty, full):
            if "waiting" in chosen.parts:
                beside_waiting(empty, full, Sizes(waiting_runs=chosen.waiting), chosen.rounds)


@contextmanager
def two_places(database: str) -> Generator[tuple[Place, Place]]:
    """Two empty databases of a kind, on the disk that counts."""
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="af-"))) for _ in range(2)]
        urls: list[str | None] = [None, None]
        if database == "postgres":
            server = stack.enter_context(PostgresServer.running(durable=True))
            urls = [stack.enter_context(server.database()) for _ in range(2)]
        empty, full = (Place(directory=folder, database=url) for folder, url in zip(folders, urls, strict=True))
        yield empty, full


async def among_finished(empty: Place, full: Place, count: int, rounds: int) -> None:
    """A page of each filter, and claims."""
    alone, beside = [await opened(place) for place in (empty, full)]
    began = perf_counter()
    now = SystemClock().now()
    await fill(alone, 1_000, now)
    await fill(beside, count, now)
    print(f"\n{beside.dialect}: {count:,} finished runs, made in {perf_counter() - began:.0f} s")
    print(f"  a page of 50: p50 and the slowest of {LOOKS}, ms")
    for what, page in {**pages(), **{f"{what}, half way": one for what, one in pages(count // 2).items()}}.items():
        times = await timed(partial(read, beside, page), LOOKS)
        print(f"  {what:<48} {median(times) * 1e3:7.2f} {max(times) * 1e3:7.2f}")
    found = [await claims(alone, beside) for _ in range(rounds)]
    tell("claim", [(one[0], one[1]) for one in found])
    await alone.close()
    await beside.close()


async def opened(place: Place) -> Database:
    """The database of a place, with a worker that claims."""
    database = open_database(place.database or str(place.directory / "agentflow.db"))
    clock = SystemClock()
    await migrate(database, MIGRATIONS, clock)
    now = clock.now()
    probe = WorkerRecord(
        id=f"probe{now}",
        host="here",
        pid=1,
        slots=1_000,
        queues=("probe",),
        tasks=("probe",),
        state="live",
        started_at=now,
        expires_at=now + 10**15,
        claimed_at=now,
    )
    await database.transact(workers.register(probe, (), now))
    return database


async def read(database: Database, page: Callable[[], Transaction[Any]]) -> None:
    """Read a page."""
    await database.read(page())


async def timed(work: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Seconds of each, once it is warm."""
    times: list[float] = []
    for number in range(SETTLED + count):
        began = perf_counter()
        await work()
        if number >= SETTLED:
            times.append(perf_counter() - began)
    return times


async def claims(*databases: Database) -> tuple[list[float], ...]:
    """Seconds of each claim of ten from a queue of its own, in the databases in turn."""
    claimings = [await claiming(database) for database in databases]
    found: tuple[list[float], ...] = tuple([] for _ in databases)
    for number in range(CLAIMS + SETTLED):
        for at in range(len(databases)) if number % 2 else reversed(range(len(databases))):
            began = perf_counter()
            await claimings[at]()
            if number >= SETTLED:
                found[at].append(perf_counter() - began)
    return found


async def claiming(database: Database) -> Callable[[], Awaitable[Claimed]]:
    """Fill the queue; what claims ten of it."""
    now = SystemClock().now()
    living = [one.id for one in await database.read(workers.everyone()) if one.id.startswith("probe")]
    new = [NewRun(id=f"run_{now}_{number}", task="probe", queue="probe", input="{}") for number in range((CLAIMS + SETTLED) * EACH)]
    await asyncio.gather(*(database.transact(runs.start(one, now)) for one in new))
    claimant = Claimant(worker=living[-1], serves=["probe"], limit=EACH)
    return lambda: database.transact(queues.claim_open(claimant, [("probe", None)], now))


def tell(what: str, found: Sequence[tuple[Sequence[float], Sequence[float]]]) -> None:
    """Of all rounds together: times alone and beside, and their ratio; of single rounds: the quartiles of the ratio."""
    figures: dict[str, Callable[[Sequence[float]], float]] = {"p50": median, "p99": last_percent}
    for name, figure in figures.items():
        if name == "p99" and len(found[0][0]) == 1:
            return
        few, many = (figure([time for times in found for time in times[which]]) for which in (0, 1))
        ratios = quantiles([figure(beside) / figure(alone) for alone, beside in found], n=4) if len(found) > 1 else []
        quartiles = " ".join(f"{one:.2f}" for one in ratios)
        told = f"alone {few * 1e3:8.2f} ms   beside {many * 1e3:8.2f} ms   ratio {many / few:.2f}   ({quartiles})"
        print(f"  {what} {name:<4} {told}")


def last_percent(times: Sequence[float]) -> float:
    """The 99th percentile."""
    return quantiles(times, n=100)[98]


def beside_waiting(empty: Place, full: Place, sizes: Sizes, rounds: int) -> None:
    """Claims and W1–W4 with three workers, of which two are always at work; in the two databases in turn."""
    seed_waiting(sizes, full)
    kind = "postgres" if empty.database else "sqlite"
    print(f"\n{kind}: three workers, a busy queue, {sizes.waiting_runs:,} waiting runs, {rounds} rounds", flush=True)
    found: dict[str, list[tuple[Sequence[float], Sequence[float]]]] = {name: [] for name in ("claim", *WORKLOADS)}
    with ThreeWorkers(sizes, empty) as alone, ThreeWorkers(sizes, full) as beside:
        for number in range(WARM_ROUNDS + rounds):
            first, second = (alone, beside) if number % 2 else (beside, alone)
            measured = {first: first.measure(), second: second.measure()}
            if number >= WARM_ROUNDS:
                for name, rows in found.items():
                    rows.append((measured[alone][name], measured[beside][name]))
    for name, rows in found.items():
        tell(name, rows)


class ThreeWorkers:
    """One is measured; the other two start 200 runs a second each meanwhile, and all three take them from the queue."""

    def __init__(self, sizes: Sizes, place: Place) -> None:
        self._place = place
        self._stack = ExitStack()
        self._asked, *self._others = [AskedWorker(sizes, place, f"worker{number}") for number in range(3)]
        self._busy = False

    def __enter__(self) -> ThreeWorkers:
        for worker in (self._asked, *self._others):
            self._stack.enter_context(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self) -> dict[str, list[float]]:
        """Seconds of each workload, and of claims."""
        self._busy = True
        with ThreadPoolExecutor(len(self._others)) as threads:
            for worker in self._others:
                threads.submit(self._keep_busy, worker)
            try:
                found = {name: [self._asked.ask(name) / (1 if name == "W2" else 1e3)] for name in WORKLOADS}
                found["claim"] = asyncio.run(_claiming_there(self._place))
            finally:
                self._busy = False
        return found

    def _keep_busy(self, worker: AskedWorker) -> None:
        while self._busy:
            worker.ask("busy")


async def _claiming_there(place: Place) -> list[float]:
    database = await opened(place)
    try:
        return (await claims(database))[0]
    finally:
        await database.close()


if __name__ == "__main__":
    main()
