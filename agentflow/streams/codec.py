"""Events as they are stored and as they are sent.

Stored: four fields with constant names, so that Redis keeps the names once: `t` the type, `p` what the event is about, `d` the text of a
delta or the other fields as JSON, `ts` milliseconds. Sent: one JSON object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from pydantic_core import from_json, to_json

from agentflow.streams.cursor import Cursor
from agentflow.streams.events import KINDS, Event, UnknownEvent

_ABOUT = frozenset({"part", "call", "message", "approval", "run", "step", "id"})
_TUPLES = frozenset({"supersedes", "ids"})


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a kind of event is stored: the first field that names something is `p`, the others are `d`."""

    kind: type[Any]
    about: str
    names: tuple[str, ...]
    values: Callable[[Any], Any]
    text: bool

    @classmethod
    def of(cls, kind: type[Any]) -> _Shape:
        every = [field.name for field in fields(kind)]
        about = next((name for name in every if name in _ABOUT), "")
        names = tuple(name for name in every if name != about)
        values = attrgetter(*names) if names else tuple
        return cls(kind, about, names, values, names == ("delta",))


_SHAPES = {kind.type: _Shape.of(kind) for kind in KINDS}


def encode(event: Event) -> tuple[str, str, bytes]:
    """The event as `t`, `p`, `d`.

    Never fails: what JSON cannot say is stored as its text, NaN as null, half a surrogate pair as `?`.

    >>> encode(TextDelta("p1", "Hel"))
    ('text.delta', 'p1', b'Hel')
    """
    if isinstance(event, UnknownEvent):
        return event.type, event.about, _json(event.data)
    shape = _SHAPES[event.type]
    about = (getattr(event, shape.about) or "") if shape.about else ""
    if shape.text:
        return event.type, about, shape.values(event).encode("utf-8", "replace")
    if not (names := shape.names):
        return event.type, about, b""
    values = shape.values(event) if len(names) > 1 else (shape.values(event),)
    rest = {name: value for name, value in zip(names, values, strict=True) if value is not None and value != ()}
    return event.type, about, _json(rest) if rest else b""


def decode(t: str, p: str, d: str) -> Event:
    """The event that `encode` made `t`, `p`, `d` of; an `UnknownEvent` when this version cannot read it."""
    shape = _SHAPES.get(t)
    if shape is None:
        return UnknownEvent(t, p, _loads(d))
    if shape.text:
        return shape.kind(p, d)
    data = _loads(d)
    known = {name: tuple(data[name]) if name in _TUPLES else data[name] for name in shape.names if name in data}
    if shape.about:
        known[shape.about] = p or None
    try:
        return shape.kind(**known)
    except TypeError:
        return UnknownEvent(t, p, data)


def received(id: Cursor, sent: Mapping[str, Any]) -> StoredEvent:
    """The event that was sent as JSON, by whoever hears it at the other end."""
    fields = dict(sent)
    t, ts = str(fields.pop("type", "")), int(fields.pop("ts", 0))
    shape = _SHAPES.get(t)
    if shape is None:
        return StoredEvent(id, ts, UnknownEvent(t, str(fields.pop("about", "")), fields))
    known = {name: tuple(value) if name in _TUPLES else value for name, value in fields.items() if name in (shape.about, *shape.names)}
    try:
        return StoredEvent(id, ts, shape.kind(**known))
    except TypeError:
        return StoredEvent(id, ts, UnknownEvent(t, str(fields.get(shape.about, "")), fields))


def _json(value: Any) -> bytes:
    try:
        return to_json(value, inf_nan_mode="null", fallback=str)
    except ValueError:
        return to_json(repr(value), inf_nan_mode="null")


def _loads(text: str) -> Any:
    return from_json(text) if text else {}


class StoredEvent:
    """An event of a stream: `id`, `ts` in milliseconds since 1970, `type`, and the `event` itself.

    One object serves all readers of a process, so what is decoded or encoded once is kept.
    """

    __slots__ = ("_event", "_json", "_stored", "id", "ts", "type")

    def __init__(self, id: Cursor, ts: int, event: Event) -> None:
        t, p, d = encode(event)
        self._set(id, ts, (t, p, d.decode()))
        self._event: Event | None = event

    @classmethod
    def stored(cls, id: str, t: str, p: str, d: str, ts: str) -> StoredEvent:
        """An entry as Redis holds it; decoded when somebody asks for its `event`."""
        entry = cls.__new__(cls)
        epoch, _, seq = id.partition("-")
        entry._set(Cursor(int(epoch), int(seq)), int(ts), (t, p, d))
        entry._event = None
        return entry

    def _set(self, id: Cursor, ts: int, stored: tuple[str, str, str]) -> None:
        self.id = id
        self.ts = ts
        self.type = stored[0]
        self._stored = stored
        self._json: bytes | None = None

    @property
    def event(self) -> Event:
        """The typed event."""
        if self._event is None:
            self._event = decode(*self._stored)
        return self._event

    @property
    def stored_fields(self) -> tuple[str, str, str]:
        """`t`, `p` and `d`, as Redis holds them."""
        return self._stored

    @property
    def ended(self) -> bool:
        """Whether this is the last event of its stream."""
        return self.type == "end"

    @property
    def size(self) -> int:
        """About how many characters it takes."""
        return 64 + len(self._stored[2])

    def json(self) -> bytes:
        """The event as one line of compact JSON, as SSE and HTTP send it: `type`, `ts` (deltas have none), then its fields."""
        if self._json is None:
            self._json = self._encode()
        return self._json

    def _encode(self) -> bytes:
        t, p, d = self._stored
        shape = _SHAPES.get(t)
        text = shape is not None and shape.text
        head: dict[str, Any] = {"type": t} if text else {"type": t, "ts": self.ts}
        if p:
            head[shape.about if shape else "about"] = p
        if text:
            head["delta"] = d
        opened = to_json(head)
        if text or not d or d == "{}":
            return opened
        if d.startswith("{"):
            return opened[:-1] + b"," + d[1:].encode()
        return to_json({**head, "data": from_json(d)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredEvent) and (self.id, self.ts, self._stored) == (other.id, other.ts, other._stored)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{self.id} {self.event!r}>"
