"""Why a queued run does not begin: how much of the limits of its queue is in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentflow.database.port import Transaction
from agentflow.records import QueueRecord
from agentflow.storage import queues
from agentflow.storage.rates import Rates, left
from agentflow.storage.statements import SQL


@dataclass(frozen=True, slots=True)
class Pressure:
    """A limited or paused queue: how many of its runs are at work, over all and of the keys asked for, and what its rates leave."""

    queue: QueueRecord
    running: int
    rates: Rates
    keys: dict[str, int] = field(default_factory=dict[str, int])


def pressure(lanes: Iterable[tuple[str, str]], now: int) -> Transaction[dict[str, Pressure]]:
    """By name, the limited or paused queues among those of `lanes`, which are queues and concurrency keys (`""` for none)."""
    wanted: dict[str, set[str]] = {}
    for queue, lane in lanes:
        wanted.setdefault(queue, set()).add(lane)
    found: dict[str, Pressure] = {}
    for record in (yield from queues.everything()):
        keys = sorted(wanted.get(record.name, ()))
        if keys:
            running = (yield SQL.queues.running(queue=record.name))[0]["runs"]
            rates = yield from left(record, keys, now)
            found[record.name] = one = Pressure(record, running, rates)
            for key in keys if record.key_concurrency is not None else ():
                one.keys[key] = (yield SQL.queues.running_of_key(queue=record.name, lane=key))[0]["runs"]
    return found


def full_keys(record: QueueRecord, limit: int) -> Transaction[list[tuple[str, int]]]:
    """Keys of a queue that are full while others of theirs wait, and how many wait; at most `limit`."""
    if record.key_concurrency is None:
        return []
    found = yield SQL.queues.full_keys(queue=record.name, key_concurrency=record.key_concurrency, limit=limit)
    return [(row["lane"], row["waiting"]) for row in found]
