"""Streams that begin as a copy of another: a fork has its own log, and its source keeps account of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

from agentflow.streams.durable.records import (
    JSON,
    START,
    Draft,
    DurableStreamGone,
    Entry,
    Fork,
    ForkConflict,
    ForkRefused,
    Part,
    Place,
    Standing,
    kind,
)
from agentflow.streams.durable.shelf import Beginning, Keys, Shelf, origin

_SPACE = " \t\n\r"


class Forks:
    """Makes forks, and lets go of streams that only live on for them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def make(self, path: str, draft: Draft, fork: Fork) -> tuple[Standing, bool]:
        """Make a fork unless there is a stream; returns that, and whether it is new.

        Raises `DurableStreamNotFound` without a source, `ForkConflict`, `ForkRefused`, and `StreamUnavailable`.
        """
        known = await self._shelf.look(path)
        if known is not None:
            return known, False
        source = await self._source(fork, draft)
        staged = Keys.of(path).key(f"f:{uuid4().hex}")
        tail = await self._copy(path, staged, fork, source)
        begun = Beginning(id=uuid4().hex, epoch=source.epoch, tail=tail, media=source.media, staged=staged, source_id=source.id)
        if not await self._shelf.refer(fork.source, "add", source.id, path, begun.id):
            raise _deleted(fork)
        made = False
        try:
            standing, made = await self._shelf.make(path, _inherited(draft, source), begun)
        finally:
            if not made:
                await self._release((fork.source, source.id, begun.id), path)
        return standing, made

    async def sweep(self, path: str) -> None:
        """Forget forks that are no more, for nobody tells when the time of one ends; and with the last the stream, if it was deleted."""
        words: list[bytes] = await self._shelf.refer(path, "list")
        own = await self._shelf.look(path) if words else None
        for id, fork in zip(words[::2], words[1::2], strict=True):
            if own is not None and await self._shelf.refer(fork.decode(), "id") != id:
                await self._release((path, own.id, id.decode()), fork.decode())

    async def deleted(self, path: str, source: tuple[str, str, str] | None) -> None:
        """A stream is no more: so are those that only lived on for it."""
        await self._release(source, path)

    async def _release(self, source: tuple[str, str, str] | None, path: str) -> None:
        while source is not None:
            above, id, own = source
            reply = await self._shelf.refer(above, "drop", id, path, own)
            path, source = above, origin(reply)

    async def _source(self, fork: Fork, draft: Draft) -> Standing:
        try:
            source = (await self._shelf.part(fork.source, None)).standing
        except DurableStreamGone:
            raise _deleted(fork) from None
        if draft.media is not None and kind(draft.media) != kind(source.media):
            raise ForkConflict(
                f"{fork.source} is {source.media}, the fork cannot be {draft.media}.", hint="Leave the content type out.", path=fork.source
            )
        return source

    async def _copy(self, path: str, staged: str, fork: Fork, source: Standing) -> int:
        """Copy what a fork begins with; returns how many bytes that is."""
        place = fork.place or source.end
        if place != START and (place.epoch != source.epoch or place.position > source.tail):
            raise _beyond(fork)
        at = Place(source.epoch, 0)
        while at.position < place.position:
            part = await self._part(fork, at, source)
            entries = [entry for entry in part.entries if entry.end <= place.position]
            if not entries:
                raise ForkRefused(f"{fork.source} has no such offset.", hint="Send one that the server gave.", path=fork.source)
            await self._shelf.stage(path, staged, replace(part, entries=entries))
            at = Place(source.epoch, entries[-1].end)
        if not fork.beyond:
            return at.position
        part = await self._part(fork, at, source)
        begun = _begun(part, source, fork.beyond) if part.entries else None
        if begun is None:
            raise _beyond(fork)
        await self._shelf.stage(path, staged, replace(part, entries=[begun]))
        return begun.end

    async def _part(self, fork: Fork, at: Place, source: Standing) -> Part:
        """What follows in the source, if that is still the stream it was."""
        try:
            part = await self._shelf.part(fork.source, at)
        except DurableStreamGone:
            raise _deleted(fork) from None
        if part.standing.id != source.id:
            raise _deleted(fork)
        return part


def _inherited(draft: Draft, source: Standing) -> Draft:
    if draft.lasting:
        return draft
    return replace(draft, ttl=source.ttl, expires=source.expires, until=source.until)


def _begun(part: Part, source: Standing, beyond: int) -> Entry | None:
    """The first bytes or messages of the next entry, or None when it has fewer."""
    entry = part.entries[0]
    if kind(source.media) == JSON:
        ends = [0, *_ends(entry.payload.decode())]
        taken = len(entry.payload.decode()[: ends[beyond]].encode()) if beyond < len(ends) else None
    else:
        taken = beyond if beyond <= len(entry.payload) else None
    return None if taken is None else Entry(part.begin.position + taken, entry.payload[:taken])


def _ends(text: str) -> Iterator[int]:
    """Where each of the messages ends that stand in a text with commas between them."""
    decoder = json.JSONDecoder(parse_int=str)
    at = 0
    while at < len(text):
        while text[at] in _SPACE:
            at += 1
        _, at = decoder.raw_decode(text, at)
        yield at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        at += 1


def _beyond(fork: Fork) -> ForkRefused:
    return ForkRefused(f"{fork.source} does not reach so far.", hint="Fork at an offset that the server gave.", path=fork.source)


def _deleted(fork: Fork) -> ForkConflict:
    return ForkConflict(f"{fork.source} was deleted.", hint="Fork a stream that is there.", path=fork.source)
