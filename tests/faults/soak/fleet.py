"""The worker processes: hired, hurt, asked how they are."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.soak.previous import ROOT, environment
from tests.faults.soak.worker import PATIENCE, Post


class Forker:
    """A process that has loaded one version of the package, and forks workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self.code = ""
        self.limited = False

    @classmethod
    async def load(cls, code: Path | None, within: Sequence[str] = ()) -> Forker:
        """Load the package of a folder, or this process's own; `within` is a command that starts it somewhere else."""
        pipe = asyncio.subprocess.PIPE
        command = (*within, sys.executable, "-P", "-m", "tests.faults.soak.worker")
        made = cls(await asyncio.create_subprocess_exec(*command, env=environment(code), cwd=ROOT, stdin=pipe, stdout=pipe))
        said = json.loads(await made._heard())
        made.code, made.limited = said["code"], said["limited"]
        return made

    async def fork(self, post: Post) -> int:
        """A new worker; returns its process id."""
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(post.line())
            return int(await self._heard())

    async def _heard(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, "the forker died"
        return line

    async def close(self) -> None:
        """End it, and its workers with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Line:
    """The line to a worker process that has called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self) -> dict[str, Any]:
        """How it is."""
        self._writer.write(b"state\n")
        return json.loads(await self._reader.readline())

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@dataclass
class Member:
    """A worker's place, and who holds it at the moment."""

    post: Post
    forker: Forker
    pid: int = 0


class Fleet:
    """All workers, by their numbers from 1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._lines: dict[int, Line] = {}
        self._called = asyncio.Condition()
        self.members: dict[int, Member] = {}
        self.upgrade: Forker | None = None

    async def open(self) -> None:
        """Be there for workers that call."""
        self._server = await asyncio.start_unix_server(self._meet, self._folder / "control")

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = json.loads(await reader.readline())
        async with self._called:
            self._lines[hello["pid"]] = Line(reader, writer)
            self._called.notify_all()

    async def state(self, number: int) -> dict[str, Any]:
        """What a worker tells of itself."""
        pid = self.members[number].pid
        async with asyncio.timeout(PATIENCE):
            async with self._called:
                await self._called.wait_for(lambda: pid in self._lines)
            return await self._lines[pid].ask()

    async def hire(self, member: Member) -> None:
        """Add a worker; returns once it works."""
        self.members[member.post.number] = member
        await self.start(member.post.number)
        await self.until(member.post.number, lambda state: bool(state["id"]))

    async def start(self, number: int) -> None:
        """Start a worker in its place."""
        member = self.members[number]
        if self.upgrade is not None:
            member.forker = self.upgrade
        if (line := self._lines.pop(member.pid, None)) is not None:
            line.close()
        member.pid = await member.forker.fork(member.post)

    async def until(self, number: int, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The state of a worker once it passes a test, or after a while."""
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not test(state := await self.state(number)):
                    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.05)
        except TimeoutError:
            return state
        return state

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to a worker."""
        os.kill(self.members[number].pid, what)

    def alive(self, number: int) -> bool:
        """Whether the process of a worker is there."""
        try:
            os.kill(self.members[number].pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def close(self) -> None:
        """End all."""
        for number in self.members:
            if self.alive(number):
                self.signal(number, signal.SIGCONT)
        forkers = {id(member.forker): member.forker for member in self.members.values()}
        await asyncio.gather(*(forker.close() for forker in forkers.values()))
        for line in self._lines.values():
            line.close()
        if self._server is not None:
            self._server.close()
