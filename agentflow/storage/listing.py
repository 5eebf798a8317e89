"""Pages of runs and waitpoints, and how many there are: bounded work, however many rows there are.

A page of runs is found in two statements. The first goes along one index, that of the filter which fits the fewest, and names runs; the
second shows those that the other filters leave. Where several filters decide, a page looks at `LOOK` runs and may be short; it says then
where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.database.port import Query, Row, Transaction
from agentflow.records import RunRecord, RunState, WaitKind, WaitpointRecord, WaitState
from agentflow.serde import dumps
from agentflow.storage import rows
from agentflow.storage.statements import SQL

LOOK = 1_000
"""Runs that a page looks at where several filters decide; and the last waitpoints, where nothing narrows a list of ended ones."""
CROWD = 5_000
"""So many queued or running runs are sorted for a page; are there more, it looks for them among all runs."""
MOST = 100_000
"""Counting stops here: in a queue for runs that are queued, in all queues together for those in another state."""
_NEWEST = 2**63 - 1
_PASSED = (RunState.QUEUED, RunState.RUNNING)
"""States that every run passes through: few runs are in them at any time, but no index tells which of those are the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list, newest first. `before` is the `next` of the page before."""

    task: str | None = None
    state: RunState | None = None
    tag: str | None = None
    parent: str | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, and the `before` of the page after this one, which may be short or empty; None when this is the last."""

    runs: Sequence[RunRecord]
    next: int | None


def page(wanted: RunFilter) -> Transaction[RunPage]:
    """A page of runs; large inputs and outputs stay pointers."""
    keys, more = yield from _named(wanted, _NEWEST if wanted.before is None else wanted.before)
    shown = yield SQL.list.show(
        keys=dumps(keys),
        task=wanted.task,
        state=None if wanted.state is None else wanted.state.value,
        tag=wanted.tag,
        parent=wanted.parent,
        limit=wanted.limit + 1,
    )
    found = [rows.run(row) for row in shown[: wanted.limit]]
    if len(shown) > wanted.limit:
        return RunPage(found, found[-1].key)
    return RunPage(found, keys[-1] if more else None)


def _named(wanted: RunFilter, before: int) -> Transaction[tuple[list[int], bool]]:
    """Keys of runs to look at, newest first, and whether there may be others after them."""
    if wanted.state in _PASSED:
        statement = SQL.list.queued if wanted.state is RunState.QUEUED else SQL.list.running
        active = [row["key"] for row in (yield statement(most=CROWD))]
        if len(active) < CROWD:
            return sorted((key for key in active if key < before), reverse=True), False
    several = sum(one is not None for one in (wanted.task, wanted.state, wanted.tag, wanted.parent)) > 1
    look = wanted.limit + 1
    if several or wanted.state in (*_PASSED, RunState.COMPLETED):
        look = max(look, LOOK)
    keys = [row["key"] for row in (yield _leading(wanted, before, look))]
    return keys, len(keys) == look


def _leading(wanted: RunFilter, before: int, look: int) -> Query:
    """What goes along the index that fits the fewest."""
    if wanted.parent is not None:
        return SQL.list.of_parent(parent=wanted.parent, before=before, look=look)
    if wanted.tag is not None:
        return SQL.list.of_tag(tag=wanted.tag, before=before, look=look)
    if wanted.state not in (None, RunState.COMPLETED, *_PASSED):
        return SQL.list.in_state(state=wanted.state.value, before=before, look=look)
    if wanted.task is not None:
        return SQL.list.of_task(task=wanted.task, before=before, look=look)
    return SQL.list.newest(before=before, look=look)


@dataclass(frozen=True, slots=True)
class Count:
    """Runs of a queue in a state. `oldest`: of queued ones, when the first was created, in microseconds since 1970."""

    queue: str
    state: RunState
    runs: int
    oldest: int | None = None


def counts() -> Transaction[list[Count]]:
    """How many runs are in each state that is not an end, by queue; up to `MOST`, of which there are at least so many."""
    queued: dict[str, Count] = {}
    for row in (yield SQL.list.queues()):
        [one] = yield SQL.list.count_queued(queue=row["queue"], most=MOST)
        queued[row["queue"]] = Count(row["queue"], RunState.QUEUED, one["runs"], one["oldest"])
    for row in (yield SQL.list.count_unserved(most=MOST)):
        known = queued.get(row["queue"])
        oldest = row["oldest"] if known is None or known.oldest is None else min(row["oldest"], known.oldest)
        queued[row["queue"]] = Count(row["queue"], RunState.QUEUED, row["runs"] + (known.runs if known else 0), oldest)
    found = list(queued.values())
    found += [Count(row["queue"], RunState.RUNNING, row["runs"]) for row in (yield SQL.list.count_running(most=MOST))]
    for state in (RunState.SCHEDULED, RunState.WAITING, RunState.PAUSED):
        found += [Count(row["queue"], state, row["runs"]) for row in (yield SQL.list.count_aside(state=state.value, most=MOST))]
    return sorted(found, key=lambda one: (one.queue, one.state))


AHEAD = 200
"""Runs at the head of each queue that are looked at for such as nobody will take."""


def stuck(now: int, limit: int, run_id: str | None = None) -> Transaction[list[RunRecord]]:
    """Runs, or the one run, that no live worker will take."""
    if run_id is not None:
        keys = [row["key"] for row in (yield SQL.runs.get(id=run_id))]
    else:
        keys = [row["key"] for row in (yield SQL.list.put_off(look=AHEAD))]
        for queue in (yield SQL.list.queues()):
            keys += [row["key"] for row in (yield SQL.list.first_queued(queue=queue["queue"], look=AHEAD))]
    return [rows.run(row) for row in (yield SQL.list.stuck(keys=dumps(keys), now=now, limit=limit))]


def waitpoints(
    *, kind: str | None = None, state: str | None = None, run_id: str | None = None, limit: int = 100
) -> Transaction[list[WaitpointRecord]]:
    """Waitpoints, newest first: of a run, or all that are open. Any others are looked for among the last `LOOK`."""
    found: list[Row] = []
    if run_id is not None:
        found += yield SQL.list.waits_of_run(run_id=run_id, kind=kind, state=state, limit=limit)
    elif state == WaitState.PENDING:
        for one in WaitKind if kind is None else (kind,):
            found += yield SQL.list.waits_open(kind=str(one), limit=limit)
    else:
        found += yield SQL.list.waits_newest(kind=kind, state=state, look=LOOK, limit=limit)
    found.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
    return [rows.waitpoint(row) for row in found[:limit]]
