"""Server-sent events, byte by byte: LF only, no `event:` lines, one line of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from agentflow.server.errors import InvalidRequest
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.events import KINDS, Event, ReasoningDelta, TextDelta, ToolInputDelta
from agentflow.streams.hub import Told

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
RETRY = b"retry: 1000\n\n"
HEARTBEAT = b": hb\n\n"
_NAMES = frozenset(".".join(parts[:length]) for kind in KINDS for parts in [kind.type.split(".")] for length in range(1, len(parts) + 1))


@dataclass(frozen=True, slots=True)
class Framing:
    """How one reader is told: `types` are the names of the events it asked for, None for all; `thoughts`: whether it may see the model's.

    `run`: of which run, where one connection tells of several; such a frame is `{"run", "id", "event"}` and no place to resume from.
    """

    types: frozenset[str] | None = None
    thoughts: bool = True
    run: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is told everything."""
        return self.types is None and self.thoughts

    def shows(self, type: str) -> bool:
        """Whether it is told of events of this type. Everybody is told of the end."""
        return self.whole or _shows(self.types, self.thoughts, type)

    def chosen(self, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
        """Those of the events that it is told."""
        return events if self.whole else [event for event in events if self.shows(event.type)]

    def frames(self, events: Sequence[StoredEvent]) -> bytes:
        """Events that go out together; neighbouring deltas of one part as one, under the last id: a cursor means all up to here."""
        if not isinstance(events, Told) or self.run is not None:
            return self._joined(events)
        if events.encoded is None:
            events.encoded = self._joined(events)
        return events.encoded

    def _joined(self, events: Sequence[StoredEvent]) -> bytes:
        told = merged(events) if len(events) > 1 else events
        return b"".join([self._frame(event) for event in told])

    def untold(self, event: StoredEvent) -> bytes:
        """An event that is no place to resume from."""
        return b"data: %b\n\n" % self._named(event.json())

    def notice(self, value: Mapping[str, Any], id: Cursor | None = None) -> bytes:
        """A frame that is in no log."""
        text = to_json(value)
        if self.run is not None:
            return b"data: %b\n\n" % self._named(text, id)
        return b"data: %b\n\n" % text if id is None else b"id: %b\ndata: %b\n\n" % (str(id).encode(), text)

    def _frame(self, event: StoredEvent) -> bytes:
        if self.run is not None:
            return b"data: %b\n\n" % self._named(event.json(), event.id)
        return b"id: %b\ndata: %b\n\n" % (str(event.id).encode(), event.json())

    def _named(self, text: bytes, id: Cursor | None = None) -> bytes:
        return text if self.run is None else b'{"run":%b,%b' % (to_json(self.run), entry(text, id)[1:])


EVERYTHING = Framing()


def entry(event: bytes, id: Cursor | None = None) -> bytes:
    """An event and its place, apart from each other, for an event may have a field `id` of its own: `{"id":"3-10","event":{…}}`."""
    return b'{"event":%b}' % event if id is None else b'{"id":"%b","event":%b}' % (str(id).encode(), event)


def parse_types(text: str | None) -> frozenset[str] | None:
    """The names in `text,tool.output`: of events, or of groups of them. Raises `InvalidRequest` for one that there is not."""
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := names - _NAMES:
        groups = sorted({name.partition(".")[0] for name in _NAMES})
        raise InvalidRequest(
            f"There are no events of type {', '.join(sorted(unknown))}.", hint=f"Groups of events are {', '.join(groups)}."
        )
    return names or None


@lru_cache(maxsize=4_096)
def _shows(types: frozenset[str] | None, thoughts: bool, type: str) -> bool:
    if type == "end":
        return True
    if not thoughts and type.startswith("reasoning."):
        return False
    return types is None or type in types or any(type.startswith(f"{name}.") for name in types)


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
