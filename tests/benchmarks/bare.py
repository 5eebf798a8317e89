"""The limits of disk and database: as many commits as the workload cannot do without, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from tests.benchmarks.pace import FIGURES, Pace
from tests.benchmarks.place import Place
from tests.benchmarks.rows import Rows, open_rows, seconds_of_commits
from tests.benchmarks.sizes import Sizes

GROUP = 100
ROWS_BESIDE_STEPS = 2
COMMITS_OF_AN_EMPTY_RUN = 3


def versions(sizes: Sizes, place: Place) -> dict[str, str]:
    """What is measured."""
    return place.versions(*([] if place.database is None else ["asyncpg"]))


def _measured(place: Place, measure: Callable[[Rows], Awaitable[FIGURES]]) -> FIGURES:
    async def main() -> FIGURES:
        async with open_rows(place) as rows:
            return await measure(rows)

    return asyncio.run(main())


def one_run(sizes: Sizes, place: Place) -> FIGURES:
    """W1: a row and a commit for every step."""

    async def measure(rows: Rows) -> FIGURES:
        return {"W1": [await seconds_of_commits(rows, sizes.steps) / sizes.steps * 1e3 for _ in range(sizes.repeats)]}

    return _measured(place, measure)


def many_runs(sizes: Sizes, place: Place) -> FIGURES:
    """W2: a row for every start, step and end, a hundred in a commit."""
    count = sizes.runs * (sizes.short_steps + ROWS_BESIDE_STEPS)

    async def measure(rows: Rows) -> FIGURES:
        began = perf_counter()
        for at in range(0, count, GROUP):
            await rows.append_many(min(GROUP, count - at))
        return {"W2": [sizes.runs / (perf_counter() - began)]}

    return _measured(place, measure)


def empty_run(sizes: Sizes, place: Place) -> FIGURES:
    """W3: three commits."""

    async def measure(rows: Rows) -> FIGURES:
        return {"W3": [await seconds_of_commits(rows, COMMITS_OF_AN_EMPTY_RUN) * 1e3 for _ in range(sizes.samples)]}

    return _measured(place, measure)


def answer(sizes: Sizes, place: Place) -> FIGURES:
    """W4: one commit."""

    async def measure(rows: Rows) -> FIGURES:
        samples = [await seconds_of_commits(rows, 1) * 1e3 for _ in range(sizes.samples)]
        return {"W4": samples, "W4 evicted": samples}

    return _measured(place, measure)


def long_run(sizes: Sizes, place: Place) -> FIGURES:
    """W5, up to the kill."""
    pace = Pace()
    pace.die_at(sizes.killed_at, place.directory)

    async def measure(rows: Rows) -> FIGURES:
        await _go_on(rows, pace, 0, sizes)
        return {}

    return _measured(place, measure)


def long_run_again(sizes: Sizes, place: Place) -> FIGURES:
    """W5, after the kill: what is there is read and decoded, then it goes on."""
    pace = Pace()
    taken: list[float] = []

    async def measure(rows: Rows) -> FIGURES:
        taken.append(perf_counter())
        await _go_on(rows, pace, len(await rows.load()), sizes)
        return {}

    _measured(place, measure)
    return pace.figures(sizes, place, taken[0])


async def _go_on(rows: Rows, pace: Pace, at: int, sizes: Sizes) -> None:
    for seq in range(at, sizes.long_steps):
        pace.step(seq)
        await rows.append(1, seq)
