"""The real client of AG-UI, in a Node process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.foreign.npm import NODE, installed

PATIENCE = 20.0
LONGEST = 16 * 1024 * 1024
Event = dict[str, Any]


@dataclass
class Turn:
    """One run of the client, as it sees it. `failed`: what it threw; `complaints`: what it found odd."""

    events: list[Event] = field(default_factory=list[Event])
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    state: Any = None
    interrupts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    result: Any = None
    failed: str | None = None
    complaints: list[str] = field(default_factory=list[str])
    ended: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, line: dict[str, Any]) -> None:
        """Take in a line of the process."""
        if "event" in line:
            self.events.append(line["event"])
        else:
            self.ended = True
            self.messages, self.state, self.interrupts = line["messages"], line.get("state"), line["interrupts"]
            self.result, self.failed, self.complaints = line.get("result"), line.get("failed"), line["complaints"]
        self._changed.set()

    @property
    def types(self) -> list[str]:
        """The types of the events so far."""
        return [event["type"] for event in self.events]

    @property
    def text(self) -> str:
        """What the assistant said in the end."""
        return "".join(str(message.get("content", "")) for message in self.messages if message["role"] == "assistant")

    def of(self, type: str) -> list[Event]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == type]

    async def until(self, happened: Callable[[Turn], Any]) -> Turn:
        """Return once something is true of this turn."""
        async with asyncio.timeout(PATIENCE):
            while not happened(self):
                self._changed.clear()
                await self._changed.wait()
        return self

    async def done(self) -> Turn:
        """The turn once the client is done with it."""
        return await self.until(lambda turn: turn.ended)


class Client:
    """Sends commands to the process, and hears what comes of them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turns: dict[int, Turn] = {}
        self._numbers = count(1)

    def begin(self, verb: str, **command: Any) -> Turn:
        """Begin a turn."""
        number = next(self._numbers)
        turn = self._turns[number] = Turn()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"turn": number, "verb": verb, **command}).encode() + b"\n")
        return turn

    async def replay(self, events: list[Event], messages: list[dict[str, Any]]) -> Turn:
        """What the client makes of events that were written down."""
        return await self.begin("replay", events=events, messages=messages).done()

    async def listen(self) -> None:
        """Hear the process until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            heard = json.loads(line)
            self._turns[heard["turn"]].hear(heard)


@asynccontextmanager
async def agui_client() -> AsyncGenerator[Client]:
    """A running client."""
    packages = await asyncio.to_thread(installed, Path(__file__).with_name("agui"))
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(packages / "client.mjs"),
        str(packages),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST,
    )
    client = Client(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
