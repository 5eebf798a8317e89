"""Links that let one person decide about one question in a browser. Only the hash of a secret is kept."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from agentflow.database.port import Row, Transaction, transaction
from agentflow.errors import InvalidAnswer, WaitpointError
from agentflow.records import WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps, loads
from agentflow.storage import audit, deciding, tries, waitpoints
from agentflow.storage.audit import Note
from agentflow.storage.policy import Policy, Reach, Voter
from agentflow.storage.statements import SQL

ID = 12
"""Characters of a link's id, which the secret follows."""
CHOICES: dict[WaitKind, tuple[str, ...]] = {WaitKind.APPROVAL: ("approve", "deny", "edit"), WaitKind.INPUT: ("answer",)}
"""What people may say to each kind of question."""
_NOBODY = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A link to be made. `member_of`: the groups that they are said to be in, beside those that are known of them; None where whoever makes
    the link vouches for them. `replace`: links that this person was given before are closed. Times are microseconds since 1970."""

    id: str
    secret: str
    actor: Voter
    member_of: frozenset[str] | None
    choices: Sequence[str] | None
    made_by: Voter
    expires_at: int
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """A link, as stored. Times are microseconds since 1970."""

    id: str
    waitpoint: str
    actor: Voter
    choices: tuple[str, ...]
    expires_at: int
    revoked_at: int | None

    @classmethod
    def of(cls, row: Row) -> LinkRecord:
        """From its row."""
        groups = None if row["member_of"] is None else frozenset(loads(row["member_of"]))
        return cls(
            id=row["id"],
            waitpoint=row["waitpoint"],
            actor=Voter(row["actor"], groups, "link", Reach()),
            choices=tuple(loads(row["choices"])),
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )


def split(token: str) -> tuple[str, str]:
    """The id and the secret in the token of a link."""
    return token[:ID], token[ID:]


@transaction
def make(waitpoint_id: str, new: NewLink, now: int) -> Transaction[tuple[WaitpointRecord, LinkRecord]]:
    """Make a link. Raises `WaitpointNotFound`, `InvalidAnswer`, `NotEligible`, and what tells of a question that has ended."""
    one = yield from deciding.locked(waitpoint_id)
    choices = _choices(one, new.choices)
    why = _refusal(one, new.actor, now)
    if why is not None:
        raise why
    until = new.expires_at if one.due_at is None else min(new.expires_at, one.due_at)
    if new.replace:
        yield SQL.links.revoke(waitpoint=one.id, actor=new.actor.name, now=now)
    groups = None if new.member_of is None else dumps(sorted(new.member_of))
    yield SQL.links.make(
        id=new.id,
        hash=_hashed(new.secret),
        waitpoint=one.id,
        actor=new.actor.name,
        member_of=groups,
        choices=dumps(choices),
        made_by=new.made_by.name,
        expires_at=until,
        now=now,
    )
    detail = {"link": new.id, "actor": new.actor.name, "choices": choices, "expires_at": until // 1_000, "replaced": new.replace}
    yield from audit.tell(
        Note(type="link", waitpoint=one.id, run_id=one.run_id, actor=new.made_by.name, via=new.made_by.via, detail=detail), now
    )
    voter = Voter(new.actor.name, new.member_of, "link", Reach())
    return one, LinkRecord(id=new.id, waitpoint=one.id, actor=voter, choices=tuple(choices), expires_at=until, revoked_at=None)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a token opens: its link; None for an unknown one and a wrong secret alike. `waitpoint`: that of the link which has this id."""

    link: LinkRecord | None
    waitpoint: str | None


def opened_by(token: str, now: int) -> Transaction[Opened]:
    """What a token opens, which takes as long where there is no such link. One that has had too many wrong secrets stays shut."""
    id, secret = split(token)
    locked = yield from tries.locked(id, now)
    found = yield SQL.links.get(id=id)
    right = hmac.compare_digest(found[0]["hash"] if found else _NOBODY, _hashed(secret))
    link = LinkRecord.of(found[0]) if right and found and not locked else None
    return Opened(link, found[0]["waitpoint"] if found else None)


def _hashed(secret: str) -> str:
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def _choices(one: WaitpointRecord, wanted: Sequence[str] | None) -> list[str]:
    known = CHOICES.get(one.kind, ())
    if not known:
        raise InvalidAnswer(f"{one.id} waits for a {one.kind.value}, which no person answers.", hint="Links are for approvals and forms.")
    chosen = list(known) if wanted is None else [name for name in known if name in wanted]
    if not chosen or len(chosen) < len(set(wanted or ())) or chosen == ["edit"]:
        raise InvalidAnswer(f"These are no choices for a link to {one.id}.", hint=f"It may have {', '.join(known)}.")
    return chosen


def _refusal(one: WaitpointRecord, actor: Voter, now: int) -> WaitpointError | None:
    if one.state is not WaitState.PENDING:
        return waitpoints.refusal(one)
    return deciding.too_late(one, now) or deciding.not_eligible(one, actor, Policy.of(loads(one.subject)))
