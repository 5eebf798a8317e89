"""The process of one isolated run, from the outside: started, spoken to, watched, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from agentflow.serde import dumps, loads


class Process:
    """A child process in a group of its own. Both sides send JSON objects, one per line; when this side is gone, the child ends itself."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.ended = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls, command: Sequence[str], spec: Mapping[str, Any]) -> Self:
        """Start a command, which is given the number of its end of the line, and tell it what to do. Raises `OSError`."""
        here, there = socket.socketpair()
        try:
            number = there.fileno()
            process = await asyncio.create_subprocess_exec(
                *command, str(number), stdin=asyncio.subprocess.DEVNULL, pass_fds=(number,), start_new_session=True
            )
            reader, writer = await asyncio.open_connection(sock=here)
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        made = cls(process, reader, writer)
        made.tell(spec)
        return made

    @property
    def pid(self) -> int:
        """Its id, which is that of its group."""
        return self._process.pid

    def tell(self, words: Mapping[str, Any]) -> None:
        """Send words, if anybody is there to hear them."""
        if not self.ended.done() and not self._writer.is_closing():
            self._writer.write(dumps(words).encode() + b"\n")

    async def words(self) -> AsyncIterator[dict[str, Any]]:
        """What it says, to its end."""
        with suppress(ConnectionError, ValueError):
            async for line in self._reader:
                yield loads(line.decode())

    def memory(self) -> int:
        """Bytes of memory that it takes now; 0 where that is not known: it has ended, or this is not Linux."""
        if not sys.platform.startswith("linux"):
            return 0
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as told:
                return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End it at once, with every process that it started and that is still in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the line."""
        self._writer.close()
