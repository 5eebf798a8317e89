"""Which runs a limited queue lets go of those it could: keys take turns, and nobody overtakes a start that waits for a rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentflow.database.port import Row
from agentflow.records import QueueRecord
from agentflow.storage.rates import QUEUE_SCOPE, Rates


class Admission:
    """One look at a queue: `admitted` are keys of runs, `refused` tells whether a limit keeps others.

    `room` is how many runs may begin or go on. `cut` is a lane after which there may be others that this look did not reach.
    """

    def __init__(self, record: QueueRecord, room: int, rates: Rates, picked: Sequence[Row], cut: str | None) -> None:
        self.admitted: list[int] = []
        self.refused = False
        self._record = record
        self._room = room
        self._rates = rates
        self._cut = cut
        self._running: dict[str, int] = {row["lane"]: row["running"] for row in picked}
        self._served: set[str] = set()
        self._blocked: set[str] = set()
        self._overtaken: set[str] = set()
        for row in _by_turns(row for row in picked if row["key"] is not None):
            self._consider(row)

    @property
    def turn(self) -> str | None:
        """The last lane that had its turn; None leaves the turn where it was."""
        last: str | None = None
        for lane in self._running:
            if lane in self._overtaken:
                return last
            if lane in self._served:
                last = lane
        return last if self._served else self._cut

    @property
    def go_on(self) -> bool:
        """Whether another look may find more at once."""
        return bool(self.admitted) or (self._cut is not None and QUEUE_SCOPE not in self._blocked)

    def _consider(self, row: Row) -> None:
        lane = row["lane"]
        if len(self.admitted) == self._room or not self._has_room(lane) or not self._may_start(row, lane):
            self.refused = True
            return
        self._running[lane] += 1
        self._served.add(lane)
        self._overtaken.discard(lane)
        self.admitted.append(row["key"])

    def _has_room(self, lane: str) -> bool:
        limit = self._record.key_concurrency
        return limit is None or self._running[lane] < limit

    def _may_start(self, row: Row, lane: str) -> bool:
        if row["epoch"] > 0:
            return True  # It was counted when it began.
        if QUEUE_SCOPE in self._blocked or lane in self._blocked:
            return False
        refusal = self._rates.spend(lane, row["weight"])
        if refusal == QUEUE_SCOPE:
            # A heavy start would wait for ever if light ones used up whatever comes free.
            self._blocked.add(QUEUE_SCOPE)
            if lane not in self._served:
                self._overtaken.add(lane)
        elif refusal is not None:
            self._blocked.add(lane)
        return refusal is None


def _by_turns(picked: Iterable[Row]) -> list[Row]:
    """The first of every lane, then the second of every lane, and so on."""
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, Row]] = []
    for at, row in enumerate(picked):
        rank = seen[row["lane"]] = seen.get(row["lane"], -1) + 1
        ranked.append((rank, at, row))
    return [row for _, _, row in sorted(ranked, key=lambda one: one[:2])]
