"""A million finished runs: a page of any filter and a claim cost what they cost among a few.

A hundred thousand in an ordinary test run; `AGENTFLOW_SCALE_RUNS=1000000 pytest tests/scale/test_a_million_runs.py` for the million.
What it takes in milliseconds is measured by `python -m tests.benchmarks.scale`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agentflow.clock import SECOND, SystemClock
from agentflow.database import Database, Transaction, open_database
from agentflow.database.migrate import migrate
from agentflow.records import WorkerRecord
from agentflow.storage import listing, upkeep, workers
from agentflow.storage.statements import MIGRATIONS, SQL
from tests.scale.finished import cost, fill, pages

RUNS = int(os.environ.get("AGENTFLOW_SCALE_RUNS", "100000"))
FEW = 5_000
NOW = 1_800_000_000 * SECOND
NARROW = {"sqlite": 10_000, "postgres": 300}
"""What a page may cost that goes along one index, and"""
WIDE = {"sqlite": 100_000, "postgres": 4_000}
"""one that looks at as many runs as a page may: steps of SQLite's machine, pages that PostgreSQL looks at."""


@pytest.fixture(params=["sqlite", "postgres"])
async def many(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """A database with very many finished runs."""
    async for database in opened(str(tmp_path / "many.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url"), RUNS):
        yield database


@pytest.fixture
async def few(many: Database, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """One of the same kind with a few."""
    if many.dialect == "sqlite":
        async for database in opened(str(tmp_path / "few.db"), FEW):
            yield database
    else:
        with request.getfixturevalue("postgres").database() as url:
            async for database in opened(url, FEW):
                yield database


async def opened(url: str, count: int) -> AsyncGenerator[Database]:
    database = open_database(url)
    try:
        await migrate(database, MIGRATIONS, SystemClock())
        await database.transact(workers.register(living(), (), NOW))
        await fill(database, count, NOW)
        yield database
    finally:
        await database.close()


def living() -> WorkerRecord:
    return WorkerRecord(
        id="w",
        host="here",
        pid=1,
        slots=100,
        queues=("default",),
        tasks=("common",),
        state="live",
        started_at=NOW,
        expires_at=NOW + 10**15,
        claimed_at=NOW,
    )


async def test_a_page_costs_what_its_index_costs_and_nothing_for_runs_it_does_not_show(many: Database) -> None:
    for before in (None, RUNS // 2):
        for what, page in pages(before).items():
            spent = await cost(many, page())
            print(f"{many.dialect}: {what} before {before}: {spent}")
            wide = " that " in what or what == "completed"
            assert spent <= (WIDE if wide else NARROW)[many.dialect], what


async def test_counts_what_is_stuck_and_a_stretch_of_the_upkeep_cost_the_same(many: Database, few: Database) -> None:
    asked = {
        "counts": listing.counts,
        "stuck": lambda: listing.stuck(NOW, 200),
        "waitpoints": lambda: listing.waitpoints(state="pending"),
        "last upkeep": upkeep.last,
    }
    for what, ask in asked.items():
        much, little = await cost(many, ask()), await cost(few, ask())
        assert much <= 2 * little + 1_000, what


async def test_a_claim_costs_the_same_among_a_million_runs_as_among_a_few(many: Database, few: Database) -> None:
    def claim() -> Transaction[None]:
        yield SQL.runs.pick(queues='[["default", null]]', tasks='["common"]', worker="w", limit=10, look=1_000, now=NOW)

    much, little = await cost(many, claim()), await cost(few, claim())
    print(f"{many.dialect}: a claim costs {much}, among {FEW}: {little}")
    assert much <= 1.5 * little + 100
