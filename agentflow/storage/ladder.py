"""Reminders, and who else is brought in when nobody answers: each rung is taken once, and only while the question is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentflow.clock import SECOND
from agentflow.database.port import Transaction, transaction
from agentflow.errors import WaitpointError
from agentflow.records import WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import audit, deciding, outbox, runs, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.statements import SQL

REMIND, ESCALATE = "remind", "escalate"
PAUSE = 60 * SECOND
"""Microseconds between two reminders that people ask for: they tell everybody."""
BY = "system:ladder"


class RemindedAlready(WaitpointError):
    """Everybody was reminded a moment ago."""

    code = "reminded_already"
    http_status = 429


@dataclass(frozen=True, slots=True)
class Climbed:
    """A waitpoint about which people were reminded, by whom; `to` who may decide from now on, too; `epoch` that of the run that waits."""

    waitpoint: WaitpointRecord
    by: str
    to: str | None = None
    epoch: int = 0


def due(now: int, limit: int) -> Transaction[list[tuple[str, int]]]:
    """The rungs whose time has come: waitpoint and number."""
    return [(row["waitpoint"], row["seq"]) for row in (yield SQL.rungs.due(now=now, limit=limit))]


@transaction
def climb(waitpoint_id: str, seq: int, now: int) -> Transaction[Climbed | None]:
    """Take a rung; None when it was taken before, or the question has ended."""
    found = yield SQL.waitpoints.get(id=waitpoint_id)
    if not found:
        yield SQL.rungs.take(waitpoint=waitpoint_id, seq=seq)
        return None
    [(one, equal)] = yield from deciding.locked_with_equals(waitpoint_id)
    taken = yield SQL.rungs.take(waitpoint=waitpoint_id, seq=seq)
    if not taken or one.state is not WaitState.PENDING:
        return None
    target: str | None = taken[0]["target"]
    if target is None:
        return (yield from _reminded(one, BY, now))
    for other in equal:
        yield from _widen(other, target, {"to": target, "follows": one.id}, now)
    return (yield from _escalated(one, target, now))


@transaction
def remind(waitpoint_id: str, by: str, now: int) -> Transaction[Climbed]:
    """Tell everybody again, for somebody who asks for it.

    Raises `WaitpointNotFound`, `RemindedAlready`, and as `refusal` when it has ended.
    """
    one = yield from deciding.locked(waitpoint_id)
    if one.state is not WaitState.PENDING:
        raise waitpoints.refusal(one)
    votes = yield SQL.votes.of_waitpoint(waitpoint=one.id)
    if any(vote["choice"] == REMIND and vote["at"] > now - PAUSE for vote in votes):
        hint = "Give people a minute."
        raise RemindedAlready(f"People were reminded of {one.id} a moment ago.", hint=hint, waitpoint_id=one.id)
    yield from _say(one, by, REMIND, {}, now)
    return (yield from _reminded(one, by, now))


def _reminded(one: WaitpointRecord, by: str, now: int) -> Transaction[Climbed]:
    yield from outbox.tell(one.id, loads(one.subject), "reminded", now)
    return Climbed(one, by, epoch=(yield from _epoch(one)))


def _escalated(one: WaitpointRecord, target: str, now: int) -> Transaction[Climbed]:
    subject = yield from _widen(one, target, {"to": target}, now)
    yield from outbox.tell(one.id, subject, "escalated", now, target)
    return Climbed(replace(one, subject=dumps(subject)), BY, target, (yield from _epoch(one)))


def _widen(one: WaitpointRecord, target: str, said: Mapping[str, Any], now: int) -> Transaction[Mapping[str, Any]]:
    subject = widened(loads(one.subject), target)
    yield SQL.waitpoints.reassign(id=one.id, subject=dumps(subject))
    yield from _say(one, BY, ESCALATE, said, now)
    return subject


def _epoch(one: WaitpointRecord) -> Transaction[int]:
    return 0 if one.run_id is None else (yield from runs.lock(one.run_id)).epoch


def widened(subject: Mapping[str, Any], target: str) -> dict[str, Any]:
    """What is asked, of `target` (`user:maria`, `group:ops`), too. Whom a question is open to in any case stays as it is: all."""
    kind, _, name = target.partition(":")
    field = {"user": "users", "group": "groups"}[kind]
    escalated = list(dict.fromkeys([*(subject.get("escalated") or ()), target]))
    if not subject.get("users") and not subject.get("groups"):
        return {**subject, "escalated": escalated}
    return {**subject, field: list(dict.fromkeys([*(subject.get(field) or ()), name])), "escalated": escalated}


def _say(one: WaitpointRecord, by: str, choice: str, said: Mapping[str, Any], now: int) -> Transaction[None]:
    yield SQL.votes.put(waitpoint=one.id, actor=by, choice=choice, body=dumps(said), key=None, counted=1, why=None, now=now)
    via = "ladder" if by == BY else "api"
    yield from audit.tell(Note(type=choice, waitpoint=one.id, run_id=one.run_id, actor=by, via=via, detail=said), now)
