"""A program of JavaScript with a chat of the AI SDK, driven from a test: what it shows, and a network that breaks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai.exceptions import ModelConnectionError


class Pace:
    """Holds a model back after so many pieces, until it is let go; `breaks` is the piece at which its first try fails."""

    def __init__(self, pieces: int | None = None, breaks: int | None = None) -> None:
        self.said = 0
        self.go_on = asyncio.Event()
        self._pieces = pieces
        self._breaks = breaks

    async def __call__(self, kind: str) -> None:
        if self.said == self._breaks:
            self._breaks = None
            raise ModelConnectionError("scripted", "the line is dead")
        if self.said == self._pieces:
            await self.go_on.wait()
        self.said += 1


@dataclass
class Client:
    """One program of JavaScript with one chat at a time."""

    kind: str
    process: subprocess.Popen[str]

    async def __call__(self, command: str, **given: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._ask, json.dumps({"command": command, **given}))

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        assert told, self.process.stderr and self.process.stderr.read()
        answer: dict[str, Any] = json.loads(told)
        assert not answer.get("late"), answer
        return answer

    async def open(self, url: str, agent: str, chat: str, messages: Sequence[Any] = ()) -> None:
        """Begin a chat."""
        await self("open", id=chat, url=url, agent=agent, messages=list(messages))

    async def finished(self, count: int = 1) -> dict[str, Any]:
        """The chat once it has finished so many times."""
        return await self("finished", count=count)


def shape(message: dict[str, Any]) -> list[Any]:
    """The parts of a message that a person sees, without ids."""
    shown: list[Any] = []
    for part in message["parts"]:
        kind = str(part["type"])
        if kind in ("text", "reasoning"):
            shown.append((kind, part["text"], part["state"]))
        elif kind.startswith("tool-"):
            approval: dict[str, Any] = part.get("approval") or {}
            approved = approval.get("approved")
            shown.append((kind, part["state"], part.get("input"), part.get("output") or part.get("errorText"), approved))
        elif kind.startswith("data-"):
            shown.append((kind, part["data"]))
    return shown


def replies(state: dict[str, Any]) -> list[list[Any]]:
    """What the assistant's messages show."""
    return [shape(one) for one in state["messages"] if one["role"] == "assistant"]


def asked(state: dict[str, Any]) -> str:
    """The id of the one question that is open."""
    [id] = [
        part["approval"]["id"] for message in state["messages"] for part in message["parts"] if part.get("state") == "approval-requested"
    ]
    return id


def good(state: dict[str, Any]) -> dict[str, Any]:
    assert (state["status"], state["error"]) == ("ready", None), state
    return state


@asynccontextmanager
async def breaking(port: int, limit: int) -> AsyncGenerator[int]:
    """A port in front of another, whose first connection breaks after so many bytes of the answer."""
    used = False

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal used
        left, used = (10**9 if used else limit), True
        theirs, out = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.create_task(_forward(reader, out))
        while left > 0 and (chunk := await theirs.read(left)):
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
        sending.cancel()
        out.transport.abort()
        # What was written is read before the break is noticed.
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
