"""What a reader of the AI SDK has in its message: parts, and the chunks that would make them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Chunk = dict[str, Any]
"""One chunk of a UI message stream."""


@dataclass(slots=True)
class Part:
    """A part of text or reasoning."""

    kind: str
    id: str
    owner: str
    text: str = ""
    done: bool = False

    def start(self) -> Chunk:
        """What begins it."""
        return {"type": f"{self.kind}-start", "id": self.id}

    def more(self, delta: str) -> Chunk:
        """What adds to it."""
        self.text += delta
        return {"type": f"{self.kind}-delta", "id": self.id, "delta": delta}

    def end(self) -> Chunk:
        """What ends it."""
        self.done = True
        return {"type": f"{self.kind}-end", "id": self.id}

    def again(self) -> Iterator[Chunk]:
        """All of it as it is now."""
        yield self.start()
        if self.text:
            yield {"type": f"{self.kind}-delta", "id": self.id, "delta": self.text}
        if self.done:
            yield self.end()

    def drop(self) -> Iterator[Chunk]:
        """What a reader is told who cannot forget it."""
        if not self.done:
            yield self.end()


@dataclass(slots=True)
class Call:
    """A tool call: its input as it is written, the whole input, the question to a person, the outcome."""

    id: str
    name: str
    owner: str
    provider: bool = False
    written: str = ""
    input: Any = None
    whole: bool = False
    asked: list[Chunk] = field(default_factory=list[Chunk])
    outcome: Chunk | None = None

    def start(self) -> Chunk:
        """What begins it."""
        return {"type": "tool-input-start", "toolCallId": self.id, "toolName": self.name, **self._executed()}

    def more(self, delta: str) -> Chunk:
        """What adds to its input."""
        self.written += delta
        return {"type": "tool-input-delta", "toolCallId": self.id, "inputTextDelta": delta}

    def available(self) -> Chunk:
        """Its whole input."""
        self.whole = True
        return {"type": "tool-input-available", "toolCallId": self.id, "toolName": self.name, "input": self.input, **self._executed()}

    def again(self) -> Iterator[Chunk]:
        """All of it as it is now."""
        if self.whole:
            yield self.available()
        else:
            yield self.start()
            if self.written:
                yield {"type": "tool-input-delta", "toolCallId": self.id, "inputTextDelta": self.written}
        yield from self.asked
        if self.outcome is not None:
            yield self.outcome

    def drop(self) -> Iterator[Chunk]:
        """What a reader is told who cannot forget it."""
        if self.outcome is None:
            told = {"toolCallId": self.id, "toolName": self.name, "input": self.input, "errorText": "superseded by another try"}
            yield {"type": "tool-input-error", **told}

    def _executed(self) -> Chunk:
        return {"providerExecuted": True} if self.provider else {}


@dataclass(slots=True)
class Piece:
    """A part that is there at once: data, a source, a file."""

    id: str
    owner: str
    chunk: Chunk

    def again(self) -> Iterator[Chunk]:
        """All of it."""
        yield self.chunk

    def drop(self) -> Iterator[Chunk]:
        """What a reader is told who cannot forget it: nothing."""
        yield from ()


Shown = Part | Call | Piece


@dataclass(slots=True)
class Turn:
    """What a reader calls a step: what was told since the last `start-step`, and which of the run's own steps are still at it."""

    shown: list[Shown] = field(default_factory=list[Shown])
    owners: set[str] = field(default_factory=set[str])

    def take(self, owners: set[str], ids: set[str]) -> list[Shown]:
        """Take out what these owners showed, and what has these ids."""
        gone = [one for one in self.shown if one.owner in owners or one.id in ids]
        self.shown = [one for one in self.shown if one not in gone]
        self.owners -= owners
        return gone

    def unended(self, owner: str | None = None) -> list[Part]:
        """Parts of text that have not ended: of one owner, or all."""
        return [one for one in self.shown if isinstance(one, Part) and not one.done and owner in (None, one.owner)]
