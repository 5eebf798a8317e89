"""Waiting runs that stay in memory for a while: woken in time, they go on without a replay."""

from __future__ import annotations

import asyncio
import gc
from collections import OrderedDict

from agentflow.clock import Clock
from agentflow.engine.executor import Execution

_GC_DEFAULTS = (700, 2_000)


class Hot:
    """The runs that wait in this process, the one that waits longest first.

    `window` is microseconds that a run stays, `limit` how many may. A run whose code still works beside its waits is let stay.
    """

    def __init__(self, clock: Clock, window: int, limit: int) -> None:
        self._clock = clock
        self._window = window
        self._limit = limit
        self._kept: OrderedDict[str, Execution] = OrderedDict()
        self._news = asyncio.Event()

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._kept

    def get(self, run_id: str) -> Execution | None:
        """A run, if it waits here."""
        return self._kept.get(run_id)

    def __len__(self) -> int:
        return len(self._kept)

    def values(self) -> list[Execution]:
        """All of them."""
        return list(self._kept.values())

    def keep(self, execution: Execution) -> None:
        """A run waits from now on."""
        execution.parked_at = self._clock.now()
        self._kept[execution.run_id] = execution
        if len(self._kept) > self._limit:
            self._make_room()
        self._news.set()

    def take(self, run_id: str) -> Execution | None:
        """A run waits no longer."""
        return self._kept.pop(run_id, None)

    def drop(self, execution: Execution) -> None:
        """A run has left memory."""
        if self._kept.get(execution.run_id) is execution:
            del self._kept[execution.run_id]

    def evict_all(self) -> None:
        """Let all of them go."""
        while self._kept:
            self._kept.popitem()[1].evict()

    async def watch(self) -> None:
        """Evict, for ever, whatever has waited for its window."""
        while True:
            due = self._next_due()
            if due is None:
                self._news.clear()
                await self._news.wait()
            else:
                await self._clock.sleep_until(due)
                self._evict_due(self._clock.now())

    def _next_due(self) -> int | None:
        # A function of its own: what sleeps must not hold a run in memory.
        return next((oldest.parked_at + self._window for oldest in self._kept.values()), None)

    def _evict_due(self, now: int) -> None:
        for execution in self.values():
            if execution.parked_at + self._window > now:
                return
            self._kept.pop(execution.run_id, None)
            if execution.busy:
                self.keep(execution)
            else:
                execution.evict()

    def _make_room(self) -> None:
        for execution in self.values():
            if not execution.busy:
                del self._kept[execution.run_id]
                execution.evict()
                return


def collect_less_often() -> None:
    """Runs in memory are many objects that live for a while: with the default, the collector goes through all of them again and again.

    Thresholds that somebody chose are left alone.
    """
    if gc.get_threshold()[0] in _GC_DEFAULTS:
        gc.set_threshold(20_000, 20, 50)
