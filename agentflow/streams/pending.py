"""What waits to be sent: merged, bounded, and nothing said twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agentflow.streams.codec import encode
from agentflow.streams.events import Event, ReasoningStart, StepCompleted, StepStarted, TextStart, ToolInputStart

URGENT, SOON, LATER = 0, 1, 2
"""How much a reader misses an event: the first delta of a part, any other event, more deltas."""

JOINING = -1
"""The epoch of what another run says in a stream: whatever epoch the stream is in."""

_DELTAS = frozenset({"text.delta", "reasoning.delta", "tool.input.delta"})
_HEAVY = _DELTAS | {"stream.item"}
"""What may be large and is dropped first; of what is recorded, readers are told from the database."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait while Redis is away: bytes of `deltas` and items, and `events`.

    Above that the oldest of these go first, then all that the oldest runs said but their end, then whole runs. A run that lost anything
    is marked: its readers are told to start over. `delta_size` is how many bytes of one run's deltas are sent without waiting for more.
    """

    delta_size: int = 2_048
    deltas: int = 16 * 2**20
    events: int = 100_000


@dataclass(slots=True)
class Entry:
    """An event on its way. `text` of a delta grows while it waits; `late` is encoded only when it is sent, for it may not be."""

    epoch: int
    type: str
    about: str
    text: bytes
    ts: int
    late: Event | None = None
    gone: bool = False


@dataclass(slots=True)
class Batch:
    """What waits of one run. `due` is when to send it though nothing in it is urgent; `serial` orders batches by age; `raw` says that
    entries are to be dropped or encoded yet."""

    run_id: str
    serial: int
    due: float
    lost: bool = False
    entries: list[Entry] = field(default_factory=list[Entry])
    size: int = 0
    open: dict[tuple[str, str], Entry] = field(default_factory=dict[tuple[str, str], Entry])
    started: dict[str, Entry] = field(default_factory=dict[str, Entry])
    raw: bool = False

    def live(self) -> list[Entry]:
        """The events to send, in order."""
        if self.raw:
            self.raw = False
            self.entries = [entry for entry in self.entries if not entry.gone]
            for entry in self.entries:
                if entry.late is not None:
                    entry.text = encode(entry.late)[2]
                    entry.late = None
        return self.entries


class Pending:
    """The batches of all runs of a process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._due: dict[str, Batch] = {}
        self._young: dict[str, Batch] = {}
        self._held: dict[str, Batch] = {}
        self._fresh: set[tuple[str, str]] = set()
        self._lost: set[str] = set()
        self._serial = 0
        self.events = 0
        """Events that wait."""
        self._deltas = 0
        self.dropped = 0
        """Events that were dropped because Redis was away for too long."""

    def __bool__(self) -> bool:
        return bool(self._due or self._young or self._held)

    @property
    def serial(self) -> int:
        """The number of the newest batch."""
        return self._serial

    @property
    def urgent(self) -> bool:
        """Whether anything waits that is more than young deltas."""
        return bool(self._due)

    @property
    def free(self) -> bool:
        """Whether anything waits that is not put aside."""
        return bool(self._due or self._young)

    def oldest(self) -> int:
        """The number of the oldest batch that waits; one above the newest when none does."""
        return min((batch.serial for batch in self._batches()), default=self._serial + 1)

    def next_due(self) -> float | None:
        """When the oldest deltas should go."""
        return next(iter(self._young.values())).due if self._young else None

    def add(self, run_id: str, epoch: int, event: Event, ts: int, due: float) -> int:
        """Take an event in; returns how urgent it is. Deltas alone wait until `due`."""
        batch = self._due.get(run_id) or self._young.get(run_id) or self._held.get(run_id)
        if batch is None:
            self._serial += 1
            batch = self._young[run_id] = Batch(run_id, self._serial, due, run_id in self._lost)
            self._lost.discard(run_id)
        urgency = SOON
        if event.type == "step.started" and isinstance(event, StepStarted):
            self._begin(batch, event, Entry(epoch, "step.started", event.step, b"", ts, event))
        else:
            kind, about, text = encode(event)
            entry = Entry(epoch, kind, about, text, ts)
            if kind in _DELTAS:
                urgency = self._delta(batch, entry)
            else:
                self._control(batch, event, entry)
        if urgency != LATER and self._young.pop(run_id, None):
            self._due[run_id] = batch
        if self.events > self._limits.events or self._deltas > self._limits.deltas:
            self._shed()
        return urgency

    def _delta(self, batch: Batch, entry: Entry) -> int:
        slot = (entry.type, entry.about)
        size = len(entry.text)
        batch.size += size
        self._deltas += size
        before = batch.open.get(slot)
        if before is not None and before.epoch == entry.epoch:
            before.text += entry.text
            before.ts = entry.ts
        else:
            batch.open[slot] = entry
            batch.entries.append(entry)
            self.events += 1
        first = (batch.run_id, entry.about)
        if first in self._fresh:
            self._fresh.discard(first)
            return URGENT
        return SOON if batch.size >= self._limits.delta_size else LATER

    def _begin(self, batch: Batch, event: StepStarted, entry: Entry) -> None:
        batch.open.clear()
        batch.raw = True
        batch.started[event.step] = entry
        batch.entries.append(entry)
        self.events += 1

    def _control(self, batch: Batch, event: Event, entry: Entry) -> None:
        batch.open.clear()
        if isinstance(event, StepCompleted):
            # A step that began and ended since the last sending is one event: `step.completed` says it all.
            start = batch.started.pop(event.step, None)
            if start is not None and start.epoch == entry.epoch:
                start.gone = True
                batch.raw = True
                self.events -= 1
        else:
            self._mention(batch, event, entry)
        batch.entries.append(entry)
        self.events += 1

    def _mention(self, batch: Batch, event: Event, entry: Entry) -> None:
        if isinstance(event, (TextStart, ReasoningStart, ToolInputStart)):
            self._fresh.add((batch.run_id, entry.about))
        elif entry.type in {"text.end", "reasoning.end", "tool.input"}:
            self._fresh.discard((batch.run_id, entry.about))
        # A reader must know the step before it hears of something inside it.
        if batch.started and (step := getattr(event, "step", None)):
            batch.started.pop(step, None)
        if entry.type in _HEAVY:
            batch.size += len(entry.text)
            self._deltas += len(entry.text)

    def take(self, now: float, most: int, *, everything: bool = False, holds: Callable[[str], bool] | None = None) -> list[Batch]:
        """The batches to send now, of at most about `most` events. Those of runs that must wait are put aside until `release`."""
        taken: list[Batch] = []
        held: list[Batch] = []
        count = 0
        for batch in self._ready(now, everything):
            if holds is not None and holds(batch.run_id):
                held.append(batch)
                continue
            taken.append(batch)
            count += len(batch.entries)
            if count >= most:
                break
        for batch in (*taken, *held):
            self._due.pop(batch.run_id, None)
            self._young.pop(batch.run_id, None)
        for batch in taken:
            self._uncount(batch)
        self._held.update((batch.run_id, batch) for batch in held)
        return taken

    def release(self) -> None:
        """What was put aside may be taken now."""
        self._due = {**self._held, **self._due}
        self._held = {}

    @property
    def lost(self) -> list[str]:
        """The runs that lost something and have nothing to say now: their readers are told with their next event, if there is one."""
        return list(self._lost)

    def forget(self, run_id: str) -> None:
        """Part of what the run said is lost: its readers must start over."""
        batch = self._due.get(run_id) or self._young.get(run_id) or self._held.get(run_id)
        if batch is not None:
            batch.lost = True
        else:
            self._lost.add(run_id)

    def _ready(self, now: float, everything: bool) -> Iterator[Batch]:
        yield from self._due.values()
        for batch in self._young.values():
            if batch.due > now and not everything:
                return
            yield batch

    def _batches(self) -> Iterator[Batch]:
        yield from self._due.values()
        yield from self._young.values()
        yield from self._held.values()

    def _uncount(self, batch: Batch) -> None:
        self.events -= len(batch.live())
        self._deltas -= batch.size

    def _shed(self) -> None:
        oldest = sorted(self._batches(), key=lambda batch: batch.serial)
        for batch in oldest:
            if self._deltas <= self._limits.deltas // 2 and self.events <= self._limits.events:
                return
            self._keep(batch, lambda entry: entry.type not in _HEAVY)
        for batch in oldest:
            if self.events <= self._limits.events * 3 // 4:
                return
            self._keep(batch, lambda entry: entry.type == "end")
            if not batch.entries:
                self._abandon(batch)
        for batch in oldest:
            if self.events <= self._limits.events * 3 // 4:
                return
            self._abandon(batch)

    def _keep(self, batch: Batch, wanted: Callable[[Entry], bool]) -> None:
        kept = [entry for entry in batch.live() if wanted(entry)]
        missing = len(batch.live()) - len(kept)
        if not missing:
            return
        self._uncount(batch)
        batch.entries = kept
        batch.size = sum(len(entry.text) for entry in kept if entry.type in _HEAVY)
        batch.open.clear()
        batch.started.clear()
        batch.lost = True
        self.events += len(kept)
        self._deltas += batch.size
        self.dropped += missing

    def _abandon(self, batch: Batch) -> None:
        self._uncount(batch)
        self.dropped += len(batch.live())
        for waiting in (self._due, self._young, self._held):
            waiting.pop(batch.run_id, None)
        if len(self._lost) < self._limits.events:
            self._lost.add(batch.run_id)
