"""Queues: which runs a worker may take next.

Runs of an open queue are picked in one statement. A queue with limits, or paused, has a row: whoever claims from it holds that row, counts
what runs - slots are counted from live leases, never kept in a counter - and lets go what the limits leave room for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agentflow.database.port import Rows, Transaction, transaction
from agentflow.records import QueueRecord, RunRecord
from agentflow.serde import dumps
from agentflow.storage import rows, runs
from agentflow.storage.admission import Admission
from agentflow.storage.rates import left
from agentflow.storage.statements import SQL

LOOK = 1_000
"""Lanes that one look at a queue goes through; the next look goes on behind them."""
RATED_LANES = 64
"""Lanes that one look at a queue with a rate for each key picks from, however few slots are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """A worker that asks for runs: `serves` are task names, each also with `@version`; `limit` is its free slots, `look` as `LOOK`."""

    worker: str
    serves: Sequence[str]
    limit: int
    look: int = LOOK


@dataclass(slots=True)
class Claimed:
    """What a claim brought.

    `more`: another look may bring others at once. `held_back`: there are runs that a limit keeps; `retry_at`: when a rate lets the next go.
    `cut`: the lane of a queue that a look came to and no further. `unlimited`: the queue has no limits any more.
    """

    runs: list[RunRecord] = field(default_factory=list[RunRecord])
    more: bool = False
    held_back: bool = False
    retry_at: int | None = None
    cut: dict[str, str] = field(default_factory=dict[str, str])
    unlimited: bool = False


@transaction
def claim_open(claimant: Claimant, queues: Sequence[tuple[str, str | None]], now: int) -> Transaction[Claimed]:
    """Lease runs of open queues: lane after lane, those of one lane by position. `queues`: each with the lane after which to begin."""
    picked = yield SQL.runs.pick(
        queues=dumps(queues), tasks=dumps(claimant.serves), worker=claimant.worker, limit=claimant.limit, look=claimant.look, now=now
    )
    keys = [row["key"] for row in picked if row["key"] is not None]
    taken = yield from _take(claimant, keys, now)
    cut = {row["queue"]: row["lane"] for row in picked if row["n"] == claimant.look}
    # A lane without a key to show is just being claimed from by another worker.
    more = len(keys) < len(picked) or len({(run.queue, run.concurrency_key) for run in taken}) > 1
    return Claimed(taken, more=more or bool(cut), cut=cut)


@transaction
def claim_limited(claimant: Claimant, queue: str, now: int) -> Transaction[Claimed]:
    """Lease runs of a limited queue, as far as its limits leave room."""
    found = yield SQL.queues.lock(name=queue)
    if not found:
        return Claimed(unlimited=True, more=True)
    record, turn = rows.queue(found[0]), found[0]["turn"]
    if record.paused_at is not None:
        return Claimed()
    room = claimant.limit
    if record.concurrency is not None:
        room = min(room, record.concurrency - (yield SQL.queues.running(queue=queue))[0]["runs"])
    if room <= 0:
        return Claimed(held_back=True)
    picked, cut = yield from _pick(claimant, record, turn, now)
    rates = yield from left(record, {row["lane"] for row in picked}, now)
    admission = Admission(record, room, rates, picked, cut)
    for scope, (slice, used) in rates.used_now().items():
        yield SQL.starts.add(queue=queue, scope=scope, slice=slice, used=used)
    if admission.turn not in (None, turn):
        yield SQL.queues.turn(name=queue, turn=admission.turn)
    taken = yield from _take(claimant, admission.admitted, now)
    held_back = admission.refused or room < claimant.limit
    return Claimed(
        taken, more=admission.go_on, held_back=held_back, retry_at=rates.retry_at, cut={} if cut is None or taken else {queue: cut}
    )


def _pick(claimant: Claimant, record: QueueRecord, turn: str | None, now: int) -> Transaction[tuple[Rows, str | None]]:
    """Candidates, and the lane after which there may be others that this look did not reach."""
    # A key whose rate is used up is only seen afterwards: it must not keep the others from being looked at.
    lanes = claimant.limit if record.key_rate is None else max(claimant.limit, RATED_LANES)
    picked = yield SQL.queues.pick(
        queue=record.name,
        after=turn,
        tasks=dumps(claimant.serves),
        worker=claimant.worker,
        key_concurrency=record.key_concurrency,
        limit=claimant.limit,
        lanes=lanes,
        look=claimant.look,
        now=now,
    )
    whole = bool(picked) and picked[-1]["n"] < claimant.look and len({row["lane"] for row in picked}) < lanes
    return picked, picked[-1]["lane"] if picked and not whole else None


def _take(claimant: Claimant, keys: Sequence[int], now: int) -> Transaction[list[RunRecord]]:
    if not keys:
        return []
    found = yield SQL.runs.take(keys=dumps(keys), worker=claimant.worker, now=now)
    taken: list[RunRecord] = []
    for row in sorted(found, key=lambda row: (row["position"], row["key"])):
        taken.append((yield from runs.whole(rows.run(row))))
    return taken


@transaction
def declare(declared: Iterable[QueueRecord]) -> Transaction[None]:
    """Give queues the limits that code gives them; one without limits is open, unless it is paused."""
    for one in sorted(declared, key=lambda one: one.name):
        if one.limited:
            yield SQL.queues.declare(
                name=one.name,
                concurrency=one.concurrency,
                key_concurrency=one.key_concurrency,
                rate=one.rate,
                rate_period=one.rate_period,
                key_rate=one.key_rate,
                key_rate_period=one.key_rate_period,
            )
        else:
            yield SQL.queues.free(name=one.name)
            yield SQL.queues.drop(name=one.name)


@transaction
def pause(name: str, by: str, now: int) -> Transaction[QueueRecord]:
    """Let no run of a queue begin or go on until it is resumed; what runs now runs on."""
    return rows.queue((yield SQL.queues.pause(name=name, by=by, now=now))[0])


@transaction
def resume(name: str) -> Transaction[QueueRecord]:
    """Undo `pause`; a queue that is not paused stays as it is."""
    found = yield SQL.queues.resume(name=name)
    yield SQL.queues.drop(name=name)
    return rows.queue(found[0]) if found else QueueRecord(name=name)


def everything() -> Transaction[list[QueueRecord]]:
    """All queues that are limited or paused."""
    return [rows.queue(row) for row in (yield SQL.queues.list())]


def find(name: str) -> Transaction[list[QueueRecord]]:
    """A queue, if it is limited or paused."""
    return [rows.queue(row) for row in (yield SQL.queues.get(name=name))]


@transaction
def sift(queues: Sequence[str], serves: Sequence[str], look: int, now: int) -> Transaction[list[str]]:
    """Set aside what nobody has the code for, among the first `look` runs of each queue; returns their ids."""
    aside: list[str] = []
    for queue in queues:
        aside.extend(row["id"] for row in (yield SQL.runs.sift(queue=queue, tasks=dumps(serves), look=look, now=now)))
    return aside


@transaction
def serve(queues: Sequence[str], serves: Sequence[str]) -> Transaction[list[str]]:
    """Put back what was set aside and now has a worker; returns the ids."""
    return [row["id"] for row in (yield SQL.runs.serve(queues=dumps(queues), tasks=dumps(serves)))]
