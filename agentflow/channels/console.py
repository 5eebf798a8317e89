"""Tells a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from agentflow.channels.notice import EVENTS, Notice
from agentflow.channels.wording import headline


class Console:
    """Writes a line for each notice to `stream` (standard error, unless given): for a laptop, and for logs."""

    reaches_people = False
    events = EVENTS

    def __init__(self, *, name: str = "console", stream: TextIO | None = None) -> None:
        self.name = name
        self._stream = stream

    def owner(self, address: str) -> str | None:
        """Nobody alone reads a log."""
        return None

    async def send(self, notice: Notice) -> None:
        """Write it."""
        question = notice.question
        where = f"  {notice.link}" if notice.link and question.open else ""
        stream = self._stream or sys.stderr
        stream.write(f"[{self.name}] {headline(notice)}  {question.id}{where}\n")
        stream.flush()
