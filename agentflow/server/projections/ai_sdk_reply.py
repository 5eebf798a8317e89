"""One response to a client of the AI SDK: which chunks of a run's projection it has, and how they look on the wire. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from agentflow.server.frames import merged
from agentflow.server.projections.ai_sdk import Projection
from agentflow.server.projections.ai_sdk_parts import Chunk
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import RENUMBERED, Cursor

DONE = b"data: [DONE]\n\n"
"""What ends a response that is over."""
LOST = "The stream of this answer was lost; load the conversation again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Where a response begins: at chunk `skip` of the run's projection, unmerged, or behind the event `after`, for a reader that has seen
    the message up to there. Without both it is the whole message, with what is said already in few pieces.

    `thoughts`: whether the reader may see what the model thinks.
    """

    sdk: int = 7
    thoughts: bool = True
    skip: int | None = None
    after: Cursor | None = None


class Reply:
    """The chunks of one response, as its run goes on."""

    def __init__(self, run_id: str, begin: Begin) -> None:
        self._begin = begin
        self._projection = Projection(run_id, begin.sdk, thoughts=begin.thoughts)
        self._skip = begin.skip or 0

    @property
    def waits(self) -> bool:
        """Whether the last thing that happened is that the run waits for a person."""
        return self._projection.waits

    @property
    def asks(self) -> Collection[str]:
        """The questions to people that are open."""
        return self._projection.asks

    def first(self) -> list[Chunk]:
        """What it begins with."""
        return self._counted(self._projection.begin())

    def more(self, batch: Sequence[StoredEvent]) -> list[Chunk]:
        """What events add that are there at one moment."""
        after, chunks = self._begin.after, list[Chunk]()
        for event in batch if self._begin.skip is not None else merged(batch):
            told = self._projection.apply(event)
            if after is None or event.id > after:
                chunks += self._counted(told)
        return chunks

    def pause(self) -> list[Chunk]:
        """What it ends with while the run waits for a person."""
        return self._counted(self._projection.pause())

    def strays(self, first: StoredEvent) -> bool:
        """Whether that is the first event of a log that is not the one in which the reader has a place."""
        if self._begin.after is not None:
            return (first.type == "run.started" and first.id.epoch > 1) or first.id.seq >= RENUMBERED
        return bool(self._skip) and (first.type, first.id.epoch) not in (("run.queued", 0), ("run.started", 1))

    def lost(self) -> list[Chunk]:
        """What it ends with when nobody knows what follows the reader's place."""
        return [{"type": "error", "errorText": LOST}, {"type": "finish", "finishReason": "error"}]

    def _counted(self, chunks: list[Chunk]) -> list[Chunk]:
        """Those chunks that the reader has not had."""
        had = min(self._skip, len(chunks))
        self._skip -= had
        return chunks[had:]


def encoded(chunks: Iterable[Chunk]) -> bytes:
    """Chunks as server-sent events."""
    return b"".join(b"data: %b\n\n" % to_json(chunk, inf_nan_mode="null", fallback=str) for chunk in chunks)
