"""What is measured of versions of a prompt: how often they were called, failed, what that cost, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agentflow.database.port import Row, Rows, Transaction
from agentflow.storage.intervals import Interval, mean, percentile, wilson
from agentflow.storage.statements import SQL

SAMPLE = 2_000
"""Calls of a group whose times are ranked: the last ones that were answered."""
Grouping = Literal["version", "variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is to be measured: the calls of a prompt after `since` (microseconds since 1970), by version, or by variant and rollout.

    `env` and `rollout`: of one, or of all.
    """

    prompt: str
    since: int
    env: str | None = None
    rollout: str | None = None
    by: Grouping = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What was measured of a version, or of a variant of it. Times are microseconds, costs nano-USD; intervals are of 95 %.

    A try is a call. `error_rate` is of those that were not cancelled, `cost_per_call` of the `priced`, whose price is known. Times are of
    `timed` calls, the last answered ones; those to the first token of the ones that were streamed. `version` is None where the registry did
    not know it.
    """

    version: int | None
    variant: str | None
    rollout: str | None
    calls: int
    errors: int
    cancelled: int
    error_rate: float | None
    error_interval: Interval | None
    input: int
    output: int
    cached: int
    reasoning: int
    cost: int
    priced: int
    cost_per_call: float | None
    cost_interval: Interval | None
    timed: int
    latency_p50: int | None
    latency_p95: int | None
    first_token_p50: int | None
    first_token_p95: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What the calls of a prompt did of late; `cost` is nano-USD of the `priced`, whose price is known."""

    calls: int = 0
    errors: int = 0
    cost: int = 0
    priced: int = 0


def measure(wanted: Measured) -> Transaction[list[Metrics]]:
    """One group after the other: the newest version first."""
    told = {"prompt": wanted.prompt, "since": wanted.since, "env": wanted.env, "by": wanted.by}
    sums = yield SQL.generations.sums(rollout=wanted.rollout, **told)
    found: list[Metrics] = []
    for row in sorted(sums, key=lambda row: (-row["number"], row["rollout"] or "", row["variant"] or "")):
        group = {"number": row["number"], "variant": row["variant"], "rollout": wanted.rollout or row["rollout"]}
        times = yield SQL.generations.recent(limit=SAMPLE, **told, **group)
        found.append(_metrics(row, times))
    return found


def lately(env: str, since: int) -> Transaction[Mapping[str, Lately]]:
    """What the calls of each prompt in an environment did since a moment."""
    found = yield SQL.generations.lately(env=env, since=since)
    return {row["prompt"]: Lately(**{name: row[name] for name in ("calls", "errors", "cost", "priced")}) for row in found}


_PLAIN = ("variant", "rollout", "calls", "errors", "cancelled", "input", "output", "cached", "reasoning", "cost", "priced")


def _metrics(row: Row, times: Rows) -> Metrics:
    counted = row["calls"] - row["cancelled"]
    spent = mean(row["priced"], row["cost"], row["squares"])
    latency = sorted(one["duration"] for one in times)
    first = sorted(one["first_token"] for one in times if one["first_token"] is not None)
    plain = {name: row[name] for name in _PLAIN}
    return Metrics(
        version=row["number"] or None,
        error_rate=row["errors"] / counted if counted else None,
        error_interval=wilson(row["errors"], counted),
        cost_per_call=None if spent is None else spent[0],
        cost_interval=None if spent is None else spent[1],
        timed=len(latency),
        latency_p50=percentile(latency, 0.5),
        latency_p95=percentile(latency, 0.95),
        first_token_p50=percentile(first, 0.5),
        first_token_p95=percentile(first, 0.95),
        **plain,
    )
