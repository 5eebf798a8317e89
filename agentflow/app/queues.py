"""What can be done with queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agentflow.clock import Clock
from agentflow.database.port import Database
from agentflow.engine.queue import rate_text
from agentflow.errors import UnknownQueue
from agentflow.records import QueueRecord, RunState, WorkerRecord
from agentflow.storage import listing, queues, workers
from agentflow.streams.log import Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """A queue as it is now: its limits and whether it is paused (`record`), how many runs it holds by state, who serves it.

    `oldest_queued_at`: since when the oldest of the queued runs is there, in microseconds since 1970. `workers`: ids of live ones.
    """

    record: QueueRecord
    workers: tuple[str, ...] = ()
    runs: dict[RunState, int] = field(default_factory=dict[RunState, int])
    oldest_queued_at: int | None = None

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.record.name

    @property
    def rate(self) -> str | None:
        """The rate as it is written in code."""
        return rate_text(self.record.rate, self.record.rate_period)

    @property
    def key_rate(self) -> str | None:
        """The rate of each key as it is written in code."""
        return rate_text(self.record.key_rate, self.record.key_rate_period)

    def count(self, state: RunState) -> int:
        """How many runs are in a state; ended ones are not counted."""
        return self.runs.get(state, 0)

    @property
    def full(self) -> bool:
        """Whether as many runs are at work as the queue allows over all."""
        limit = self.record.concurrency
        return limit is not None and self.count(RunState.RUNNING) >= limit


class Queues:
    """`app.queues`: see what waits where, and stop a queue for a while.

    >>> await app.queues.pause("crawl", by="maria")
    """

    def __init__(self, database: Database, streams: Streams, clock: Clock) -> None:
        self._database = database
        self._streams = streams
        self._clock = clock

    async def list(self) -> list[QueueStatus]:
        """All queues that a live worker serves, that hold runs, or that are limited or paused, by name."""
        now = self._clock.now()
        living = [one for one in await self._database.read(workers.everyone()) if one.expires_at > now]
        records = {one.name: one for one in await self._database.read(queues.everything())}
        known: dict[str, QueueStatus] = {name: _status(name, records, living) for name in {*records, *_served(living)}}
        for count in await self._database.read(listing.counts()):
            one = known.setdefault(count.queue, _status(count.queue, records, living))
            one.runs[count.state] = count.runs
            if count.state is RunState.QUEUED:
                known[one.name] = replace(one, oldest_queued_at=count.oldest)
        return [known[name] for name in sorted(known)]

    async def get(self, name: str) -> QueueStatus:
        """One queue. Raises `UnknownQueue`."""
        found = {one.name: one for one in await self.list()}
        if name not in found:
            raise UnknownQueue(
                f"There is no queue {name!r}.", hint=f"Known are {', '.join(found) or 'none'}. Is a worker running that serves it?"
            )
        return found[name]

    async def pause(self, name: str, *, by: str) -> QueueStatus:
        """Let no run of a queue begin or go on until `resume`; what runs now runs on. Doing so again changes nothing.

        `by`: who does it, for people to see. Raises `UnknownQueue`.
        """
        await self.get(name)
        await self._database.transact(queues.pause(name, by, self._clock.now()))
        return await self._told(name)

    async def resume(self, name: str) -> QueueStatus:
        """Let a paused queue go on, at once; one that is not paused stays as it is. Raises `UnknownQueue`."""
        await self.get(name)
        await self._database.transact(queues.resume(name))
        return await self._told(name)

    async def _told(self, name: str) -> QueueStatus:
        self._streams.signal("queues", name)
        return await self.get(name)


def _served(living: Sequence[WorkerRecord]) -> set[str]:
    return {name for one in living for name in one.queues}


def _status(name: str, records: dict[str, QueueRecord], living: Sequence[WorkerRecord]) -> QueueStatus:
    serving = tuple(one.id for one in living if name in one.queues)
    return QueueStatus(record=records.get(name, QueueRecord(name=name)), workers=serving)
