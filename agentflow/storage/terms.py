"""What a budget allows, what was used of it, and whether a model call may begin. Pure.

Amounts are whole numbers: nano-USD, tokens, calls, microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from agentflow.clock import SECOND, microseconds
from agentflow.errors import DefinitionError
from agentflow.serde import dumps, loads

NANO = 1_000_000_000
COUNTED = ("usd", "tokens", "turns")
"""Limits of what calls use up; the others are of time."""
_WORDS = {"usd": "USD", "tokens": "tokens", "turns": "model calls", "time": "of time", "active": "of work"}
_UNKNOWN = {"usd": "price", "tokens": "number of tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A budget as it holds for one run and all below it. `scope` is what is counted, `owner` the run whose time counts."""

    id: str
    scope: str
    owner: int
    on_limit: str
    limits: Mapping[str, int]
    window: int | None = None
    groups: Sequence[str] = ()
    expires: int | None = None

    @property
    def own(self) -> int | None:
        """The run that the budget ends with; None when others share it."""
        return int(self.scope.removeprefix("run:")) if self.scope.startswith("run:") else None

    @property
    def turnwise(self) -> bool:
        """Whether a no counts for those alone who waited for it: the next run of a thread is a new turn of its person."""
        return self.scope.startswith("thread:")

    def written(self) -> str:
        """As JSON text."""
        return dumps({name: getattr(self, name) for name in Terms.__slots__})

    @classmethod
    def read(cls, text: str) -> Terms:
        """Of a JSON text."""
        told = loads(text)
        return cls(**{name: told[name] for name in Terms.__slots__ if name in told})


@dataclass(frozen=True, slots=True)
class Grant:
    """What people said: more of each limit, that calls of which nothing is known are fine, or no."""

    amount: Mapping[str, int] = field(default_factory=dict[str, int])
    unknown: bool = False
    denied: bool = False

    def written(self) -> str:
        """What was granted, as JSON text."""
        return dumps({"amount": self.amount, "unknown": self.unknown})

    @classmethod
    def read(cls, text: str, *, denied: bool) -> Grant:
        """Of what is stored."""
        return cls(**loads(text), denied=denied)


