"""What model calls used: a row for everything that a call counts for, summed when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentflow.clock import SECOND
from agentflow.database.port import Row, Transaction
from agentflow.records import RunUsage, UsageRecord
from agentflow.serde import dumps
from agentflow.storage.generations import Generated
from agentflow.storage.statements import SQL

LONGEST = 31 * 86_400 * SECOND
"""The longest window of a budget: for so long the calls of a tag or a key are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """What one model call told. `cost` is nano-USD; None is not known. `calls` is 0 for the rest of a call that was counted before."""

    provider: str | None = None
    model: str | None = None
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    cost: int | None = None
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Metered:
    """What is recorded with a step that asked a model: what its calls used, and all that they count for.

    `name` is the call that a budget let begin, if one did, and `over` whether it has ended: else its provider goes on with it. `generated`
    are those calls that a version of a prompt spoke.
    """

    calls: Sequence[CallUsage]
    scopes: Sequence[str]
    name: str | None = None
    over: bool = True
    generated: Sequence[Generated] = ()


def put(run: int, seq: int, epoch: int, metered: Metered, now: int) -> Transaction[None]:
    """Record it, as a part of the transaction that records the step."""
    scopes = dumps(metered.scopes)
    for call in metered.calls:
        columns = {name: getattr(call, name) for name in CallUsage.__slots__}
        yield SQL.usage.put(scopes=scopes, run=run, seq=seq, at=now, expires_at=now + LONGEST, **columns)
    if metered.name is not None:
        yield (SQL.calls.end if metered.over else SQL.calls.keep)(run=run, step=metered.name, epoch=epoch)


def of_scope(scope: str, run: int | None = None, since: int = -1) -> Transaction[UsageRecord]:
    """What was used for a scope after a moment, by everybody or by one run."""
    [found] = yield SQL.usage.sum(scope=scope, run=run, since=since)
    return _record(found)


def of_prompt(prompt: str, number: int, since: int = -1) -> Transaction[UsageRecord]:
    """What the calls of one version of a prompt used after a moment."""
    [found] = yield SQL.generations.used(prompt=prompt, number=number, since=since)
    return _record(found)


def of_run(run: int) -> Transaction[RunUsage]:
    """What a run used."""
    own = yield from of_scope(f"run:{run}", run)
    return RunUsage(own, (yield from of_scope(f"run:{run}")))


def of_steps(run: int) -> Transaction[Mapping[int, UsageRecord]]:
    """What each record of a run used, by its number."""
    found: dict[int, UsageRecord] = {}
    for row in (yield SQL.usage.each(scope=f"run:{run}", run=run, since=-1)):
        found[row["seq"]] = found.get(row["seq"], UsageRecord()) + _single(row)
    return found


def _single(row: Row) -> UsageRecord:
    told = {name: row[name] or 0 for name in ("input", "output", "cached", "reasoning")}
    priced = row["cost"] is not None
    return UsageRecord(**told, calls=row["calls"], cost=row["cost"] or 0, unpriced=int(not priced), unmetered=int(row["output"] is None))


def _record(row: Row) -> UsageRecord:
    names = ("calls", "input", "output", "cached", "reasoning", "cost", "unpriced", "unmetered")
    return UsageRecord(**{name: row[name] for name in names})
