"""How a process is asked to stop: the first signal asks, the second insists."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """`asked` is set at the first signal; the second one ends the process, even while user code blocks the event loop.

    `insisted` is called right before that.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self.insisted: Callable[[], object] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._heard = False

    def hear(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        if self._heard:
            self.insisted()
            sys.stdout.flush()
            os._exit(128 + number)
        self._heard = True
        self._loop.call_soon_threadsafe(self._ask)

    def _ask(self) -> None:
        self._told()
        self.asked.set()


@contextmanager
def stopping(told: Callable[[], None]) -> Generator[Stopping]:
    """Hear SIGINT and SIGTERM; `told` is called at the first."""
    made = Stopping(told)
    before = {number: signal.signal(number, made.hear) for number in STOPS}
    try:
        yield made
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_first_signal(told: Callable[[], None]) -> None:
    """Have `told` called at the first SIGINT or SIGTERM, before whoever handles it now."""
    loop = asyncio.get_running_loop()
    for number in STOPS:
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, _Before(loop, told, handler))


class _Before:
    """A signal handler in front of another; the first signal takes it away."""

    def __init__(self, loop: asyncio.AbstractEventLoop, told: Callable[[], None], then: Callable[[int, FrameType | None], object]) -> None:
        self._loop = loop
        self._told = told
        self._then = then

    def __call__(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._then)
        self._loop.call_soon_threadsafe(self._told)
        self._then(number, frame)
