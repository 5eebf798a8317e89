"""`agentflow worker --processes N`: processes that work, and one that looks after them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from agentflow.cli.signals import stopping

_log = logging.getLogger("agentflow.cli")

SHORTEST, LONGEST = 0.5, 30.0
"""Seconds before a process that died is started again: twice as many each time."""

STEADY = 60.0
"""Seconds that a process has to live to be given the shortest pause again."""

DRAINED = 3
"""The exit code of one of several processes that an operator had leave: no other takes its place."""

HOPELESS = 2
"""The exit code of a process that no new start can help: what it was told cannot be."""


async def look_after(command: Sequence[str], count: int, told: Callable[[], None]) -> int:
    """Keep `count` processes of a command at work until a signal; `told` is called at the first. Returns the exit code.

    Each is given its number as the last word. The first signal is passed on, the second one ends all at once.
    """
    with stopping(told) as stop:
        crew = [Member(command, number) for number in range(1, count + 1)]
        stop.insisted = lambda: [one.kill() for one in crew]
        lives = [asyncio.ensure_future(one.live()) for one in crew]
        asked = asyncio.ensure_future(stop.asked.wait())
        await _until_all_are_to_end(asked, lives)
        asked.cancel()
        for one in crew:
            one.stop()
        return max(await asyncio.gather(*lives))


async def _until_all_are_to_end(asked: asyncio.Task[Any], lives: Sequence[asyncio.Future[int]]) -> None:
    """A process that cannot work ends all of them: so could none of the others. One that has left ends itself alone."""
    waited: set[asyncio.Future[Any]] = {asked, *lives}
    while not asked.done() and len(waited) > 1:
        done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if any(one is not asked and one.result() != 0 for one in done):
            return


class Member:
    """One place in the crew, and the process that is in it now."""

    def __init__(self, command: Sequence[str], number: int) -> None:
        self._command = (*command, str(number))
        self._number = number
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def live(self) -> int:
        """Keep a process in this place until told to stop, or until it says that it cannot work; returns its exit code."""
        loop = asyncio.get_running_loop()
        pause = SHORTEST
        while True:
            began = loop.time()
            code = await self._one()
            if code == DRAINED:
                return 0
            if self._stopping.is_set() or code == HOPELESS:
                return code if code >= 0 else 128 - code
            if loop.time() - began >= STEADY:
                pause = SHORTEST
            _log.error("process %d %s; another is started in %g s", self._number, _how(code), pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return 0
            pause = min(pause * 2, LONGEST)

    async def _one(self) -> int:
        # A group of its own: Ctrl+C reaches this process, which passes it on once. Its end of the pipe tells it that this one is gone.
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE, start_new_session=True)
        if self._stopping.is_set():
            self.stop()
        return await self._process.wait()

    def stop(self) -> None:
        """Ask it to finish."""
        self._stopping.set()
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def depend_on_supervisor() -> None:
    """Stop as if asked to when the process that looks after this one is gone: its end of standard input closes."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1_024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="agentflow-supervisor", daemon=True).start()


def member_command(words: Sequence[str]) -> list[str]:
    """The command of one process of a worker that was started with these words; its number is to follow."""
    return [sys.executable, "-m", "agentflow.cli.main", "worker", *words, "--processes", "1", "--member"]
