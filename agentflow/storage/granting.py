"""Grants: standing yeses of people to calls of a tool. What one stands for is a waitpoint that is born decided, with the grant's vote.

Lock order: the run's row, then grants, those by id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import DefinitionError, WaitpointError
from agentflow.policy.matching import Matcher, exact, fits
from agentflow.records import GrantedCall, GrantRecord, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import audit, deciding, rows, runs, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.deciding import Ballot, Decided
from agentflow.storage.policy import Policy, Voter, person_of
from agentflow.storage.runs import Lease, Lessee
from agentflow.storage.statements import SQL
from agentflow.storage.waitpoints import Ending, NewWaitpoint


class GrantNotFound(WaitpointError):
    """There is no such grant."""

    code = "grant_not_found"
    http_status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A grant to be stored. `fits` is JSON text, `expires_at` microseconds since 1970; see `GrantRecord`."""

    id: str
    scope: str
    scope_id: str
    tool: str
    fits: str
    granted_by: str
    expires_at: int
    waitpoint: str | None = None
    reason: str | None = None
    max_uses: int | None = None


@transaction
def open_wait(lease: Lease, new: NewWaitpoint, call: GrantedCall | None, thread: str | None, now: int) -> Transaction[WaitpointRecord]:
    """Create a waitpoint. Where a grant stands for the people who are asked about `call`, it is born decided, and the use is counted.

    Raises `LeaseLost`.
    """
    if call is None:
        return (yield from waitpoints.create(lease, new, now))
    yield from runs.hold(lease)
    there = yield SQL.waitpoints.get(id=new.id)
    if there:
        # The connection broke after this very transaction was committed: the use is counted.
        return rows.waitpoint(there[0])
    usable = yield SQL.approval_grants.usable(tool=call.tool, agent=call.agent, run_id=lease.run_id, thread=thread, now=now)
    grant = next((one for one in map(_grant, usable) if stands_for(one, call)), None)
    if grant is None:
        return (yield from waitpoints.insert(lease, new, None, now))
    answer = dumps({"approved": True, "reason": grant.reason, "grant": grant.id, "granted_by": grant.granted_by})
    by = f"grant:{grant.id}"
    born = yield from waitpoints.insert(lease, new, Ending(WaitState.ANSWERED, answer, by), now)
    yield SQL.approval_grants.use(id=grant.id)
    yield SQL.votes.put(waitpoint=new.id, actor=by, choice="approve", body=answer, key=None, counted=1, why=None, now=now)
    yield from audit.tell(_used(grant, call, born), now)
    return born


def stands_for(grant: GrantRecord, call: GrantedCall) -> bool:
    """Whether a grant fits a call. What cannot be judged does not fit."""
    if Policy.of(loads(grant.who or "{}")).who != Policy.of({"users": call.users, "groups": call.groups}).who:
        return False
    if Policy(requesters=frozenset(map(person_of, call.requesters))).refuses(Voter(grant.granted_by)):
        return False
    wanted: Mapping[str, Any] = loads(grant.fits)
    try:
        if "digest" in wanted:
            return wanted["digest"] == exact(call.tool, call.arguments)
        matchers = {name: Matcher.of(one) for name, one in wanted["args"].items()}
        return bool(matchers) and not call.exactly and fits(matchers, call.arguments, closely=True)
    except (TypeError, ValueError, RecursionError, DefinitionError):
        return False


def _used(grant: GrantRecord, call: GrantedCall, born: WaitpointRecord) -> Note:
    subject = loads(born.subject)
    shown = {name: subject[name] for name in ("title", "tool", "digest", "risk") if subject.get(name) is not None}
    detail = {"choice": "use", "grant": grant.id, "granted_by": grant.granted_by, "call": exact(call.tool, call.arguments), "asked": shown}
    return Note(type="grant", waitpoint=born.id, run_id=born.run_id, actor=f"grant:{grant.id}", via="grant", detail=detail)


def _given(grant: GrantRecord, via: str) -> Note:
    names = ("scope", "scope_id", "tool", "max_uses", "expires_at", "reason")
    detail = {"choice": "give", "grant": grant.id, "match": loads(grant.fits), **{name: getattr(grant, name) for name in names}}
    return Note(type="grant", waitpoint=grant.waitpoint, run_id=None, actor=grant.granted_by, via=via, detail=detail)


