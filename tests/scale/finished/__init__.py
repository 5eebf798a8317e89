"""Very many finished runs, made by SQL, with a few that still have something to do at the beginning of them all; and what pages cost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentflow.database import Database, Statements
from agentflow.database.port import Query, Rows, Transaction
from agentflow.database.sqlite import SqliteDatabase
from agentflow.database.statements import make_statement
from agentflow.records import RunState
from agentflow.storage import listing
from agentflow.storage.listing import RunFilter

_statement = Statements(Path(__file__).parent)
_STEPS = 100

FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "a common task": {"task": "common"},
    "a rare task": {"task": "rare"},
    "an unknown task": {"task": "unknown"},
    "completed": {"state": RunState.COMPLETED},
    "failed": {"state": RunState.FAILED},
    "cancelled, of which there are none": {"state": RunState.CANCELLED},
    "waiting, the oldest of all": {"state": RunState.WAITING},
    "queued, the oldest of all": {"state": RunState.QUEUED},
    "running, the oldest of all": {"state": RunState.RUNNING},
    "a tag": {"tag": "vip"},
    "an unknown tag": {"tag": "unknown"},
    "a parent": {"parent": "run_1000"},
    "a common task that failed": {"task": "common", "state": RunState.FAILED},
    "a common task that was cancelled": {"task": "common", "state": RunState.CANCELLED},
    "a rare task that completed": {"task": "rare", "state": RunState.COMPLETED},
    "a tag that failed": {"tag": "vip", "state": RunState.FAILED},
}
"""By what runs are listed, among very many and among few."""


async def fill(database: Database, count: int, now: int) -> None:
    """So many finished runs; before them 60 that are queued, waiting or running, 20 each, which no listing may have to search for."""
    for name in ("runs", "tags", "analyze"):
        statement = _statement(f"finished/{name}")
        slow = make_statement(statement.name, dict(statement.texts), slow=True)
        await database.execute(slow(**{key: value for key, value in (("count", count), ("now", now)) if key in slow.parameters}))


def pages(before: int | None = None) -> dict[str, Callable[[], Transaction[Any]]]:
    """A page of 50 by each filter."""

    def page(chosen: dict[str, Any]) -> Callable[[], Transaction[Any]]:
        return lambda: listing.page(RunFilter(before=before, **chosen))

    return {what: page(chosen) for what, chosen in FILTERS.items()}


async def cost(database: Database, transaction: Transaction[Any]) -> int:
    """What a reading transaction makes the database do: steps of SQLite's machine, or pages that PostgreSQL looks at."""
    total = 0
    try:
        query = next(transaction)
        while True:
            total += await _cost(database, query)
            query = transaction.send(await _rows(database, query))
    except StopIteration:
        return total


async def _cost(database: Database, query: Query) -> int:
    if isinstance(database, SqliteDatabase):
        return _steps(database.path, query)
    explained = make_statement("explain", {"postgres": f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.statement.texts['postgres']}"})
    [row] = await database.execute(explained(**query.parameters))
    plan = json.loads(row["QUERY PLAN"])[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _steps(path: Path, query: Query) -> int:
    seen = 0

    def count() -> int:
        nonlocal seen
        seen += _STEPS
        return 0

    connection = sqlite3.connect(path)
    try:
        connection.set_progress_handler(count, _STEPS)
        connection.execute(query.statement.texts["sqlite"], query.parameters).fetchall()
    finally:
        connection.close()
    return seen


async def _rows(database: Database, query: Query) -> Rows:
    return await database.fetch(query)
