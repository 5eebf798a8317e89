"""Wrong secrets are counted, and what has had too many is locked for a while: in rows, so that no lost Redis opens anything."""

from __future__ import annotations

from agentflow.clock import SECOND
from agentflow.database.port import Transaction, transaction
from agentflow.storage import audit
from agentflow.storage.audit import Note
from agentflow.storage.statements import SQL

MOST = 10
"""Wrong secrets within a window that lock it."""
WINDOW = 600 * SECOND
LOCK = 600 * SECOND
NOBODY = "?"
"""What is counted where there is nothing to lock: a wrong secret takes as long, whatever it is for."""


def locked(name: str, now: int) -> Transaction[bool]:
    """Whether there were so many wrong secrets that not even the right one opens it now."""
    found = yield SQL.tries.get(name=name)
    return bool(found) and found[0]["locked_until"] > now


@transaction
def count(name: str, waitpoint_id: str | None, now: int) -> Transaction[bool]:
    """Count a wrong secret for what belongs to a waitpoint, None where there is no such thing; whether that has locked it.

    What is locked is not locked for longer by more of them: whoever has the right secret can use it after the time that was told.
    """
    shut = yield from locked(name, now)
    counted = NOBODY if shut or waitpoint_id is None else name
    [row] = yield SQL.tries.count(name=counted, now=now, before=now - WINDOW, most=MOST, until=now + LOCK)
    if counted == NOBODY or row["wrong"] != MOST:
        return False
    detail = {"what": name, "wrong": MOST, "until": (now + LOCK) // 1_000}
    yield from audit.tell(Note(type="lock", waitpoint=waitpoint_id, run_id=None, actor="nobody", via="http", detail=detail), now)
    return True
