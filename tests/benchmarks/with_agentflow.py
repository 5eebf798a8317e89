"""agentflow: embedded SQLite and Valkey, one worker, streams on."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from time import perf_counter
from typing import Any

from agentflow import Agentflow, RunHandle, approve, step, task
from agentflow.clock import SECOND
from agentflow.database import open_database
from agentflow.engine.worker import Worker, WorkerSettings
from tests.benchmarks.bare import COMMITS_OF_AN_EMPTY_RUN, Rows
from tests.benchmarks.pace import Pace, bytes_per_step
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.watched import WatchedDatabase

FIGURES = dict[str, list[float]]
ROOT = Path(__file__).resolve().parents[2]
DATABASE = "agentflow.db"

# A dead worker's lease is waited for before W5 begins to count, so it is short.
LONG_RUN_WORKER = WorkerSettings(lease=2 * SECOND, renew_every=SECOND // 2)


def versions(sizes: Sizes, directory: Path) -> dict[str, str]:
    """What is measured."""
    return {"agentflow": tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]}


@step
async def add(total: int, number: int) -> int:
    """A step that does nothing much."""
    return total + number


@task
async def adds(count: int) -> int:
    """A run of `count` steps."""
    total = 0
    for number in range(count):
        total = await add(total, number)
    return total


_passed: list[float] = []


@task
async def asks() -> bool:
    """A run that waits for an answer."""
    decision = await approve("Go on?", expires=None)
    _passed.append(perf_counter())
    return decision.approved


_pace = Pace()
_dies_at: dict[int, Path] = {}


@step
async def tick(number: int) -> int:
    """A step of the long run."""
    _pace.step(number)
    if number in _dies_at:
        _pace.die(_dies_at[number])
    return number


@task
async def ticks(count: int) -> int:
    """The long run."""
    for number in range(count):
        await tick(number)
    return count


Measure = Callable[[Agentflow], Awaitable[FIGURES]]


def _measured(directory: Path, measure: Measure, worker: WorkerSettings | bool = True) -> FIGURES:
    async def main() -> FIGURES:
        async with Agentflow([adds, asks], directory=directory, worker=worker) as app:
            # Warm: the first run connects to the stream server and loads its client.
            await (await adds.start(5)).result()
            await app.streams.flush()
            return await measure(app)

    return asyncio.run(main())


async def _milliseconds(work: Coroutine[Any, Any, RunHandle[Any]]) -> float:
    began = perf_counter()
    await (await work).result()
    return (perf_counter() - began) * 1e3


def one_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W1: from start to result, by step; and against bare commits in turn with it."""

    rows = Rows(directory)

    async def measure(app: Agentflow) -> FIGURES:
        return await _in_turn("W1", sizes.repeats, lambda: _per_step(sizes.steps), lambda: rows.commits(sizes.steps) / sizes.steps * 1e3)

    return _measured(directory, measure)


async def _per_step(steps: int) -> float:
    return await _milliseconds(adds.start(steps)) / steps


async def _in_turn(name: str, count: int, ours: Callable[[], Awaitable[float]], bare: Callable[[], float]) -> FIGURES:
    """The disk of a shared machine is now fast and now slow: a ratio is told only of what is measured at the same moment."""
    pairs = [(await ours(), bare()) for _ in range(count)]
    return {name: [mine for mine, _ in pairs], f"{name} over bare": [mine / limit for mine, limit in pairs]}


def many_runs(sizes: Sizes, directory: Path) -> FIGURES:
    """W2: all started at once, until the last result is there."""

    async def measure(app: Agentflow) -> FIGURES:
        return {"W2": [await _batch(sizes) for _ in range(3)]}

    return _measured(directory, measure)


async def _batch(sizes: Sizes) -> float:
    began = perf_counter()
    started = await asyncio.gather(*(adds.start(sizes.short_steps) for _ in range(sizes.runs)))
    await asyncio.gather(*(run.result() for run in started))
    return sizes.runs / (perf_counter() - began)


def empty_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W3: one after the other."""

    rows = Rows(directory)

    async def measure(app: Agentflow) -> FIGURES:
        limit = COMMITS_OF_AN_EMPTY_RUN
        return await _in_turn("W3", sizes.samples, lambda: _milliseconds(adds.start(0)), lambda: rows.commits(limit) * 1e3)

    return _measured(directory, measure)


def answer(sizes: Sizes, directory: Path) -> FIGURES:
    """W4: the run waits in memory, or has to be replayed."""

    rows = Rows(directory)

    async def measure(app: Agentflow) -> FIGURES:
        return await _in_turn("W4", sizes.samples, lambda: _answered(app, _waits_in_memory), lambda: rows.commits(1) * 1e3)

    async def measure_evicted(app: Agentflow) -> FIGURES:
        return {"W4 evicted": [await _answered(app, _has_left) for _ in range(sizes.samples)]}

    hot = _measured(directory / "hot", measure)
    return {**hot, **_measured(directory / "evicted", measure_evicted, WorkerSettings(hot_limit=0))}


def _waits_in_memory(worker: Worker, run_id: str) -> bool:
    return run_id in worker.hot


def _has_left(worker: Worker, run_id: str) -> bool:
    return run_id not in worker.active and run_id not in worker.hot


async def _answered(app: Agentflow, waits: Callable[[Worker, str], bool]) -> float:
    worker = app.worker
    assert worker is not None
    run = await asks.start()
    while not waits(worker, run.id):
        await asyncio.sleep(0)
    (question,) = await app.waitpoints.list(run_id=run.id)
    asked = perf_counter()
    await app.waitpoints.approve(question.id, by="a person")
    await run.result()
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, directory: Path) -> FIGURES:
    """W5, up to the kill."""
    _dies_at[sizes.killed_at] = directory

    async def main() -> FIGURES:
        async with Agentflow([ticks], database=str(directory / DATABASE), directory=directory, worker=LONG_RUN_WORKER):
            run = await ticks.start(sizes.long_steps)
            await run.result()
        return {}

    return asyncio.run(main())


def long_run_again(sizes: Sizes, directory: Path) -> FIGURES:
    """W5, after the kill: a second worker takes the run over as soon as the lease of the first has ended."""
    database = WatchedDatabase(open_database(str(directory / DATABASE)))

    async def main() -> None:
        async with Agentflow([ticks], database=database, directory=directory, worker=LONG_RUN_WORKER) as app:
            (run,) = await app.runs.list()
            await app.runs.ended(run.id)

    asyncio.run(main())
    figures = _pace.figures(directory, sizes.killed_at, sizes.edge, database.claimed_at)
    return {**figures, "W5 bytes": [bytes_per_step(directory, sizes.long_steps)]}