Size = Mapping[str, int | None]
"""What a call uses at most of each limit; what is not there, or None, is not known."""


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of each limit, how many calls told nothing, and the sizes of those that are under way."""

    spent: Mapping[str, int]
    unknown: Mapping[str, int]
    open: Sequence[Size] = ()


@dataclass(frozen=True, slots=True)
class Shortage:
    """A limit that is reached, or cannot be kept because `unknown` calls told nothing of it."""

    name: str
    spent: int
    limit: int
    unknown: int

    @property
    def words(self) -> str:
        """For people: `10,120 of 10,000 tokens`."""
        if self.unknown:
            calls = "1 call" if self.unknown == 1 else f"{self.unknown} calls"
            return f"{calls} whose {_UNKNOWN[self.name]} is not known"
        return f"{_amount(self.name, self.spent)} of {_amount(self.name, self.limit)} {_WORDS[self.name]}"


def shortages(terms: Terms, grant: Grant, used: Used) -> list[Shortage]:
    """The limits that let no further call begin."""
    found: list[Shortage] = []
    for name, limit in allowed(terms, grant).items():
        unknown = 0 if grant.unknown else used.unknown.get(name, 0)
        if used.spent[name] >= limit or unknown:
            found.append(Shortage(name, used.spent[name], limit, unknown))
    return found


def crowded(terms: Terms, grant: Grant, used: Used, call: Size) -> bool:
    """Whether a call must wait for those under way: all of them but the largest have to fit for certain.

    So whatever they use, a limit is exceeded by less than the one call of which that is not known, or by less than the largest.
    """
    if not used.open:
        return False
    return any(
        _overfull(name, limit - used.spent[name], [*used.open, call]) for name, limit in allowed(terms, grant).items() if name in COUNTED
    )


def _overfull(name: str, left: int, calls: Sequence[Size]) -> bool:
    known = sorted(size for one in calls if (size := 1 if name == "turns" else one.get(name)) is not None)
    unknown = len(calls) - len(known)
    return unknown > 1 or sum(known if unknown else known[:-1]) >= left


def strictest(terms: Sequence[Terms]) -> list[Terms]:
    """The budgets that hold for a run, given from the run outwards: of those that count the same, the lowest of each limit.

    Who is asked, for how long, and whose it is, says the outermost.
    """
    found: dict[str, Terms] = {}
    for one in terms:
        inner = found.get(one.id, one).limits
        limits = {name: min(limits[name] for limits in (one.limits, inner) if name in limits) for name in {*inner, *one.limits}}
        found[one.id] = replace(one, limits=limits)
    return list(found.values())


def allowed(terms: Terms, grant: Grant) -> dict[str, int]:
    """The limits as they are now."""
    return {name: limit + grant.amount.get(name, 0) for name, limit in terms.limits.items()}


def granted(terms: Terms, before: Grant, edits: Mapping[str, Any] | None) -> Grant:
    """What a yes grants: the limits that were written into it, or everything once more."""
    more = dict(before.amount)
    edited = {name: limit for name, value in (edits or {}).items() if name in terms.limits and (limit := _units(name, value)) is not None}
    for name, limit in terms.limits.items():
        if edits:
            more[name] = edited[name] - limit if name in edited else more.get(name, 0)
        else:
            more[name] = more.get(name, 0) + limit
    return Grant(more, unknown=True)


def subject(reached: Sequence[tuple[Terms, Grant, Sequence[Shortage]]], run: int) -> dict[str, Any]:
    """What people are asked: how much was used of what, and the limits that a plain yes sets, for them to change."""
    first = reached[0][0]
    body: dict[str, Any] = {}
    for terms, grant, _ in reached:
        for name, limit in allowed(terms, granted(terms, grant, None)).items():
            body[name] = max(_plain(name, limit), body.get(name, 0))
    told = [
        {
            "budget": terms.scope,
            "used": {one.name: one.words for one in short},
            "spent": {one.name: _plain(one.name, one.spent) for one in short if one.spent >= one.limit},
        }
        for terms, _, short in reached
    ]
    title = " ".join(f"{used_up(terms, short, run)}." for terms, _, short in reached)
    return {
        "title": f"{title} May it go on?",
        "body": body,
        "groups": list(first.groups),
        "kind": "confirm",
        "can_edit": True,
        "budgets": told,
    }


def unusable(subject: Mapping[str, Any], edits: Mapping[str, Any]) -> list[str]:
    """Why these are no new limits, for people who were asked by `subject`: with them the run would come no further."""
    spent: dict[str, int] = {}
    for one in subject["budgets"]:
        # Questions of earlier versions do not say it as a number.
        for name, value in one.get("spent", {}).items():
            spent[name] = max(spent.get(name, 0), _units(name, value) or 0)
    missing = [f"{name} is reached, too" for name in spent if name not in edits]
    return missing + [problem for name, value in edits.items() if (problem := _problem(subject, name, value, spent.get(name, 0)))]


def _problem(subject: Mapping[str, Any], name: str, value: Any, spent: int) -> str | None:
    if name not in subject["body"]:
        return f"{name} is not asked about"
    limit = _units(name, value)
    if limit is None or limit < 1:
        return f"{name}={value!r} is no limit"
    return f"{name}={value!r} is used up with {_amount(name, spent)}" if limit <= spent else None


def used_up(terms: Terms, short: Sequence[Shortage], run: int) -> str:
    """A sentence without its full stop: what has used how much of what."""
    return f"{_who(terms.scope, run)} has used {', '.join(one.words for one in short)}{_within(terms.window)}"


def free_at(terms: Terms, grant: Grant, past: Sequence[tuple[int, Mapping[str, int | None]]]) -> int:
    """When so much has left the window that a call may begin. `past` are the calls in it, in order; None is what a call did not tell."""
    latest = 0
    for name, limit in allowed(terms, grant).items():
        left = sum(call[name] or 0 for _, call in past)
        unknown = 0 if grant.unknown else sum(call[name] is None for _, call in past)
        for at, call in past:
            if left < limit and not unknown:
                break
            left -= call[name] or 0
            unknown -= call[name] is None
            latest = max(latest, at)
    return latest + (terms.window or 0)


def _who(scope: str, run: int) -> str:
    kind, _, name = scope.partition(":")
    if kind != "run":
        return f"{kind.capitalize()} {name!r}"
    return "This run" if int(name) == run else "The run above this one"


def _within(window: int | None) -> str:
    return "" if window is None else f" within {window / SECOND / 3600:g} h"


def _amount(name: str, units: int) -> str:
    if name == "usd":
        return f"{Decimal(units) / NANO:.6f}".rstrip("0").rstrip(".")
    return f"{units:,}" if name in COUNTED else f"{units / SECOND:g} s"


def _plain(name: str, units: int) -> float | int:
    """A limit as people write it."""
    if name == "usd":
        return units / NANO
    return units if name in COUNTED else units / SECOND


def units(name: str, value: Any) -> int:
    """A limit as it is counted. Raises `DefinitionError` for what is none."""
    found = _units(name, value)
    if found is None or found < 1:
        raise DefinitionError(f"Budget: {name}={value!r} is no limit.", hint="Give more than 0: USD, tokens, turns, or a duration.")
    return found


def _units(name: str, value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        if name == "usd":
            return round(Decimal(str(value)) * NANO)
        if name in COUNTED:
            return int(value) if int(value) == float(value) else None
        return microseconds(value)
    except (ValueError, TypeError, InvalidOperation, OverflowError, DefinitionError):
        return None
