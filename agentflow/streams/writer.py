"""Sends what the runs of this process say: one script call for all of them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from uuid import uuid4

from agentflow.clock import Clock
from agentflow.errors import StreamUnavailable
from agentflow.streams.events import Event
from agentflow.streams.pending import LATER, SOON, URGENT, Batch, Limits, Pending
from agentflow.streams.wire import Script, Wire

_log = logging.getLogger("agentflow.streams")

SIGNALS = "af:signals"
_MOST = 2_000
_NEVER = 9


@dataclass(frozen=True, slots=True)
class Settings:
    """How streams are written.

    Seconds between the starts of two sendings, for what is urgent (a first delta, a signal), other events and more deltas: an idle writer
    sends at once. `live` and `ended`: seconds to keep a stream after its last event. `sweep`: seconds between two looks for lost wake-ups.
    """

    urgent: float = 0.001
    soon: float = 0.005
    later: float = 0.025
    live: float = 7 * 86_400.0
    ended: float = 3_600.0
    sweep: float = 5.0
    limits: Limits = field(default_factory=Limits)


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


class Writer:
    """The flusher of a process. Nothing here waits for Redis but its own task."""

    def __init__(self, wire: Wire, clock: Clock, settings: Settings, on_stale: Callable[[str, int], None]) -> None:
        self.id = uuid4().hex
        self._wire = wire
        self._clock = clock
        self._settings = settings
        self._gaps = (settings.urgent, settings.soon, settings.later)
        self._on_stale = on_stale
        self._pending = Pending(settings.limits)
        self._signals: dict[bytes, None] = {}
        self._number = 0
        self._sent_at = 0.0
        self._armed = _NEVER
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._ready = asyncio.Event()
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.refused = 0
        self.sendings = 0

    @property
    def dropped(self) -> int:
        """Events given up because Redis was away for too long."""
        return self._pending.dropped

    def publish(self, run_id: str, epoch: int, event: Event) -> None:
        """Take an event; it is sent within the time that its kind allows."""
        loop = self._loop or self._start()
        urgency = self._pending.add(run_id, epoch, event, self._clock.now() // 1_000, loop.time() + self._gaps[LATER])
        if urgency < self._armed:
            self._arm(urgency)

    def signal(self, message: bytes) -> None:
        """Take a wake-up for other processes; the same one twice is sent once."""
        if len(self._signals) < self._settings.limits.events:
            self._signals[message] = None
        if self._armed > URGENT:
            self._arm(URGENT)

    async def flush(self) -> None:
        """Return once all that was published so far is in Redis, or refused by it."""
        loop = self._loop or self._start()
        done: asyncio.Future[None] = loop.create_future()
        if self._task is None or self._task.done():
            raise StreamUnavailable("These streams are closed.", hint="Flush before closing.")
        self._flushes.append((self._pending.serial, done))
        self._ready.set()
        await done

    async def close(self, timeout: float) -> None:
        """Send what waits for up to `timeout` seconds, then stop."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(timeout):
                await self.flush()
        except (TimeoutError, StreamUnavailable):
            _log.warning("Streams closed with events unsent: Redis did not answer.")
        if self._timer:
            self._timer.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(), name="agentflow-streams")
        self._task.add_done_callback(self._stopped)
        return loop

    def _stopped(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            _log.error("The flusher broke, nothing more is streamed.", exc_info=error)
        for _, done in self._flushes:
            if not done.done():
                done.set_exception(error or StreamUnavailable("The streams were closed.", hint="Flush before closing."))

    def _arm(self, urgency: int) -> None:
        loop = self._loop or self._start()
        self._armed = urgency
        if self._timer:
            self._timer.cancel()
        when = self._sent_at + self._gaps[urgency]
        if urgency == LATER:
            when = max(when, self._pending.next_due() or when)
        self._timer = loop.call_soon(self._ready.set) if when <= loop.time() else loop.call_at(when, self._ready.set)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._ready.wait()
            self._ready.clear()
            self._sent_at = now = loop.time()
            # Nothing arms the timer during a sending: what comes meanwhile goes with the next one.
            self._armed = -1
            batches = self._pending.take(now, _MOST, everything=bool(self._flushes))
            signals, self._signals = self._signals, {}
            if batches or signals:
                await self._deliver(batches, list(signals))
            self._settle()
            self._rearm()

    def _rearm(self) -> None:
        self._armed = _NEVER
        if self._flushes:
            self._ready.set()
        elif self._signals:
            self._arm(URGENT)
        elif self._pending.urgent:
            self._arm(SOON)
        elif self._pending:
            self._arm(LATER)

    def _settle(self) -> None:
        if not self._flushes:
            return
        oldest = self._pending.oldest()
        for serial, done in self._flushes:
            if serial < oldest and not done.done():
                done.set_result(None)
        self._flushes = [one for one in self._flushes if not one[1].done()]

    async def _deliver(self, batches: list[Batch], signals: list[bytes]) -> None:
        self._number += 1
        keys = [f"af:w:{self.id}", *(stream_key(batch.run_id) for batch in batches)]
        arguments = self._arguments(batches, signals)
        failures = 0
        while True:
            try:
                reply = await self._wire.run(script("append"), keys, arguments)
                break
            except StreamUnavailable as error:
                failures += 1
                if failures == 1:
                    _log.warning("Streams wait: %s", error)
            await asyncio.sleep(min(0.02 * 2**failures, 2.0) * random.uniform(0.5, 1.0))  # noqa: S311  (spreads reconnects)
        if failures:
            _log.warning("Streams go on after %d failed tries.", failures)
        self.sendings += 1
        if reply:
            self._refuse(batches, reply.decode())

    def _arguments(self, batches: list[Batch], signals: list[bytes]) -> list[str | bytes | int]:
        settings = self._settings
        live, ended = int(settings.live * 1_000), int(settings.ended * 1_000)
        arguments: list[str | bytes | int] = [self._number, live, ended, live, SIGNALS, len(signals), *signals]
        for batch in batches:
            entries = batch.live()
            arguments += (channel(batch.run_id), int(batch.lost), len(entries))
            for entry in entries:
                arguments += (f"{entry.epoch}-*", entry.type, entry.about, entry.text, entry.ts)
        return arguments

    def _refuse(self, batches: list[Batch], reply: str) -> None:
        stale: dict[str, int] = {}
        for refusal in reply.split(","):
            stream, _, event = refusal[1:].partition(":")
            batch = batches[int(stream) - 1]
            self.refused += 1
            if refusal.startswith("s"):
                stale[batch.run_id] = max(stale.get(batch.run_id, 0), batch.live()[int(event) - 1].epoch)
            else:
                self._pending.forget(batch.run_id)
        for run_id, epoch in stale.items():
            self._on_stale(run_id, epoch)
