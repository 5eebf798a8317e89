"""Wrong secrets are counted, and what has had too many is locked for a while: in rows, so that no lost Redis opens anything."""

from __future__ import annotations

from agentflow.clock import SECOND
from agentflow.database.port import Transaction, transaction
from agentflow.storage.statements import SQL

MOST = 10
"""Wrong secrets within a window that lock it."""
WINDOW = 600 * SECOND
LOCK = 600 * SECOND


def locked(name: str, now: int) -> Transaction[bool]:
    """Whether there were so many wrong secrets that not even the right one opens it now."""
    found = yield SQL.tries.get(name=name)
    return bool(found) and found[0]["locked_until"] > now


@transaction
def count(name: str, now: int) -> Transaction[bool]:
    """Count a wrong secret; whether that has locked it."""
    [row] = yield SQL.tries.count(name=name, now=now, before=now - WINDOW, most=MOST, until=now + LOCK)
    return row["locked_until"] > now
