"""Server-sent events, byte by byte: LF only, no `event:` lines, one line of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import Event, ReasoningDelta, TextDelta, ToolInputDelta

Filter = Callable[[StoredEvent], bool]
"""Which events a reader is shown. Its cursor goes on past the others."""

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
RETRY = b"retry: 1000\n\n"
HEARTBEAT = b": hb\n\n"


def frame(event: StoredEvent) -> bytes:
    """An event of a run's log."""
    return b"id: %b\ndata: %b\n\n" % (str(event.id).encode(), event.json())


def frames(events: Sequence[StoredEvent]) -> bytes:
    """Events that go out together; neighbouring deltas of one part as one, under the last id: a cursor means all up to here."""
    return b"".join(frame(event) for event in (merged(events) if len(events) > 1 else events))


def visible(events: Sequence[StoredEvent], filter: Filter | None) -> Sequence[StoredEvent]:
    """The events that pass a filter; without one, all."""
    return events if filter is None else [event for event in events if filter(event)]


def untold(event: StoredEvent) -> bytes:
    """An event that is no place to resume from."""
    return b"data: %b\n\n" % event.json()


def notice(value: Mapping[str, Any], id: Cursor | None = None) -> bytes:
    """A frame that is in no log."""
    head = b"" if id is None else b"id: %b\n" % str(id).encode()
    return b"%bdata: %b\n\n" % (head, to_json(value))


def merged(events: Iterable[StoredEvent]) -> list[StoredEvent]:
    """Events with neighbouring deltas of one part joined."""
    kept: list[StoredEvent] = []
    texts: list[str] = []
    for stored in events:
        delta = _delta(stored)
        if delta is not None and kept and texts and _same(kept[-1], stored):
            texts.append(delta)
            kept[-1] = stored
            continue
        _close(kept, texts)
        kept.append(stored)
        texts = [] if delta is None else [delta]
    _close(kept, texts)
    return kept


def _delta(stored: StoredEvent) -> str | None:
    if not stored.type.endswith(".delta"):
        return None
    event = stored.event
    return event.delta if isinstance(event, TextDelta | ReasoningDelta | ToolInputDelta) else None


def _same(before: StoredEvent, after: StoredEvent) -> bool:
    return before.type == after.type and _part(before.event) == _part(after.event)


def _part(event: Event) -> str | None:
    return getattr(event, "part", None) or getattr(event, "call", None)


def _close(kept: list[StoredEvent], texts: list[str]) -> None:
    if len(texts) > 1:
        last = kept[-1]
        event = last.event
        if isinstance(event, TextDelta | ReasoningDelta | ToolInputDelta):
            kept[-1] = StoredEvent(last.id, last.ts, replace(event, delta="".join(texts)))
