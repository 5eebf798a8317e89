"""Whether a version does worse than the baseline of its rollout: by more than somebody allows, and by more than chance.

Both sides are what they did since the last step of the ramp, so that each hour counts for both by the same shares: what was slow yesterday
was slow for both. An increase counts once its difference is `SURE` standard errors: of two shares of failed calls with the variance of
both taken together, of two means by Welch. Guards look again and again, which is why that is more than the usual 1.6: of 300 rollouts of
two equal versions, looked at a hundred times or more each, 1.6 takes back every third, 3 one of 23, and 3.5 none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.storage import bindings
from agentflow.storage.bindings import BindingRecord
from agentflow.storage.rollouts import Guard, Rollout
from agentflow.storage.statements import SQL

CHORE = "guards"
SURE = 3.5
MOST = 50_000
"""Calls of a version that are looked at: the last ones, and of the others those of the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A version that does worse: its `value` of what is watched against that of the baseline, and by how many standard errors."""

    guard: Guard
    version: int
    baseline: int
    value: float
    against: float
    calls: int
    baseline_calls: int
    sure: float

    @property
    def told(self) -> dict[str, Any]:
        """What the event tells of it."""
        figures = ("version", "baseline", "value", "against", "calls", "baseline_calls", "sure")
        return {"metric": self.guard.metric, "max_increase": self.guard.max_increase, **{name: getattr(self, name) for name in figures}}

    def __str__(self) -> str:
        return (
            f"{self.guard.metric} of v{self.version} is {self.value:.6g} in {self.calls} calls, that of v{self.baseline} "
            f"{self.against:.6g} in {self.baseline_calls}: {self.sure:.1f} standard errors."
        )


@transaction
def elect(owner: str, until: int, now: int) -> Transaction[bool]:
    """Take the chore, unless another worker has it or did it a moment ago."""
    return bool((yield SQL.chores.take(name=CHORE, owner=owner, until=until, retention=None, now=now)))


@transaction
def dismiss(owner: str, until: int, now: int) -> Transaction[None]:
    """Done: nobody need do it before `until`."""
    yield SQL.chores.finish(name=CHORE, owner=owner, until=until, now=now)


def watched() -> Transaction[list[BindingRecord]]:
    """The bindings whose rollouts have guards."""
    found = yield from bindings.rolled_out()
    return [one for one in found if one.rolled is not None and one.rolled.plan.guards]


def look(id: str, rollout: Rollout, now: int) -> Transaction[Breach | None]:
    """The first breach of a rollout's guards, if there is one."""
    plan = rollout.plan
    if plan.baseline is None:
        return None
    since = rollout.begun_at + max((after for after, _ in plan.ramp if rollout.begun_at + after <= now), default=0)
    for number in plan.versions:
        for row in (yield SQL.guards.oldest(rollout=id, number=number, since=since, most=MOST)):
            since = max(since, row["at"])
    [base] = yield SQL.guards.sums(rollout=id, number=plan.baseline, since=since)
    for number in plan.candidates:
        [mine] = yield SQL.guards.sums(rollout=id, number=number, since=since)
        for guard in plan.guards:
            found = compare(guard, (number, mine), (plan.baseline, base))
            if found is not None:
                return found
    return None


def compare(guard: Guard, mine: tuple[int, Row], base: tuple[int, Row]) -> Breach | None:
    """A breach, if one version does worse than the other: by more than the guard lets it, and than chance would."""
    number, row = mine
    counted, other = _measured(guard, row), _measured(guard, base[1])
    if min(counted.count, other.count) < guard.min_calls:
        return None
    more = counted.mean - other.mean
    allowed = guard.max_increase if guard.metric == "error_rate" else guard.max_increase * other.mean
    error = _pooled(counted, other) if guard.metric == "error_rate" else _welch(counted, other)
    sure = more / error if error > 0 else inf if more > 0 else 0.0
    if more <= allowed or sure < SURE:
        return None
    return Breach(
        guard=guard,
        version=number,
        baseline=base[0],
        value=counted.mean,
        against=other.mean,
        calls=counted.count,
        baseline_calls=other.count,
        sure=min(sure, 1e9),
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        return max(0.0, self.squares - self.total * self.mean) / (self.count - 1) if self.count > 1 else 0.0


_COUNTED = {"cost": "priced", "latency": "timed", "first_token": "streamed"}


def _measured(guard: Guard, row: Row) -> _Sample:
    if guard.metric == "error_rate":
        return _Sample(row["calls"], row["errors"], row["errors"])
    return _Sample(row[_COUNTED[guard.metric]], row[guard.metric], row[f"{guard.metric}_squares"])


def _pooled(mine: _Sample, base: _Sample) -> float:
    both = (mine.total + base.total) / (mine.count + base.count)
    return sqrt(both * (1 - both) * (1 / mine.count + 1 / base.count))


def _welch(mine: _Sample, base: _Sample) -> float:
    return sqrt(mine.variance / mine.count + base.variance / base.count)
