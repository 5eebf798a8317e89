"""Durable streams in Redis, by their paths. Keys of one stream live in one slot, and each has an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from agentflow.errors import StreamUnavailable
from agentflow.streams.courier import script
from agentflow.streams.durable.records import (
    BYTES,
    START,
    Addition,
    Draft,
    DurableStreamGone,
    DurableStreamNotFound,
    Entry,
    NameTaken,
    Part,
    Place,
    Standing,
    Verdict,
    kind,
)
from agentflow.streams.link import Link
from agentflow.streams.wire import Job

PART_BYTES = 1_024 * 1_024
"""How much of a stream is given at once, if that is at least one append."""
PART_ENTRIES = 2_000
_STAGED = 60_000
_LONGEST = 100 * 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a stream is, and its readers' channel. A path may have any character: quoted, none can end the hash tag."""

    tag: str

    @classmethod
    def of(cls, path: str) -> Keys:
        """The keys of a path."""
        return cls(quote(path))

    def key(self, part: str) -> str:
        """A key of its own."""
        return f"af:ds:{{{self.tag}}}:{part}"

    @property
    def all(self) -> tuple[str, str, str, str]:
        """Meta, log, producers, forks."""
        return self.key("m"), self.key("s"), self.key("p"), self.key("f")

    @property
    def channel(self) -> str:
        """Where its readers are woken."""
        return self.key("ch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a fork begins with: the log at `staged`, of `tail` bytes, copied from a stream of this epoch."""

    id: str = ""
    epoch: int | str = ""
    tail: int = 0
    media: str = BYTES
    staged: str = ""
    source_id: str = ""


class Shelf:
    """Makes, writes, reads and deletes. `kept`: seconds without a read or write until a stream goes that says nothing about it."""

    def __init__(self, link: Link, kept: float) -> None:
        self._link = link
        self._kept = int(kept * 1_000)

    async def make(self, path: str, draft: Draft, beginning: Beginning | None = None) -> tuple[Standing, bool]:
        """Make a stream unless there is one; returns it, and whether it is new. Raises `StreamUnavailable`."""
        begun = beginning or Beginning()
        media = draft.media or begun.media
        life = self._kept if draft.ttl is None else min(draft.ttl * 1_000, _LONGEST)
        known = {
            "id": begun.id or uuid4().hex,
            "media": media,
            "kind": kind(media),
            "closed": "1" if draft.closed else "",
            "ttl": "" if draft.ttl is None else draft.ttl,
            "expires": draft.expires,
            "until": "" if draft.until is None else draft.until,
            "fork": str(draft.fork or ""),
            **({"from": draft.fork.source, "from_id": begun.source_id} if draft.fork else {}),
        }
        pairs = [word for pair in known.items() for word in pair]
        keys = Keys.of(path)
        staged = begun.staged or keys.key("s")
        arguments = [begun.epoch, begun.tail, life, "1" if begun.staged else "", draft.payload, *pairs]
        made, stored = await self.run("create", path, arguments, staged)
        return Standing.of(stored), bool(made)

    async def look(self, path: str) -> Standing | None:
        """A stream as it is, or what is left of a deleted one; None where there is nothing. Raises `StreamUnavailable`."""
        stored, _ = await self.run("read", path, ["", "", "", 0, 1])
        return Standing.of(stored) if stored else None

    async def append(self, path: str, addition: Addition) -> Verdict:
        """Append, or say why not. Raises `DurableStreamNotFound`, `DurableStreamGone` and `StreamUnavailable`."""
        producer = addition.producer
        who = ("", "", "") if producer is None else producer
        order, how = addition.seq.hex(), "s" if self._link.sharded else ""
        close = "1" if addition.close else ""
        arguments = [how, Keys.of(path).channel, kind(addition.media), close, order, *who, addition.payload]
        word, epoch, tail, closed, detail = await self.run("append", path, arguments)
        if word == b"missing":
            raise not_found(path)
        if word == b"gone":
            raise gone(path)
        return Verdict(word.decode(), Place(int(epoch), int(tail)), bool(closed), int(detail))

    async def part(self, path: str, after: Place | None, *, keep: bool = False) -> Part:
        """What follows a place, or the tail of the stream. `keep`: whether this keeps a stream alive that goes when idle.

        Raises `DurableStreamNotFound`, `DurableStreamGone` and `StreamUnavailable`.
        """
        place = ("", "") if after is None else after
        stored, entries = await self.run("read", path, ["1" if keep else "", *place, PART_BYTES, PART_ENTRIES])
        if not stored:
            raise not_found(path)
        standing = Standing.of(stored)
        if standing.gone:
            raise gone(path)
        begin = standing.end if after is None else Place(standing.epoch, after.position)
        if after not in (None, START) and (begin != after or begin > standing.end):
            raise DurableStreamGone(
                f"The stream {path} has nothing at that offset: it is of an earlier stream of this name, or lost.",
                hint="Read it from its start: offset=-1.",
                path=path,
            )
        return Part(standing, begin, [_entry(*one) for one in entries])

    async def delete(self, path: str) -> tuple[str, tuple[str, str, str] | None]:
        """Delete a stream: `deleted`, `kept` (its name, for its forks), `missing` or `gone`; of a deleted fork its `origin`, too."""
        word, *rest = await self.run("delete", path, ["s" if self._link.sharded else "", Keys.of(path).channel])
        return word.decode(), origin(rest)

    async def stage(self, path: str, name: str, part: Part) -> None:
        """Put entries into a log that is to become that of a stream."""
        words = [word for entry in part.entries for word in (f"{part.standing.epoch}-{entry.end}", entry.payload)]
        await self.call("stage", path, [name], [_STAGED, *words])

    async def refer(self, path: str, word: str, *arguments: str) -> Any:
        """See durable/refer.lua. Raises `StreamUnavailable`."""
        return await self.run("refer", path, [word, *arguments])

    async def run(self, name: str, path: str, arguments: list[Any], *more: str) -> Any:
        """Run a script about a stream; `more` are keys beside its own. Raises `StreamUnavailable`."""
        return await self.call(name, path, [*Keys.of(path).all, *more], arguments)

    async def call(self, name: str, path: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script on keys of a stream. Raises `StreamUnavailable`."""
        job = Job(self._link.place(Keys.of(path).tag), keys, arguments)
        [reply] = await self._link.work(script(f"durable/{name}"), [job])
        if isinstance(reply, StreamUnavailable):
            raise reply
        return reply


def _entry(id: bytes, fields: list[bytes]) -> Entry:
    return Entry(int(id.partition(b"-")[2]), fields[1])


def origin(words: list[bytes | None]) -> tuple[str, str, str] | None:
    """What a stream that is no more was a fork of: the path, that stream's id, and the id of the fork."""
    source, source_id, own = words if len(words) == 3 else (None, None, None)
    return None if source is None or source_id is None or own is None else (source.decode(), source_id.decode(), own.decode())


def not_found(path: str) -> DurableStreamNotFound:
    """There is no such stream."""
    return DurableStreamNotFound(f"There is no stream {path}.", hint="PUT makes one; what is idle for too long goes.", path=path)


def taken(path: str) -> NameTaken:
    """A deleted stream still has this name."""
    return NameTaken(f"{path} is the name of a deleted stream with forks.", hint="It is free when they are deleted.", path=path)


def gone(path: str) -> DurableStreamGone:
    """Its name is taken by what is left of it."""
    return DurableStreamGone(f"The stream {path} was deleted; forks of it live.", hint="Its name is free when they are deleted.", path=path)