@transaction
def give(new: NewGrant, giver: Voter, now: int) -> Transaction[GrantRecord]:
    """Store a grant of somebody who may decide about the question that it is given with.

    Raises `WaitpointNotFound`, `NotEligible`, and what tells of a question that has ended with anything but a yes.
    """
    if new.waitpoint is not None:
        one = yield from deciding.locked(new.waitpoint)
        why = _refusal(one, giver, now)
        if why is not None:
            raise why
    return (yield from create(new, now, giver.via))


def _refusal(one: WaitpointRecord, giver: Voter, now: int) -> WaitpointError | None:
    if one.state is WaitState.PENDING:
        return deciding.too_late(one, now) or deciding.not_eligible(one, giver, Policy.of(loads(one.subject)))
    if one.state is not WaitState.ANSWERED or loads(one.answer or "{}").get("approved") is not True:
        return waitpoints.refusal(one)
    return deciding.not_eligible(one, giver, Policy.of(loads(one.subject)))


@transaction
def create(new: NewGrant, now: int, via: str = "api") -> Transaction[GrantRecord]:
    """Store a grant, with who is asked the question that it is given with."""
    who: str | None = None
    if new.waitpoint is not None:
        users, groups = Policy.of(loads((yield from waitpoints.get(new.waitpoint)).subject)).who
        who = dumps({"users": sorted(users), "groups": sorted(groups)})
    made = yield SQL.approval_grants.create(**{field.name: getattr(new, field.name) for field in fields(NewGrant)}, who=who, now=now)
    if not made:
        return _grant((yield SQL.approval_grants.get(id=new.id))[0])
    yield from audit.tell(_given(_grant(made[0]), via), now)
    return _grant(made[0])


@transaction
def decide_always(waitpoint_id: str, ballot: Ballot, new: NewGrant, now: int, lessee: Lessee | None = None) -> Transaction[Decided]:
    """Count a yes, and with it give a grant, in one transaction; the same ballot again finds the same grant. Raises as `decide`."""
    decided = yield from deciding.decide(waitpoint_id, ballot, now, lessee)
    if decided.refused is not None or not decided.resolved:
        return decided
    if decided.runs or decided.leased:
        return replace(decided, grant=(yield from create(new, now, ballot.voter.via)).id)
    before = yield SQL.approval_grants.of_waitpoint(waitpoint=waitpoint_id)
    return replace(decided, grant=before[0]["id"] if before else None)


@transaction
def revoke(grant_id: str, by: Voter, now: int) -> Transaction[GrantRecord]:
    """Take a grant back; again, it changes nothing. Raises `GrantNotFound`."""
    before = yield from get(grant_id)
    found = yield SQL.approval_grants.revoke(id=grant_id, by=by.name, now=now)
    if before.revoked_at is None:
        detail = {"choice": "revoke", "grant": grant_id, "tool": before.tool, "uses": before.uses}
        yield from audit.tell(Note(type="grant", waitpoint=before.waitpoint, run_id=None, actor=by.name, via=by.via, detail=detail), now)
    return _grant(found[0])


def get(grant_id: str) -> Transaction[GrantRecord]:
    """A grant. Raises `GrantNotFound`."""
    found = yield SQL.approval_grants.get(id=grant_id)
    if not found:
        raise not_found(grant_id)
    return _grant(found[0])


def newest(since: int | None, tool: str | None, limit: int) -> Transaction[Sequence[GrantRecord]]:
    """Grants, newest first: those that count at `since`, or all; of one tool, or of all."""
    return [_grant(row) for row in (yield SQL.approval_grants.newest(since=since, tool=tool, limit=limit))]


@transaction
def forget(before: int, limit: int) -> Transaction[bool]:
    """Delete grants that expired before `before`; True when there may be more. What they stood for is kept with its runs."""
    return len((yield SQL.approval_grants.forget(before=before, limit=limit))) == limit


def not_found(grant_id: str) -> GrantNotFound:
    """The error that tells of a grant that is not there."""
    return GrantNotFound(f"There is no grant {grant_id!r}.", hint="`agentflow grants list --all` shows those of this database.")


def _grant(row: Row) -> GrantRecord:
    return GrantRecord(**{field.name: row[field.name] for field in fields(GrantRecord)})
