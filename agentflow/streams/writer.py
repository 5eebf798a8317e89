"""Sends what the runs of this process say: many runs in one call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from agentflow.clock import Clock
from agentflow.errors import StreamUnavailable
from agentflow.streams.courier import Courier
from agentflow.streams.events import Event
from agentflow.streams.link import Link
from agentflow.streams.pending import LATER, SOON, URGENT, Batch, Limits, Pending

_log = logging.getLogger("agentflow.streams")

_MOST = 2_000
_NEVER = 9
_SHARE = 10
"""Deltas wait for so many times what a sending takes: few runs are told at once, and many cost a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How streams are written.

    Seconds between the starts of two sendings, for what is urgent (a first delta, a signal), other events and more deltas: an idle writer
    sends at once, and `later` is how long deltas wait at most, in a writer that has much to send. `live` and `ended`: seconds to keep a
    stream after its last event. `sweep`: seconds between two looks for lost wake-ups. `silence`: seconds after which a subscribed
    connection that says nothing is asked whether it is still there.
    """

    urgent: float = 0.001
    soon: float = 0.005
    later: float = 0.025
    live: float = 7 * 86_400.0
    ended: float = 3_600.0
    sweep: float = 5.0
    silence: float = 5.0
    limits: Limits = field(default_factory=Limits)


class Writer:
    """The flusher of a process. Nothing here waits for Redis but its own task."""

    def __init__(self, link: Link, clock: Clock, settings: Settings, on_stale: Callable[[str, int], None]) -> None:
        self.id = uuid4().hex
        self._clock = clock
        self._settings = settings
        lives = (int(settings.live * 1_000), int(settings.ended * 1_000))
        self._courier = Courier(link, self.id, lives, self._refuse)
        self._gaps = [settings.urgent, settings.soon, settings.later]
        self._took = settings.later / _SHARE
        self._on_stale = on_stale
        self._pending = Pending(settings.limits)
        self._signals: dict[bytes, None] = {}
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

    @property
    def lost(self) -> list[str]:
        """Runs of which nothing is left to be sent, and something was lost."""
        return self._pending.lost

    @property
    def waiting(self) -> int:
        """Events that are not under way yet."""
        return self._pending.events

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
        await self._courier.close()

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
            holds = self._courier.holds if self._courier.late else None
            batches = self._pending.take(now, _MOST, everything=bool(self._flushes), holds=holds)
            signals, self._signals = self._signals, {}
            if batches or signals:
                await self._courier.deliver(batches, list(signals), self._arrived)
                self.sendings += 1
                self._adapt(loop.time() - now)
            self._settle()
            self._rearm()

    def _adapt(self, took: float) -> None:
        self._took += (took - self._took) / 8
        self._gaps[LATER] = min(self._settings.later, max(self._settings.soon, _SHARE * self._took))

    def _arrived(self) -> None:
        """A slow node has what was under way to it: what came meanwhile may follow."""
        self._pending.release()
        self._ready.set()

    def _rearm(self) -> None:
        self._armed = _NEVER
        if self._flushes and self._pending.free:
            self._ready.set()
        elif self._signals:
            self._arm(URGENT)
        elif self._pending.urgent:
            self._arm(SOON)
        elif self._pending.free:
            self._arm(LATER)

    def _settle(self) -> None:
        if not self._flushes:
            return
        oldest = self._pending.oldest()
        if self._courier.late:
            oldest = min(oldest, self._courier.oldest() or oldest)
        for serial, done in self._flushes:
            if serial < oldest and not done.done():
                done.set_result(None)
        self._flushes = [one for one in self._flushes if not one[1].done()]

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
