"""What a budget allows, what was used of it, and whether a model call may begin. Pure.

Amounts are whole numbers: nano-USD, tokens, calls, microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of each limit, what the largest single call used, how many calls told nothing, and how many are under way."""

    spent: Mapping[str, int]
    largest: Mapping[str, int]
    unknown: Mapping[str, int]
    calls: int
    open: int


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


def crowded(terms: Terms, grant: Grant, used: Used) -> bool:
    """Whether the calls under way, as large as the largest so far, may leave nothing for one more: then it waits for them."""
    if not used.open:
        return False
    limits = [(name, limit) for name, limit in allowed(terms, grant).items() if name in COUNTED]
    if limits and not used.calls:
        return True  # Nothing is known of what a call uses.
    return any(used.spent[name] + (used.open + 1) * used.largest[name] > limit for name, limit in limits)


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
    told = [{"budget": terms.scope, "used": {one.name: one.words for one in short}} for terms, _, short in reached]
    title = " ".join(f"{used_up(terms, short, run)}." for terms, _, short in reached)
    return {
        "title": f"{title} May it go on?",
        "body": body,
        "groups": list(first.groups),
        "kind": "confirm",
        "can_edit": True,
        "budgets": told,
    }


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
