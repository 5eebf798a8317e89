"""The audit: who did what about a question, in a chain of hashes.

A row is written in the transaction that does what it tells of, and is sealed a moment later: numbered without gaps, with a hash over all
that it says and over the hash before it. Sealed under one lock, in the transaction it tells of, it would have every decision wait for every
other; here only those wait who seal.

The chain shows that nothing sealed was changed, taken out, put in or moved. It does not show what was done to a row before it was sealed,
and whoever may write to the database can make a whole new chain: only a head that was kept elsewhere shows that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from agentflow.database.port import Row, Transaction, transaction
from agentflow.serde import dumps, loads
from agentflow.storage.statements import SQL

START = "0" * 64
"""The hash before the first."""
ROUND = 500


class Head(NamedTuple):
    """The end of a chain: how many rows it has, and the hash of the last."""

    place: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is to be told of a question. `detail` is what belongs to this type of row, as plain values."""

    type: str
    waitpoint: str | None
    run_id: str | None
    actor: str
    via: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at a chain found: how many rows hold, where it ends and, where it is broken, at which row (`broken`), and `why`."""

    rows: int
    head: Head
    broken: int | None = None
    why: str = ""


class Chain:
    """Looks at entries in the order in which they come. `expected` are heads that were kept elsewhere; `first` is the number of the first
    entry, None where any will do."""

    def __init__(self, *expected: Head, first: int | None = 1) -> None:
        self._expected = dict(expected)
        self._rows = 0
        self._last: Head | None = None if first is None else Head(first - 1, START)
        self.broken: Verdict | None = None

    def add(self, entry: Mapping[str, Any]) -> None:
        """Look at the next entry. Once the chain is broken nothing more is looked at."""
        place, before = entry.get("seq"), entry.get("prev")
        if self._last is None and isinstance(place, int):
            self._last = Head(place - 1, str(before))
        if self.broken is None and self._last is not None:
            wrong = self._wrong(entry, self._last)
            if wrong is not None:
                self.broken = Verdict(self._rows, self._last, self._last.place + 1, wrong)
            else:
                self._rows, self._last = self._rows + 1, Head(self._last.place + 1, str(entry["hash"]))

    def verdict(self) -> Verdict:
        """What was found, once all entries were looked at."""
        last, most = self._last or Head(0, START), max(self._expected, default=0)
        if self.broken is None and last.place < most:
            return Verdict(self._rows, last, last.place + 1, f"It is missing, and all after it: there were {most} rows.")
        return self.broken or Verdict(self._rows, last)

    def _wrong(self, entry: Mapping[str, Any], last: Head) -> str | None:
        place = last.place + 1
        if entry.get("seq") != place:
            return f"It is missing here: number {entry.get('seq')} comes in its place."
        if entry.get("prev") != last.hash:
            return "It does not follow the row before it."
        if entry.get("hash") != hashed(entry):
            return "It is not what was sealed."
        if self._expected.get(place, entry["hash"]) != entry["hash"]:
            return "It is not the row whose hash was kept."
        return None


def tell(note: Note, now: int) -> Transaction[None]:
    """Write a row, as a part of the transaction that it tells of."""
    yield SQL.audit.put(
        type=note.type,
        waitpoint=note.waitpoint,
        run_id=note.run_id,
        actor=note.actor,
        via=note.via,
        detail=dumps(dict(note.detail)),
        now=now,
    )


def is_open() -> Transaction[bool]:
    """Whether there is anything to seal."""
    return bool((yield SQL.audit.open(limit=1)))


@transaction
def seal() -> Transaction[bool]:
    """Seal up to `ROUND` rows; True when there may be more."""
    [last] = yield SQL.audit.lock()
    found = yield SQL.audit.open(limit=ROUND)
    if not found:
        return False
    head, sealed = Head(last["place"], last["hash"]), list[tuple[int, int, str]]()
    for row in found:
        entry = told(row, head.place + 1, head.hash)
        head = Head(entry["seq"], hashed(entry))
        sealed.append((row["key"], head.place, head.hash))
    yield SQL.audit.seal(sealed=dumps(sealed))
    yield SQL.audit.reach(place=head.place, hash=head.hash)
    return len(found) == ROUND


def head() -> Transaction[Head]:
    """Where the chain ends."""
    [last] = yield SQL.audit.head()
    return Head(last["place"], last["hash"])


def page(after: int, type: str | None, limit: int) -> Transaction[list[dict[str, Any]]]:
    """Entries after a place, in order, each with its own hash and the one before it, as they were sealed."""
    found = yield (SQL.audit.page(after=after, limit=limit) if type is None else SQL.audit.of_type(after=after, type=type, limit=limit))
    return [dict(told(row, row["place"], row["before"] or START), hash=row["hash"]) for row in found]


def told(row: Row, place: int, before: str) -> dict[str, Any]:
    """A row as an entry, without its own hash."""
    return {
        "seq": place,
        "type": row["type"],
        "at": row["at"] // 1_000,
        "waitpoint": row["waitpoint"],
        "run": row["run_id"],
        "actor": row["actor"],
        "via": row["via"],
        "detail": loads(row["detail"]),
        "prev": before,
    }


def hashed(entry: Mapping[str, Any]) -> str:
    """The hash of an entry: SHA-256 of its JSON without `hash`, names sorted, nothing between them, all but ASCII escaped."""
    text = json.dumps({name: value for name, value in entry.items() if name != "hash"}, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
