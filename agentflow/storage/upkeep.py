"""What is old goes: runs that ended long ago with all that belongs to them, tokens, blobs that nothing points to.

A deleted run is gone at once, in one transaction; its journal, its waitpoints and what was sent to it, which may be many, go after it
in slices: until then its key is among the `remains`. A key is never used again, since it fences: the newest run leaves an empty row, a
husk, until there is a newer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentflow.clock import SECOND
from agentflow.database.port import Rows, T, Transaction, transaction
from agentflow.errors import RunError
from agentflow.serde import dumps
from agentflow.storage import generations, queues, runs
from agentflow.storage.statements import SQL

CHORE = "upkeep"
CLOCKS = 86_400 * SECOND
"""How far apart the clocks of processes may be: a blob that was put within this time stays."""
_WIDE = 3_600 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A worker that was elected, until when, and for how long it keeps finished runs (None: for ever). Microseconds."""

    owner: str
    until: int
    retention: int | None


class TurnOver(Exception):
    """The worker is no longer the one that was elected."""


class LastUpkeep(NamedTuple):
    """What the last upkeep left behind: when it was done, if ever, and for how long it keeps finished runs (None: for ever)."""

    done_at: int | None
    retention: int | None


@transaction
def elect(turn: Turn, now: int) -> Transaction[int | None]:
    """Take the chore, unless another worker has it or it is not due: then None. Returns how far the last sweep has come."""
    found = yield SQL.chores.take(name=CHORE, owner=turn.owner, until=turn.until, retention=turn.retention, now=now)
    return found[0]["position"] if found else None


@transaction
def in_turn(turn: Turn, part: Transaction[T]) -> Transaction[T]:
    """Do a part of the chore, and keep the turn until `turn.until`. Raises `TurnOver`."""
    if not (yield SQL.chores.hold(name=CHORE, owner=turn.owner, until=turn.until)):
        raise TurnOver
    return (yield from part)


def due() -> Transaction[int]:
    """When the chore is free again, in microseconds since 1970."""
    found = yield SQL.chores.get(name=CHORE)
    return found[0]["until"] if found else 0


@transaction
def dismiss(owner: str, until: int, now: int) -> Transaction[None]:
    """Done: nobody need do it before `until`."""
    yield SQL.chores.finish(name=CHORE, owner=owner, until=until, now=now)


def last() -> Transaction[LastUpkeep | None]:
    """The last upkeep; None when there was none yet."""
    found = yield SQL.chores.get(name=CHORE)
    return LastUpkeep(found[0]["done_at"], found[0]["retention"]) if found else None


@dataclass(frozen=True, slots=True)
class Buried:
    """Ids of runs that were deleted, the key up to which was looked, and whether there is more to look at."""

    runs: Sequence[str]
    position: int
    more: bool


@transaction
def bury(after: int, before: int, look: int) -> Transaction[Buried]:
    """Delete those of the next `look` runs after key `after` that ended before `before`.

    Not a run whose hooks are to be called, whose children are to be cancelled, that somebody waits for, or whose parent goes on or
    has ended since `before`.
    """
    [stretch] = yield SQL.remains.stretch(after=after, look=look)
    # Runs are nearly in the order of their creation, and none ends before it is created.
    more = stretch["looked"] == look and stretch["oldest"] <= before
    position: int = stretch["last"] if more else 0
    yield SQL.chores.reach(name=CHORE, position=position)
    found: Rows = () if stretch["last"] is None else (yield SQL.remains.old(after=after, upto=stretch["last"], before=before))
    if found:
        yield from _delete([row["key"] for row in found])
    return Buried([row["id"] for row in found if row["task"]], position, more)


@transaction
def delete(run_id: str) -> Transaction[int]:
    """Delete a run that has ended; returns its key, whose remains are to be cleared. Raises `RunNotFound` and `RunError`."""
    run = yield from runs.lock(run_id)
    if not run.state.terminal:
        raise RunError(
            f"{run_id} is {run.state.value}: only a run that has ended can be deleted.",
            hint="Cancel it first, and let it end.",
            run_id=run_id,
        )
    found = yield SQL.remains.needed(run=run.key, id=run_id)
    if found:
        message = f"{run_id} has ended, but others are still to be told of it."
        raise RunError(message, hint="Try again in a moment, with a worker running.", run_id=run_id)
    yield from _delete([run.key])
    return run.key


