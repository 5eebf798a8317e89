"""Who may decide about an approval, and when enough of them have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentflow.errors import WaitpointError


class NotEligible(WaitpointError):
    """This person may not decide; their vote is kept, and does not count. `details["reason"]`: not_eligible, self_approval
    or not_a_person."""

    code = "not_eligible"
    http_status = 403


class SubjectChanged(WaitpointError):
    """What is asked about is not what was shown; `details["digest"]` is that of what is."""

    code = "subject_changed"
    http_status = 412


class TooManyDecisions(WaitpointError):
    """One person decides about one question too often; `details["retry_after"]` is in seconds."""

    code = "too_many_decisions"
    http_status = 429


TRIAL = "experiment:"
"""Begins the name in which runs of experiments are started: nobody's."""
_RESERVED = ("run:", "run_", "agent:", "system:", "grant:", TRIAL)
_UNNAMED = "token:"
"""Begins the name of a token that is nobody's: two of them may be one person's."""


def person_of(name: str) -> str:
    """A name as it is compared: `user:maria` and `maria` are one person."""
    while name.startswith("user:"):
        name = name.removeprefix("user:")
    return name


def is_reserved(name: str) -> bool:
    """Whether a name is that of no person: of a run or an agent, which never decide, or of what decides without anybody."""
    return person_of(name).startswith(_RESERVED)


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody may answer besides the question that they were asked: these waitpoints, and those shown in these runs."""

    waitpoints: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()

    def covers(self, waitpoint_id: str, runs: Iterable[str | None]) -> bool:
        """Whether a waitpoint that is shown in these runs is within it."""
        return waitpoint_id in self.waitpoints or not self.runs.isdisjoint(runs)


@dataclass(frozen=True, slots=True)
class Voter:
    """Who decides. `groups`: those that they are known to be in; None when whoever lets them in vouches for them. `via`: how they came.

    `reach`: which equal questions their word ends, too; None for all. Whoever was told of one alone has none but that.
    """

    name: str
    groups: frozenset[str] | None = None
    via: str = "api"
    reach: Reach | None = None


def named(by: str | Voter) -> Voter:
    """Who decides, where only a name may be given."""
    return Voter(by) if isinstance(by, str) else by


@dataclass(frozen=True, slots=True)
class Said:
    """What one person said last: yes or no, to which arguments (JSON of their edits, or nothing)."""

    actor: str
    approved: bool
    edits: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes come to. `end`: yes, no, or None while more are `need`ed; `by`: who is on the side that ended it, or is ahead."""

    end: bool | None
    need: int
    by: tuple[str, ...] = ()


def requesters_of(subject: Mapping[str, Any]) -> frozenset[str]:
    """Who asked for it and may not decide, from what a waitpoint stores: `requester`, and `requesters` where there are more."""
    first = () if subject.get("requester") is None else (subject["requester"],)
    return frozenset(map(person_of, (*first, *(subject.get("requesters") or ()))))


@dataclass(frozen=True, slots=True)
class Policy:
    """As asked: `users` and `groups` who may decide (all, where neither is named), how many distinct people are `need`ed, who asked and may
    not decide (`requesters`), and whether one no is enough (`veto`) or as many as yeses are needed (`majority`). Names are as `person_of`
    gives them."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    need: int = 1
    requesters: frozenset[str] = frozenset()
    deny: str = "veto"

    @classmethod
    def of(cls, subject: Mapping[str, Any]) -> Policy:
        """From what a waitpoint stores."""
        return cls(
            users=frozenset(map(person_of, subject.get("users") or ())),
            groups=frozenset(subject.get("groups") or ()),
            need=max(1, int(subject.get("need") or 1)),
            requesters=requesters_of(subject),
            deny=subject.get("deny") or "veto",
        )

    @property
    def who(self) -> tuple[frozenset[str], frozenset[str]]:
        """The users and groups who may decide."""
        return self.users, self.groups

    def refuses(self, voter: Voter) -> str | None:
        """Why somebody may not decide; None when they may."""
        name = person_of(voter.name)
        if is_reserved(name) or (name.startswith(_UNNAMED) and (self.need > 1 or self.requesters)):
            return "not_a_person"
        if name in self.requesters:
            return "self_approval"
        if name in self.users or (not self.users and not self.groups):
            return None
        if self.groups and (voter.groups is None or not self.groups.isdisjoint(voter.groups)):
            return None
        return "not_eligible"

    def tally(self, said: Iterable[Said]) -> Tally:
        """What distinct people's last words come to. A yes counts together with those to the same arguments."""
        last = {person_of(one.actor): one for one in said}
        noes = tuple(one.actor for one in last.values() if not one.approved)
        sides: dict[str | None, tuple[str, ...]] = {}
        for one in last.values():
            if one.approved:
                sides[one.edits] = (*sides.get(one.edits, ()), one.actor)
        yeses = max(sides.values(), key=len, default=())
        if noes and (self.deny == "veto" or len(noes) >= self.need):
            return Tally(False, self.need, noes)
        return Tally(True if len(yeses) >= self.need else None, self.need, yeses)
