"""A database with many rows, and how it would run a statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentflow.database import Database, Statements
from agentflow.database.port import Query
from agentflow.database.statements import make_statement

ROWS = 20_000
LARGE = {"runs", "waitpoints", "journal", "inputs", "starts", "usage", "generations"}
"""Tables that grow with the work. A list of workers is short: reading it from end to end is the best there is."""
_statement = Statements(Path(__file__).parent)
_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN (FORMAT JSON) "}


async def crowd(database: Database, now: int) -> None:
    """Runs in every state, of many keys in three queues, mostly finished ones, with their waitpoints, journal, messages and starts."""
    for name in ("runs", "waitpoints", "journal", "inputs", "starts", "usage", "generations", "workers"):
        await database.execute(_statement(f"plans/{name}")(rows=ROWS, now=now))
    await database.execute(_statement("plans/analyze")())


async def backlog(database: Database, now: int) -> None:
    """Nothing but queued runs, of very many keys in two queues."""
    await database.execute(_statement("plans/queued")(rows=ROWS, now=now))
    await database.execute(_statement("plans/analyze")())


async def whole_tables(database: Database, query: Query) -> set[str]:
    """The large tables that a statement would read from end to end."""
    text = query.statement.texts[database.dialect]
    explained = make_statement(f"explain {query.statement.name}", dict.fromkeys(_EXPLAIN, f"{_EXPLAIN[database.dialect]}{text}"))
    plan = await database.execute(explained(**query.parameters))
    if database.dialect == "sqlite":
        return LARGE & {line.split()[1] for row in plan if (line := row["detail"]).startswith("SCAN ") and " INDEX " not in line}
    nodes = _nodes(json.loads(plan[0]["QUERY PLAN"])[0]["Plan"])
    return LARGE & {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
