"""The questions that a family of runs has open: people see equal ones once, and only so many at a time.

Each keeps its own row, and ends once by itself. Lock order: a family's row after all runs and waitpoints but those that it goes on to show:
whoever ends one of those at this very moment begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentflow.database.port import Transaction
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads, sealed
from agentflow.storage import outbox, rows
from agentflow.storage.statements import SQL

GRAVE = ("high", "critical")
"""What is of such risk is asked each time: a yes is to one call."""
QUESTIONS = (WaitKind.APPROVAL, WaitKind.INPUT)
_EACH = frozenset({"call"})
"""What tells apart what people would see as one question."""


def enter(one: WaitpointRecord, run: int, same: str | None, most: int | None, now: int) -> Transaction[bool]:
    """A question was created, as a part of the transaction that does so. Returns whether people are to be told of it now.

    Silence about what nobody is shown means nothing: until they are, its time does not pass.
    """
    family = (yield SQL.asking.family(run=run))[0]["family"]
    yield SQL.asking.hold(family=family)
    [there] = yield SQL.asking.open(family=family, same=same, most=1 if most is None else most)
    held = "same" if there["equal"] else "full" if most is not None and there["shown"] >= most else None
    span = None if one.due_at is None else one.due_at - now
    yield SQL.asking.put(waitpoint=one.id, run=run, family=family, same=same, held=held, now=now, span=span)
    if held is not None and not there["seen"]:
        yield SQL.asking.pause(waitpoint=one.id)
    return held is None


def leave(ended: Iterable[WaitpointRecord], now: int) -> Transaction[None]:
    """These have ended, questions or not, as the last thing in the transaction that ends them: what they have held up takes their place."""
    for waitpoint_id in sorted(one.id for one in ended if one.kind in QUESTIONS):
        yield from _leave(waitpoint_id, now)


def _leave(waitpoint_id: str, now: int) -> Transaction[None]:
    held = yield SQL.asking.hold_of(waitpoint=waitpoint_id)
    if not held:
        return
    family = held[0]["id"]
    gone = yield SQL.asking.clear(family=family)
    following: set[str] = set()
    for same in sorted({row["same"] for row in gone if row["same"] is not None and row["held"] != "same"}):
        following |= {row["waitpoint"] for row in (yield SQL.asking.follow(family=family, same=same))}
    for row in (yield SQL.asking.next(family=family, limit=sum(row["held"] is None for row in gone))):
        following.discard(row["waitpoint"])
        yield SQL.asking.show(waitpoint=row["waitpoint"])
        yield SQL.asking.resume(waitpoint=row["waitpoint"], now=now)
        one = rows.waitpoint((yield SQL.waitpoints.lock(id=row["waitpoint"]))[0])
        if one.state is WaitState.PENDING and outbox.is_told(one.subject):
            yield from outbox.begin(one, row["run"], now)
    for waitpoint_id in sorted(following):
        yield SQL.asking.pause(waitpoint=waitpoint_id)
    yield SQL.asking.forget_family(family=family)


def reseal(one: WaitpointRecord) -> Transaction[None]:
    """An open question and its equals were changed alike, as the last thing in a transaction: what is asked as it was is no equal."""
    if (yield SQL.asking.hold_of(waitpoint=one.id)):
        yield SQL.asking.reseal(waitpoint=one.id, same=equals(one.subject, one.schema, one.kind, one.run_id or ""))


def equals(subject: str, schema: str | None, kind: WaitKind, run_id: str) -> str | None:
    """What equal questions have in common; None for what is asked each time.

    One with a digest says all that tells its call from others. Of any other, people may know what it is about by its run alone.
    """
    asked: Mapping[str, Any] = loads(subject)
    grave = asked.get("risk") in GRAVE or (asked.get("need") or 1) > 1
    if kind is not WaitKind.APPROVAL or grave or asked.get("kind") == "outcome" or "budgets" in asked:
        return None
    seen = {name: value for name, value in asked.items() if name not in _EACH}
    place = None if asked.get("digest") else run_id
    return sealed({"asked": seen, "schema": schema, "run": place})


def placed(found: Sequence[WaitpointRecord]) -> Transaction[list[WaitpointRecord]]:
    """Waitpoints, with what is known of the equals of those that are open questions."""
    asked = [one.id for one in found if one.kind in QUESTIONS and one.state is WaitState.PENDING]
    known = {row["waitpoint"]: row for row in (yield SQL.asking.places(waitpoints=dumps(asked)))} if asked else {}
    return [one if (row := known.get(one.id)) is None else replace(one, times=max(1, row["times"]), held=row["held"]) for one in found]
