"""Gets what was said to Redis: every batch once and in its order, however often a connection breaks on the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from agentflow.errors import StreamUnavailable
from agentflow.streams.health import Health, back_off
from agentflow.streams.link import Link
from agentflow.streams.pending import JOINING, Batch
from agentflow.streams.wire import Job, Script

_log = logging.getLogger("agentflow.streams")

SIGNALS = "af:signals"
_KEPT = 86_400_000
"""Milliseconds to remember what was appended last: for so long a reply may be missing and its batch not be doubled."""
_PATIENCE = 0.05
"""Seconds that a delivery waits for the nodes it needs; what is under way to a slower one goes on beside the next delivery."""


@cache
def script(name: str) -> Script:
    """A script of this package."""
    return Script((Path(__file__).parent / f"{name}.lua").read_text())


def stream_key(run_id: str) -> str:
    """Where a run's stream is."""
    return f"af:{{{run_id}}}:ev"


def channel(run_id: str) -> str:
    """Where a run's readers are woken."""
    return f"af:{{{run_id}}}:ch"


@dataclass(slots=True, eq=False)
class Parcel:
    """What goes to one place in one call."""

    place: int | None
    mark: str
    number: int
    batches: list[Batch] = field(default_factory=list[Batch])
    signals: Sequence[bytes] = ()
    job: Job | None = None


Answered = Callable[[list[Batch], str], None]
"""Called with the batches of a parcel that arrived and what the script said of them, if it refused anything."""


class Courier:
    """The deliveries of a writer. `lives`: milliseconds to keep a stream that goes on, and one that has ended."""

    def __init__(self, link: Link, writer: str, lives: tuple[int, int], answered: Answered) -> None:
        self._link = link
        self._writer = writer
        self._lives = lives
        self._answered = answered
        self._number = 0
        self._late: dict[asyncio.Task[None], list[Parcel]] = {}
        self._slow: dict[Health, int] = {}
        self._busy: set[int | None] = set()

    @property
    def late(self) -> bool:
        """Whether something is under way to a node that is slow to answer."""
        return bool(self._late)

    def oldest(self) -> int | None:
        """The serial of the oldest batch that is under way."""
        return min((batch.serial for parcels in self._late.values() for one in parcels for batch in one.batches), default=None)

    def holds(self, run_id: str) -> bool:
        """Whether a run must wait, because something is under way to where its stream is."""
        place = self._link.place(run_id)
        return place in self._busy or self._link.health(place) in self._slow

    async def deliver(self, batches: list[Batch], signals: list[bytes], on_late: Callable[[], None]) -> None:
        """Send all of it. What only a slow node keeps under way is left behind, and `on_late` called when that has arrived."""
        parcels = self._pack(batches, signals)
        if not self._link.sharded:
            await self._carry(parcels)
            return
        groups: dict[Health, list[Parcel]] = {}
        for parcel in parcels:
            groups.setdefault(self._link.health(parcel.place), []).append(parcel)
        tasks = {asyncio.create_task(self._carry(group)): (health, group) for health, group in groups.items()}
        try:
            _, slow = await asyncio.wait(tasks, timeout=_PATIENCE)
        except asyncio.CancelledError:
            await _cancelled(tasks)
            raise
        for task in slow:
            self._leave_behind(task, *tasks[task], on_late)
        for task in tasks:
            if task not in slow:
                task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        await _cancelled(self._late)

    def _leave_behind(self, task: asyncio.Task[None], health: Health, parcels: list[Parcel], on_late: Callable[[], None]) -> None:
        places = {parcel.place for parcel in parcels if parcel.batches}
        self._late[task] = parcels
        self._busy |= places
        self._slow[health] = self._slow.get(health, 0) + 1

        def arrived(_: asyncio.Task[None]) -> None:
            del self._late[task]
            self._busy -= places
            self._slow[health] -= 1
            if not self._slow[health]:
                del self._slow[health]
            on_late()

        task.add_done_callback(arrived)

    def _pack(self, batches: list[Batch], signals: list[bytes]) -> list[Parcel]:
        parcels: dict[int | None, Parcel] = {}
        self._number += 1
        for batch in batches:
            place = self._link.place(batch.run_id)
            parcel = parcels.get(place)
            if parcel is None:
                parcel = parcels[place] = Parcel(place, self._link.key(f"w:{self._writer}", place), self._number)
            parcel.batches.append(batch)
        every = list(parcels.values())
        if signals:
            self._load(every, signals)
        return every

    def _load(self, parcels: list[Parcel], signals: list[bytes]) -> None:
        """Let signals go with a parcel that has good chances, or alone: they are told to everybody from anywhere."""
        for parcel in parcels:
            if self._link.health(parcel.place).fault is None or not self._link.sharded:
                parcel.signals = signals
                return
        place = self._link.any_place()
        name = "s" if self._link.sharded else "w"
        parcels.append(Parcel(place, self._link.key(f"{name}:{self._writer}", place), self._number, signals=signals))

    async def _carry(self, parcels: list[Parcel]) -> None:
        failures = 0
        refused = False
        while parcels:
            replies = await self._link.work(script("append"), [self._job(parcel) for parcel in parcels])
            left: list[Parcel] = []
            for parcel, reply in zip(parcels, replies, strict=True):
                if isinstance(reply, StreamUnavailable):
                    left.append(parcel)
                elif reply:
                    self._answered(parcel.batches, reply.decode())
            parcels = left
            if left:
                failures += 1
                fault = next(reply for reply in replies if isinstance(reply, StreamUnavailable))
                refused = self._tell(fault, refused)
                await back_off(failures)
                await self._any_up(left)
        if refused:
            _log.warning("Redis takes events again after %d refusals.", failures)

    def _tell(self, fault: StreamUnavailable, told: bool) -> bool:
        """Log the first refusal of a server that answers; of one that does not its health tells."""
        if not told and fault.details.get("refused"):
            _log.warning("Redis takes no events: %s", fault)
            return True
        return told

    async def _any_up(self, parcels: list[Parcel]) -> None:
        healths = {self._link.health(parcel.place) for parcel in parcels}
        if any(health.fault is None for health in healths):
            return
        waiting = [asyncio.create_task(health.up()) for health in healths]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(waiting)

    def _job(self, parcel: Parcel) -> Job:
        if parcel.job is None:
            keys = [parcel.mark, *(stream_key(batch.run_id) for batch in parcel.batches)]
            parcel.job = Job(parcel.place, keys, self._arguments(parcel))
        return parcel.job

    def _arguments(self, parcel: Parcel) -> list[str | bytes | int]:
        signals = parcel.signals
        how = "s" if self._link.sharded else ""
        arguments: list[str | bytes | int] = [parcel.number, *self._lives, _KEPT, how, SIGNALS, len(signals), *signals]
        for batch in parcel.batches:
            entries = batch.live()
            arguments += (channel(batch.run_id), int(batch.lost), len(entries))
            for entry in entries:
                place = "+" if entry.epoch == JOINING else f"{entry.epoch}-*"
                arguments += (place, entry.type, entry.about, entry.text, entry.ts)
        return arguments


async def _cancelled(tasks: Any) -> None:
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
