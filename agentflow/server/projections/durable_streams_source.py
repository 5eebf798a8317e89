"""What the durable-streams protocol reads from: a stream of its own, or a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentflow.streams.durable.records import JSON, Place, kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What a reader gets at once: the messages after `start`, up to `next`.

    `identity` is of the stream alone, whatever else had its name. `caught_up`: there is no more now; `closed`: there will be no more.
    `fleeting`: made for this reader at this moment, so nobody may keep it. `facts`: headers that describe the stream.
    """

    identity: str
    media: str
    start: Place
    next: Place
    messages: Sequence[bytes] = ()
    caught_up: bool = True
    closed: bool = False
    fleeting: bool = False
    facts: tuple[tuple[str, str], ...] = field(default=())

    @property
    def body(self) -> bytes:
        """The messages as an HTTP body: of JSON an array."""
        return b"[" + b",".join(self.messages) + b"]" if self.is_json else b"".join(self.messages)

    @property
    def is_json(self) -> bool:
        """Whether its messages are values of JSON."""
        return kind(self.media) == JSON

    @property
    def is_text(self) -> bool:
        """Whether it can be shown in an event as it is."""
        return self.is_json or kind(self.media).startswith("text/")


class Source(Protocol):
    """A stream that somebody reads."""

    async def look(self) -> Slice:
        """The stream at its tail, which is no reading of it. Raises what reading raises."""
        ...

    async def slice(self, after: Place | None) -> Slice:
        """What follows a place, or with None the tail, at once. Raises errors that say what to do."""
        ...

    def follow(self, last: Slice) -> AsyncGenerator[Slice]:
        """What follows a slice, as it comes, until one is closed. Ends early where nothing can be told; raises as `slice` does."""
        ...
