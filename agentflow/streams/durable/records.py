"""What is known of a durable stream, and what somebody wants of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentflow.errors import StreamError

JSON = "application/json"
BYTES = "application/octet-stream"


class DurableStreamNotFound(StreamError):
    """There is no stream of that name: it was never created, was deleted, or its time ended."""

    code = "stream_not_found"
    http_status = 404


class DurableStreamGone(StreamError):
    """The stream was deleted while forks of it live, or the offset is of an earlier stream of that name."""

    code = "stream_gone"
    http_status = 410


class NameTaken(StreamError):
    """A stream of that name was deleted, and forks of it live."""

    code = "stream_taken"
    http_status = 409


class ForkRefused(StreamError):
    """A stream cannot be forked like that."""

    code = "fork_refused"
    http_status = 400


class ForkConflict(StreamError):
    """What is to be forked is of another type, or deleted."""

    code = "fork_conflict"
    http_status = 409


class Place(NamedTuple):
    """Everything up to a position of an epoch. In a durable stream the epoch is when it began, and positions count bytes."""

    epoch: int
    position: int


START = Place(0, 0)
"""Before everything."""


def kind(media: str) -> str:
    """A content type as it is compared: without case and parameters."""
    return media.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Fork:
    """What a stream begins with: `source` up to `place` (None: its tail), and `beyond` bytes or JSON messages of what follows there."""

    source: str
    place: Place | None = None
    beyond: int = 0

    def __str__(self) -> str:
        place = "" if self.place is None else f"{self.place.epoch}-{self.place.position}"
        return f"{self.source} {place} {self.beyond}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A stream to be made. `ttl`: seconds without a read or write until it goes; `expires`: RFC 3339, and as ms `until`."""

    media: str | None = None
    payload: bytes = b""
    ttl: int | None = None
    expires: str = ""
    until: int | None = None
    closed: bool = False
    fork: Fork | None = None

    @property
    def lasting(self) -> bool:
        """Whether it says how long the stream lives."""
        return self.ttl is not None or self.until is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A stream as it is. `id` is of this stream alone, whatever had its name before; `tail` counts bytes."""

    id: str
    media: str
    epoch: int
    tail: int
    closed: bool
    gone: bool
    ttl: int | None
    expires: str
    until: int | None
    fork: str

    @classmethod
    def of(cls, stored: Sequence[bytes]) -> Standing:
        """As Redis has it."""
        known = {name.decode(): value.decode() for name, value in zip(stored[::2], stored[1::2], strict=True)}
        return cls(
            id=known["id"],
            media=known["media"],
            epoch=int(known["epoch"]),
            tail=int(known["tail"]),
            closed=bool(known["closed"]),
            gone="gone" in known,
            ttl=_number(known, "ttl"),
            expires=known["expires"],
            until=_number(known, "until"),
            fork=known["fork"],
        )

    @property
    def end(self) -> Place:
        """After the last byte."""
        return Place(self.epoch, self.tail)

    def fits(self, draft: Draft) -> bool:
        """Whether this is what somebody wants to make. What a fork's draft leaves open it inherited, so anything fits."""
        inherits = draft.fork is not None
        if self.fork != str(draft.fork or "") or self.closed != draft.closed:
            return False
        if (draft.media is not None or not inherits) and kind(self.media) != kind(draft.media or BYTES):
            return False
        return (inherits and not draft.lasting) or (self.ttl, self.until) == (draft.ttl, draft.until)


def _number(known: Mapping[str, str], name: str) -> int | None:
    return int(known[name]) if known[name] else None


class Producer(NamedTuple):
    """Who writes: a repeated (epoch, number) is written once, and a lower epoch never again."""

    id: str
    epoch: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What is to be appended; without a payload it only closes. `seq` orders writers, compared byte by byte."""

    media: str = ""
    payload: bytes = b""
    close: bool = False
    seq: bytes = b""
    producer: Producer | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an addition: `outcome` is a word of durable/append.lua, `detail` the number that goes with it."""

    outcome: str
    end: Place
    closed: bool
    detail: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One append: its payload and where it ends."""

    end: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """What follows a place, as much as is given at once, and the stream as it was then."""

    standing: Standing
    begin: Place
    entries: Sequence[Entry]

    @property
    def end(self) -> Place:
        """After the last of the entries."""
        return Place(self.standing.epoch, self.entries[-1].end) if self.entries else self.begin

    @property
    def caught_up(self) -> bool:
        """Whether this is all there is."""
        return self.end == self.standing.end
