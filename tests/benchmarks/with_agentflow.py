"""agentflow on SQLite or PostgreSQL, with its embedded Valkey: one worker, streams on."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

from agentflow import Agentflow, step, task
from agentflow.clock import SECOND
from agentflow.database import open_database
from agentflow.engine.worker import WorkerSettings
from tests.benchmarks.bare import COMMITS_OF_AN_EMPTY_RUN
from tests.benchmarks.pace import FIGURES, Pace
from tests.benchmarks.place import Place
from tests.benchmarks.rows import Rows, open_rows, seconds_of_commits
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.watched import WatchedDatabase
from tests.benchmarks.workloads import adds, answered, asks, has_left, milliseconds, per_second, per_step, waits_in_memory

ROOT = Path(__file__).resolve().parents[2]
BATCHES = 3

# A dead worker's lease is waited for before W5 begins to count, so it is short.
LONG_RUN_WORKER = WorkerSettings(lease=2 * SECOND, renew_every=SECOND // 2)


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return {"agentflow": own, **place.versions()}


_pace = Pace()


@step
async def tick(number: int) -> int:
    """A step of the long run."""
    _pace.step(number)
    return number


@task
async def ticks(count: int) -> int:
    """The long run."""
    for number in range(count):
        await tick(number)
    return count


Measure = Callable[[Agentflow, Rows], Awaitable[FIGURES]]


def _measured(place: Place, measure: Measure, worker: WorkerSettings | bool = True) -> FIGURES:
    async def main() -> FIGURES:
        async with (
            Agentflow([adds, asks], database=place.database, directory=place.directory, worker=worker) as app,
            open_rows(place) as rows,
        ):
            # Warm: the first run connects to the stream server and loads its client.
            await (await adds.start(5)).result()
            await app.streams.flush()
            return await measure(app, rows)

    return asyncio.run(main())


async def _in_turn(name: str, count: int, ours: Callable[[], Awaitable[float]], bare: Callable[[], Awaitable[float]]) -> FIGURES:
    """The disk of a shared machine is now fast and now slow: a ratio is told only of what is measured at the same moment."""
    pairs = [(await ours(), await bare() * 1e3) for _ in range(count)]
    return {name: [mine for mine, _ in pairs], f"{name} over bare": [mine / limit for mine, limit in pairs]}


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1: from start to result, by step; and against bare commits in turn with it."""

    async def measure(app: Agentflow, rows: Rows) -> FIGURES:
        async def bare() -> float:
            return await seconds_of_commits(rows, sizes.steps) / sizes.steps

        return await _in_turn("W1", sizes.repeats, lambda: per_step(sizes.steps), bare)

    return _measured(place, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2."""

    async def measure(app: Agentflow, rows: Rows) -> FIGURES:
        return {"W2": [await per_second(sizes) for _ in range(BATCHES)]}

    return _measured(place, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3: one after the other."""

    async def measure(app: Agentflow, rows: Rows) -> FIGURES:
        limit = COMMITS_OF_AN_EMPTY_RUN
        return await _in_turn("W3", sizes.samples, lambda: milliseconds(adds.start(0)), lambda: seconds_of_commits(rows, limit))

    return _measured(place, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: the run waits in memory, or has to be replayed."""

    async def measure(app: Agentflow, rows: Rows) -> FIGURES:
        return await _in_turn("W4", sizes.samples, lambda: answered(app, waits_in_memory), lambda: seconds_of_commits(rows, 1))

    async def measure_evicted(app: Agentflow, rows: Rows) -> FIGURES:
        return {"W4 evicted": [await answered(app, has_left) for _ in range(sizes.samples)]}

    hot = _measured(place.below("hot"), measure)
    return {**hot, **_measured(place.below("evicted"), measure_evicted, WorkerSettings(hot_limit=0))}


def _long_database(place: Place) -> str:
    return place.database or str(place.directory / "agentflow.db")


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill."""
    _pace.die_at(sizes.killed_at, place.directory)

    async def main() -> FIGURES:
        async with Agentflow([ticks], database=_long_database(place), directory=place.directory, worker=LONG_RUN_WORKER):
            run = await ticks.start(sizes.long_steps)
            await run.result()
        return {}

    return asyncio.run(main())


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill: a second worker takes the run over as soon as the lease of the first has ended."""

    async def main() -> float:
        database = WatchedDatabase(open_database(_long_database(place)))
        async with Agentflow([ticks], database=database, directory=place.directory, worker=LONG_RUN_WORKER) as app:
            (run,) = await app.runs.list()
            await app.runs.ended(run.id)
        return database.claimed_at

    return _pace.figures(sizes, place, asyncio.run(main()))
