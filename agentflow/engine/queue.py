"""Queues as code declares them: where runs wait for a worker, and how many of them may run or begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agentflow.clock import SECOND, microseconds
from agentflow.errors import DefinitionError
from agentflow.records import QueueRecord

NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_RATE = re.compile(r"\s*([\d_]+)\s*/\s*(\S.*?)\s*")
_UNITS = {"s": "1s", "sec": "1s", "second": "1s", "m": "1m", "min": "1m", "minute": "1m", "h": "1h", "hour": "1h", "d": "1d", "day": "1d"}


@dataclass(frozen=True, slots=True)
class Queue:
    """Where runs wait for a worker. Workers serve all queues unless told otherwise; its limits hold over all of them together.

    `concurrency`: runs at once. `key_concurrency`: runs at once of one `concurrency_key`, a tenant for example. `rate`: starts, as
    `"10/s"`, `"600/m"`, `"5/30s"`; `key_rate`: the same for each key. A start counts as its `weight` (1 unless `using(weight=...)` says
    more), so that a rate can be tokens per minute. A run that waits holds no place; keys take turns, runs without a key count as one.
    A worker brings its declarations into the database when it joins: the latest counts, `Queue(name)` lifts all limits, and
    `@task(queue="name")` says nothing about them. Raises `DefinitionError`.

    >>> @task(queue=Queue("crawl", concurrency=20, key_concurrency=2, rate="10/s"))
    ... async def crawl(url: str) -> str: ...
    """

    name: str
    concurrency: int | None = None
    key_concurrency: int | None = None
    rate: str | None = None
    key_rate: str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DefinitionError(f"{self.name!r} is no name for a queue.", hint="Use letters, digits, '_', '-' and '.'.")
        for name in ("concurrency", "key_concurrency"):
            limit = getattr(self, name)
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                hint = "Give a whole number from 1; `agentflow queues pause` stops a queue."
                raise DefinitionError(f"Queue {self.name!r}: {name}={limit!r} lets nothing run.", hint=hint)
        self.record()

    def record(self) -> QueueRecord:
        """What the database keeps of it."""
        rate, period = _parse(self.name, self.rate)
        key_rate, key_period = _parse(self.name, self.key_rate)
        return QueueRecord(
            name=self.name,
            concurrency=self.concurrency,
            key_concurrency=self.key_concurrency,
            rate=rate,
            rate_period=period,
            key_rate=key_rate,
            key_rate_period=key_period,
        )


def _parse(queue: str, rate: str | None) -> tuple[int | None, int | None]:
    if rate is None:
        return None, None
    match = _RATE.fullmatch(rate)
    count = 0 if match is None else int(match[1].replace("_", "") or "0")
    if match is None or count < 1:
        raise DefinitionError(f"Queue {queue!r}: {rate!r} is no rate.", hint='Write it like "10/s", "600/m" or "5/30s".')
    period = microseconds(_UNITS.get(match[2], match[2]))
    if not SECOND // 100 <= period <= 7 * 86_400 * SECOND:
        raise DefinitionError(f"Queue {queue!r}: the period of {rate!r} is too short or too long.", hint="Give from 10 ms to a week.")
    return count, period


class NamedQueue(Queue):
    """A queue of which this code says only the name: its limits, if it has any, are another's to declare."""


def queue_of(given: str | Queue) -> Queue:
    """The queue that an option names, or is."""
    return NamedQueue(given) if isinstance(given, str) else given


DEFAULT_QUEUE = NamedQueue("default")


def rate_text(count: int | None, period: int | None) -> str | None:
    """A rate as it is written in code: `10/s`, `600/m`, `5/30s`."""
    if count is None or period is None:
        return None
    for unit, length in (("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)):
        if period % length == 0:
            return f"{count}/{'' if period == length else period // length}{unit}"
    return f"{count}/{period // 1_000}ms"


def check_weight(queue: QueueRecord, weight: int) -> None:
    """Raise `DefinitionError` when a start counts for more than the rates of its queue let start in a whole window."""
    for rate, period in ((queue.rate, queue.rate_period), (queue.key_rate, queue.key_rate_period)):
        if rate is not None and weight > rate:
            raise DefinitionError(
                f"weight={weight} is more than the rate of queue {queue.name!r} ever lets start: {rate_text(rate, period)}.",
                hint="Start less at once, or raise the rate.",
            )


def declared(queues: Iterable[Queue]) -> list[QueueRecord]:
    """The queues that a process declares, each once.

    One declaration with limits holds for those without, and a mere name declares nothing. Raises `DefinitionError` when two differ.
    """
    known: dict[str, QueueRecord] = {}
    for queue in queues:
        if isinstance(queue, NamedQueue):
            continue
        record = queue.record()
        before = known.setdefault(queue.name, record)
        if not before.limited:
            known[queue.name] = record
        elif record.limited and record != before:
            hint = "Define it once and give the same object to all of its tasks."
            raise DefinitionError(f"Queue {queue.name!r} is declared with two different limits.", hint=hint)
    return list(known.values())
