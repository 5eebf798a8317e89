"""Rates: how many starts a queue, or a key of it, may have in any window of time. Starts are kept in slices of the window.

The time is that of the worker that claims: workers whose clocks differ count the same starts, but not the same window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentflow.database.port import Row, Transaction
from agentflow.records import QueueRecord
from agentflow.serde import dumps
from agentflow.storage.statements import SQL

SLICES = 20
"""Into how many slices a rate's window is cut: a start counts until the last moment of its slice has left the window."""
QUEUE_SCOPE = "queue"
"""The scope of the queue as a whole; those of keys begin with `key:`."""


class Rates:
    """How much of each rate is left now. A scope is the queue as a whole, or one key of it."""

    def __init__(self, record: QueueRecord, now: int, recent: Iterable[Row]) -> None:
        self.retry_at: int | None = None
        self._now = now
        self._queue = Window(record.rate, record.rate_period)
        self._key = Window(record.key_rate, record.key_rate_period)
        self._past: dict[str, list[tuple[int, int]]] = {}
        self._spent: dict[str, int] = {}
        for row in recent:
            self._past.setdefault(row["scope"], []).append((row["slice"], row["used"]))

    def spend(self, lane: str, weight: int) -> str | None:
        """Count a start of this weight; returns the scope whose rate does not let it happen now, and then counts nothing."""
        refusal = self.refusal(lane, weight)
        if refusal is not None:
            scope, free_at = refusal
            self.retry_at = free_at if self.retry_at is None else min(self.retry_at, free_at)
            return scope
        for scope, _ in self._scopes(lane):
            self._spent[scope] = self._spent.get(scope, 0) + weight
        return None

    def refusal(self, lane: str, weight: int) -> tuple[str, int] | None:
        """The scope whose rate does not let a start of this weight happen now, and when it will."""
        for scope, window in self._scopes(lane):
            free_at = window.free_at(self._past.get(scope, ()), self._spent.get(scope, 0), weight, self._now)
            if free_at > self._now:
                return scope, free_at
        return None

    def _scopes(self, lane: str) -> list[tuple[str, Window]]:
        return [(scope, window) for scope, window in ((QUEUE_SCOPE, self._queue), (key_scope(lane), self._key)) if window.limit is not None]

    def used_now(self) -> dict[str, tuple[int, int]]:
        """What was spent in this claim: the slice it counts in and the sum, by scope."""
        return {scope: ((self._queue if scope == QUEUE_SCOPE else self._key).slice(self._now), used) for scope, used in self._spent.items()}


def key_scope(lane: str) -> str:
    """The scope of one concurrency key."""
    return f"key:{lane}"


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` in any `period` microseconds."""

    limit: int | None
    period: int | None

    @property
    def width(self) -> int:
        """Microseconds of a slice."""
        return max(1, (self.period or 0) // SLICES)

    def slice(self, now: int) -> int:
        """The beginning of the slice that `now` is in."""
        return now - now % self.width

    def free_at(self, past: Sequence[tuple[int, int]], spent: int, weight: int, now: int) -> int:
        """When a start of this weight fits; one that is heavier than the limit has a window to itself."""
        limit, period = self.limit or 0, self.period or 0
        counted = [(slice, used) for slice, used in past if slice + self.width + period > now]
        used = spent + sum(used for _, used in counted)
        if used == 0 or used + weight <= limit:
            return now
        for slice, less in counted:
            used -= less
            if used + weight <= limit or used == 0:
                return slice + self.width + period
        return now + period + self.width


def left(record: QueueRecord, lanes: Iterable[str], now: int) -> Transaction[Rates]:
    """What is left now of the rates of a queue, and of those of these lanes."""
    longest = max(record.rate_period or 0, record.key_rate_period or 0)
    if not longest:
        return Rates(record, now, ())
    scopes = [QUEUE_SCOPE, *(key_scope(lane) for lane in sorted(lanes))]
    recent = yield SQL.starts.recent(queue=record.name, scopes=dumps(scopes), since=now - longest - longest // SLICES - 1)
    return Rates(record, now, recent)
