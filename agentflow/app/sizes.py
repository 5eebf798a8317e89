"""How large the database is, and whether it stays that way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow.app.finding import Finding
from agentflow.clock import SECOND
from agentflow.database.port import Rows
from agentflow.storage import upkeep
from agentflow.storage.statements import SQL

if TYPE_CHECKING:
    from agentflow.app import Agentflow

LARGE = 2 * 1024**3
"""Bytes of a database that should not grow for ever."""
FIRST = 1_000
"""Runs that are looked through for the oldest that has ended."""
_DAY = 86_400 * SECOND
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


async def sizes(app: Agentflow) -> list[Finding]:
    """The size of each table, how old the oldest finished run is, and for how long such are kept."""
    now = app.clock.now()
    found = await app.database.fetch(SQL.tables.sizes())
    [oldest] = await app.database.fetch(SQL.tables.oldest(look=FIRST))
    last = await app.database.read(upkeep.last())
    keeps = app.keeps if last is None else last.retention
    total = sum(row["bytes"] or 0 for row in found)
    age = None if oldest["at"] is None else now - oldest["at"]
    details = {
        "bytes": total,
        "tables": {row["name"]: {"rows": row["rows"] or 0, "bytes": row["bytes"]} for row in found if row["name"]},
        "retention_seconds": None if keeps is None else keeps // SECOND,
        "oldest_finished_seconds": None if age is None else age // SECOND,
        "swept_at": None if last is None else last.done_at,
    }
    kept = "Finished runs are kept for ever" if keeps is None else f"Finished runs are kept for {_span(keeps)}"
    since = "" if age is None else f", the oldest ended {_span(age)} ago"
    size = Finding("ok", "size", f"The database takes {_size(total)}: {_tables(found)}. {kept}{since}.", details=details)
    return [size, *_warnings(total, keeps, age)]


def _warnings(total: int, keeps: int | None, age: int | None) -> list[Finding]:
    if keeps is None and total >= LARGE:
        message = f"The database takes {_size(total)}, and finished runs are kept for ever."
        hint = "Give it an end: AGENTFLOW_RETENTION=30d, `--retention 30d`, or `agentflow runs delete`."
        return [Finding("warning", "retention_off", message, hint)]
    if keeps is not None and age is not None and age > 2 * keeps + _DAY:
        message = f"Finished runs are kept for {_span(keeps)}, but one ended {_span(age)} ago."
        hint = "A live worker deletes them: is one running? A run stays while its parent goes on, or its hooks are to be called."
        return [Finding("warning", "retention_late", message, hint)]
    return []


def _tables(found: Rows) -> str:
    """The tables that hold something, as a list."""
    held = [row for row in found if row["name"] and row["rows"]]
    return ", ".join(f"{row['name']} {row['rows']:,} rows" + (f" {_size(row['bytes'])}" if row["bytes"] else "") for row in held) or "empty"


def _size(count: float) -> str:
    unit = 0
    while count >= 1_024 and unit < len(_UNITS) - 1:
        count, unit = count / 1_024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit < 2 else f"{count:.1f} {_UNITS[unit]}"


def _span(time: int) -> str:
    for width, word in ((_DAY, "day"), (3_600 * SECOND, "hour"), (60 * SECOND, "minute")):
        if time >= 2 * width or (time >= width and time % width == 0):
            count = time // width
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return f"{time // SECOND} s"
