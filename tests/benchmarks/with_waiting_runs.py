"""W6, agentflow's: a worker that is told line by line what to measure, in an empty database or beside many waiting runs."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil

from agentflow import Agentflow
from agentflow.database import Statements
from agentflow.engine.worker import WorkerSettings
from tests.benchmarks.pace import FIGURES
from tests.benchmarks.place import Place, sql
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.workloads import adds, answered_here, asks, has_left, milliseconds, naps, per_second, per_step

MEGABYTE = 1e6
SAMPLES = 20
REPEATS = 5
BUSY_RUNS = 10
BUSY_SECONDS = 0.05
"""A worker that is kept busy has so many runs every so often: at a fixed rate, for a full machine measures only itself."""
_statement = Statements(Path(__file__).parent)
_copy_run = _statement("crowd/runs")
_copy_waitpoint = _statement("crowd/waitpoints")


def seed(sizes: Sizes, place: Place) -> FIGURES:
    """Make the waiting runs: two real ones, and copies of them by SQL, half of them wait for a person and half for a time."""

    async def main() -> None:
        async with _open(place, WorkerSettings(hot_limit=0)) as app:
            assert app.worker is not None
            for run in (await asks.start(), await naps.start()):
                while not has_left(app.worker, run.id):
                    await asyncio.sleep(0)
                assert (await app.runs.get(run.id)).state == "waiting"
                await app.database.execute(_copy_run(template=run.id, copies=sizes.waiting_runs // 2))
                await app.database.execute(_copy_waitpoint(template=run.id))
        if place.database is not None:
            await _analyze(place.database)

    asyncio.run(main())
    return {}


async def _analyze(url: str) -> None:
    # A server that has been up for a minute has done this by itself.
    asyncpg: Any = importlib.import_module("asyncpg")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql("postgres/analyze"))
    finally:
        await connection.close()


def work(sizes: Sizes, place: Place) -> FIGURES:
    """Measure what the lines of standard input name, one JSON number for each, until they end."""

    async def main() -> None:
        async with _open(place, True) as app:
            await (await adds.start(5)).result()
            while named := (await asyncio.to_thread(sys.stdin.readline)).strip():
                print(json.dumps(await _measure(named, app, sizes)), flush=True)

    asyncio.run(main())
    return {}


def _open(place: Place, worker: WorkerSettings | bool) -> Agentflow:
    return Agentflow([adds, asks, naps], database=place.database, directory=place.directory, worker=worker)


async def _measure(named: str, app: Agentflow, sizes: Sizes) -> float:
    """As a time: smaller is better."""
    match named:
        case "W1":
            return median([await per_step(sizes.steps) for _ in range(REPEATS)])
        case "W2":
            return 1 / await per_second(sizes)
        case "W3":
            return median([await milliseconds(adds.start(0)) for _ in range(SAMPLES)])
        case "W4":
            return median([await answered_here(app) for _ in range(SAMPLES)])
        case "busy":
            return await _busy(replace(sizes, runs=BUSY_RUNS))
        case "memory":
            return psutil.Process().memory_info().rss / MEGABYTE
        case _:
            raise ValueError(named)


async def _busy(sizes: Sizes) -> float:
    """Some runs at once, and a rest until the next are due."""
    began = perf_counter()
    await per_second(sizes)
    took = perf_counter() - began
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), max(0.0, BUSY_SECONDS - took))
    return took
