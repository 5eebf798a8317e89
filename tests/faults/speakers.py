"""Worker processes whose models say as much as they are allowed to: `tests.faults.speaker` is what they run."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOADING = 60.0
"""Seconds that several processes may take to load pydantic-ai on a busy machine."""


class Speaker:
    """A worker process that says as many pieces as it is allowed to."""

    def __init__(self, process: Process, voice: str) -> None:
        self.voice = voice
        self._process = process

    @classmethod
    async def start(cls, folder: Path, voice: str) -> Speaker:
        """A process that says `loaded` once it may be told to work."""
        command = (sys.executable, "-m", "tests.faults.speaker", str(folder), voice)
        return cls(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE), voice)

    async def heard(self, word: str) -> None:
        """Return once it prints a word."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LOADING):
            while line := await self._process.stdout.readline():
                if line.decode().strip() == word:
                    return
        raise AssertionError(f"{self.voice} ended before it said {word}")

    def allow(self, pieces: int) -> None:
        """Let it say so many more pieces."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"." * pieces)

    async def work(self) -> None:
        """Let it work."""
        self.allow(1)
        await self.heard("up")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as the kernel would."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