def _delete(keys: Sequence[int]) -> Transaction[None]:
    named = dumps(list(keys))
    yield SQL.idempotency.forget(runs=named)
    yield SQL.tags.forget(runs=named)
    yield SQL.budgets.forget(runs=named)
    yield SQL.grants.forget(runs=named)
    yield SQL.calls.forget(runs=named)
    yield SQL.askers.forget(runs=named)
    yield SQL.callbacks.forget(runs=named)
    yield SQL.votes.forget(runs=named)
    yield SQL.pins.forget(runs=named)
    yield SQL.links.forget(runs=named)
    yield SQL.deliveries.forget(runs=named)
    yield SQL.rungs.forget(runs=named)
    yield SQL.requesters.forget(runs=named)
    yield SQL.remains.add(runs=named)
    gone = {row["key"] for row in (yield SQL.remains.delete(runs=named))}
    for key in keys:
        if key not in gone:
            yield SQL.remains.hollow(run=key)


@transaction
def clear(limit: int, run: int | None = None) -> Transaction[bool]:
    """Delete up to `limit` rows of what deleted runs, or the one, have left; False when nothing is left."""
    taken = [row["run"] for row in (yield SQL.remains.take(run=run, limit=limit))]
    if not taken:
        return False
    named = dumps(taken)
    left = limit
    for table in (SQL.journal, SQL.transcripts, SQL.joined, SQL.shown, SQL.waitpoints, SQL.inputs, SQL.usage, SQL.generations):
        if left > 0:
            left -= len((yield table.forget(runs=named, limit=left)))
    if left > 0:
        yield SQL.remains.cleared(runs=named)
    return True


@transaction
def forget_tokens(before: int, limit: int) -> Transaction[bool]:
    """Delete tokens that ended before `before`; True when there may be more."""
    gone = [row["id"] for row in (yield SQL.waitpoints.forget_free(before=before, limit=limit))]
    if gone:
        yield SQL.votes.forget_free(waitpoints=dumps(gone))
    return len(gone) == limit


@transaction
def forget_tries(now: int, limit: int) -> Transaction[bool]:
    """Delete what was counted of wrong secrets long ago; True when there may be more."""
    return len((yield SQL.tries.forget(before=now - _WIDE, now=now, limit=limit))) == limit


@transaction
def forget_starts(now: int, limit: int) -> Transaction[bool]:
    """Delete what rate limits need to know no more; True when there may be more."""
    periods = [period for one in (yield from queues.everything()) for period in (one.rate_period, one.key_rate_period) if period]
    before = now - 2 * max(periods, default=0) - _WIDE
    return len((yield SQL.starts.forget(before=before, limit=limit))) == limit


@transaction
def expire_usage(now: int, limit: int) -> Transaction[bool]:
    """Delete what no budget of a tag or a key looks at any more; True when there may be more."""
    return len((yield SQL.usage.expire(now=now, limit=limit))) == limit


@transaction
def expire_generations(now: int, limit: int) -> Transaction[bool]:
    """Delete the calls of prompts that are older than anybody measures; True when there may be more."""
    return len((yield SQL.generations.expire(before=now - generations.KEPT, limit=limit))) == limit


class Place(NamedTuple):
    """How far the blobs were looked through."""

    created_at: int
    hash: str


@dataclass(frozen=True, slots=True)
class Looked:
    """Hashes of blobs that nothing points to, and where to go on; None when all were looked at."""

    unused: Sequence[str]
    next: Place | None


def unused_blobs(after: Place, now: int, look: int) -> Transaction[Looked]:
    """Look at the next `look` blobs."""
    found = yield SQL.blobs.unused(created_at=after.created_at, hash=after.hash, before=now - CLOCKS, look=look)
    following = Place(found[-1]["created_at"], found[-1]["hash"]) if len(found) == look else None
    return Looked([row["hash"] for row in found if not row["used"]], following)


@transaction
def forget_blobs(hashes: Sequence[str], now: int) -> Transaction[None]:
    """Delete those of these blobs that nothing points to. One that is being put again is left alone: to put it is to touch it."""
    yield SQL.blobs.forget(hashes=dumps(list(hashes)), before=now - CLOCKS)
