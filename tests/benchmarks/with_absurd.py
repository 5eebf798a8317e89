"""Absurd on PostgreSQL, its schema from `absurdctl`: an async worker with the poll interval of its documentation.

Its worker and its results are polled, so W1 and W2 count only what happens once a run is taken; W3 and W4 show the polling.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from tests.benchmarks.pace import FIGURES, Pace
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import Sizes

QUEUE = "bench"
CONCURRENCY = 100
# A dead worker's claim is waited for before W5 begins to count, so it is short.
CLAIM_OF_LONG_RUN = 3


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured. Raises `PackageNotFoundError`."""
    return place.versions("absurd-sdk", "absurdctl")


_pace = Pace()
_began: list[float] = []
_passed: list[float] = []


async def _adds(given: Any, context: Any) -> int:
    _began.append(perf_counter())
    total = 0
    for number in range(given["count"]):
        total = await context.step("add", lambda total=total, number=number: _add(total, number))
    _passed.append(perf_counter())
    return total


async def _add(total: int, number: int) -> int:
    return total + number


async def _ticks(given: Any, context: Any) -> int:
    for number in range(given["count"]):
        await context.step("tick", lambda number=number: _tick(number))
    return given["count"]


async def _tick(number: int) -> int:
    _pace.step(number)
    return number


async def _asks(given: Any, context: Any) -> Any:
    answer = await context.await_event(f"answer-{given['name']}")
    _passed.append(perf_counter())
    return answer


class _Bench:
    """A client, and a worker with a connection of its own."""

    def __init__(self, place: Place, claim_timeout: int) -> None:
        absurd: Any = importlib.import_module("absurd_sdk")
        self.client, self._app = (absurd.AsyncAbsurd(place.database, queue_name=QUEUE) for _ in range(2))
        for name, task in (("adds", _adds), ("ticks", _ticks), ("asks", _asks)):
            self._app.register_task(name)(task)
        self._claim = self._app.claim_tasks
        self._app.claim_tasks = self._claim_watched
        self._claim_timeout = claim_timeout
        self._working: asyncio.Task[None] | None = None
        self.claimed_at = 0.0

    async def _claim_watched(self, **given: Any) -> Any:
        tasks = await self._claim(**given)
        if tasks:
            self.claimed_at = perf_counter()
        return tasks

    def work(self) -> None:
        self._working = asyncio.create_task(self._app.start_worker(concurrency=CONCURRENCY, claim_timeout=self._claim_timeout))

    async def spawn(self, task: str, **given: Any) -> str:
        return str((await self.client.spawn(task, given, queue=QUEUE))["task_id"])

    async def run(self, task: str, **given: Any) -> None:
        await self.result(await self.spawn(task, **given))

    async def result(self, run: str) -> None:
        found = await self.client.await_task_result(run, timeout=200, queue_name=QUEUE)
        assert found.state == "completed", found.failure

    async def close(self) -> None:
        self._app.stop_worker()
        if self._working is not None:
            await self._working
        await asyncio.gather(self._app.close(), self.client.close())


def _measured(place: Place, measure: Callable[[_Bench], Awaitable[FIGURES]], claim_timeout: int = 120) -> FIGURES:
    async def main() -> FIGURES:
        bench = _Bench(place, claim_timeout)
        await bench.client.create_queue(QUEUE)
        try:
            return await measure(bench)
        finally:
            await bench.close()

    return asyncio.run(main())


def _prepare(place: Place) -> None:
    psycopg: Any = importlib.import_module("psycopg")
    schema: str = importlib.import_module("absurdctl").BUNDLED_SCHEMA_SQL
    with psycopg.connect(place.database, autocommit=True) as connection:
        connection.execute(schema)


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1."""
    _prepare(place)

    async def measure(bench: _Bench) -> FIGURES:
        bench.work()
        await bench.run("adds", count=5)
        for _ in range(sizes.peer_repeats):
            await bench.run("adds", count=sizes.steps)
        pairs = zip(_began[1:], _passed[1:], strict=True)
        return {"W1": [(ended - began) / sizes.steps * 1e3 for began, ended in pairs]}

    return _measured(place, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2, with fewer runs: from the first that begins to the last that ends."""
    _prepare(place)

    async def measure(bench: _Bench) -> FIGURES:
        runs = [await bench.spawn("adds", count=sizes.short_steps) for _ in range(sizes.peer_runs)]
        bench.work()
        for run in runs:
            await bench.result(run)
        return {"W2": [sizes.peer_runs / (max(_passed) - min(_began))]}

    return _measured(place, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3."""
    _prepare(place)

    async def measure(bench: _Bench) -> FIGURES:
        bench.work()
        await bench.run("adds", count=5)
        samples: list[float] = []
        for _ in range(sizes.slow_samples):
            began = perf_counter()
            await bench.run("adds", count=0)
            samples.append((perf_counter() - began) * 1e3)
        return {"W3": samples}

    return _measured(place, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: a run that waits is never kept in memory."""
    _prepare(place)

    async def measure(bench: _Bench) -> FIGURES:
        bench.work()
        return {"W4": [await _answered(bench, str(number)) for number in range(sizes.slow_samples)]}

    return _measured(place, measure)


async def _answered(bench: _Bench, name: str) -> float:
    run = await bench.spawn("asks", name=name)
    while (await bench.client.fetch_task_result(run, QUEUE)).state != "sleeping":
        await asyncio.sleep(0)
    asked = perf_counter()
    await bench.client.emit_event(f"answer-{name}", "yes", QUEUE)
    await bench.result(run)
    return (_passed[-1] - asked) * 1e3


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill."""
    _prepare(place)
    _pace.die_at(sizes.killed_at, place.directory)

    async def measure(bench: _Bench) -> FIGURES:
        run = await bench.spawn("ticks", count=sizes.long_steps)
        (place.directory / "run").write_text(run, encoding="utf-8")
        bench.work()
        await bench.result(run)
        return {}

    return _measured(place, measure, CLAIM_OF_LONG_RUN)


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill: counted from when a second worker has claimed the run."""
    taken: list[float] = []

    async def measure(bench: _Bench) -> FIGURES:
        bench.work()
        await bench.result((place.directory / "run").read_text(encoding="utf-8"))
        taken.append(bench.claimed_at)
        return {}

    _measured(place, measure, CLAIM_OF_LONG_RUN)
    return _pace.figures(sizes, place, taken[0])
