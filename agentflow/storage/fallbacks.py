"""What is gone by where the registry of prompts cannot be read: told as events, and in a run recorded in its journal as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agentflow.database.port import Transaction, transaction
from agentflow.serde import dumps
from agentflow.storage import pins, prompts, runs
from agentflow.storage.pins import Held, Place, Wanted
from agentflow.storage.prompts import Happening, Own, VersionRecord
from agentflow.storage.runs import Lease
from agentflow.storage.statements import SQL

EVENT = "prompt.fallback"
REMEMBERED = 200
"""Prompts and reasons that are told apart before they are told of."""
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """How often, and from when to when in microseconds since 1970, a prompt was filled without its registry, and why."""

    prompt: str
    reason: str
    hash: str
    count: int
    since: int
    until: int


class Tally:
    """What is to be told of once the registry is back: counted by prompt and reason, and of so many that nobody has to be forgotten."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], Fallback] = {}

    def __bool__(self) -> bool:
        return bool(self._counted)

    def count(self, prompt: str, reason: str, hash: str, now: int) -> bool:
        """Count one; returns whether it is the first of its kind."""
        key = (prompt, reason[:_LONGEST])
        known = self._counted.get(key)
        if known is not None:
            self._counted[key] = replace(known, count=known.count + 1, until=now, hash=hash)
        elif len(self._counted) < REMEMBERED:
            self._counted[key] = Fallback(prompt=prompt, reason=key[1], hash=hash, count=1, since=now, until=now)
        return known is None

    def take(self) -> Sequence[Fallback]:
        """All that was counted; it is forgotten here."""
        taken, self._counted = list(self._counted.values()), {}
        return taken

    def give_back(self, taken: Iterable[Fallback]) -> None:
        """It could not be told: count it with what came since."""
        for one in taken:
            key = (one.prompt, one.reason)
            since = self._counted.get(key)
            self._counted[key] = one if since is None else replace(since, count=one.count + since.count, since=one.since)


@transaction
def tell(told: Iterable[Fallback], env: str, actor: str, now: int) -> Transaction[int]:
    """Write an event for each of them; returns how many: a prompt that nobody registered has no events."""
    written = 0
    for one in sorted(told, key=lambda one: (one.prompt, one.reason)):
        if (yield SQL.prompts.lock(name=one.prompt)):
            said = {"hash": one.hash, "count": one.count, "since": one.since, "until": one.until}
            yield from prompts.tell(one.prompt, Happening(type=EVENT, actor=actor, reason=one.reason, env=env, after=dumps(said)), now)
            written += 1
    return written


@transaction
def keep(lease: Lease, wanted: Wanted, held: Held, place: Place, reason: str) -> Transaction[Held]:
    """Have a run go on with what it holds, recorded with the reason and told as an event. Raises `LeaseLost`."""
    yield from runs.held(lease)
    after = replace(held, reason=reason)
    yield from _told(lease, wanted, after, place)
    yield from pins.record(lease, place.entry, after)
    return after


@transaction
def take_own(lease: Lease, wanted: Wanted, own: Own, place: Place, reason: str) -> Transaction[Held]:
    """Have a run go by the code's version, recorded with the reason and told as an event. Raises `LeaseLost` and `VersionRevoked`."""
    yield from runs.held(lease)
    now = place.entry.ended_at
    version, _ = yield from pins.standing((yield from prompts.ensure(own, "code", now)))
    held = _held(wanted, replace(own, hash=version.hash, body=version.body), place, reason, version.number)
    yield from _told(lease, wanted, held, place)
    if wanted.pin != "step":
        yield from _pin(lease, wanted, version, now)
    yield from pins.record(lease, place.entry, held)
    return held


@transaction
def take_unregistered(lease: Lease, wanted: Wanted, own: Own, place: Place, reason: str) -> Transaction[Held]:
    """As `take_own`, for a registry that cannot be written either: the version has no number, and only the journal says why."""
    yield from runs.held(lease)
    held = _held(wanted, own, place, reason, None)
    yield from pins.record(lease, place.entry, held)
    return held


def _held(wanted: Wanted, own: Own, place: Place, reason: str, number: int | None) -> Held:
    rendered = wanted.fits(own.body)
    return Held(number=number, hash=own.hash, body=own.body, label=wanted.label, reason=reason, rendered=rendered, branch=place.branch)


def _told(lease: Lease, wanted: Wanted, held: Held, place: Place) -> Transaction[None]:
    yield from prompts.lock(wanted.prompt)
    said = dumps({"run": lease.run_id, "number": held.number, "hash": held.hash})
    happening = Happening(type=EVENT, actor="worker", reason=held.reason or "", env=place.env, label=wanted.label, after=said)
    yield from prompts.tell(wanted.prompt, happening, place.entry.ended_at)


def _pin(lease: Lease, wanted: Wanted, version: VersionRecord, now: int) -> Transaction[None]:
    """The run's own pin: what those above it and its thread hold is theirs, once it can be read again."""
    where = {"scope": f"run:{lease.run}", "prompt": wanted.prompt, "label": wanted.scope}
    what = {"number": version.number, "hash": version.hash}
    [row] = yield SQL.pins.keep(**where, **what, variant=None, rollout=None, run=lease.run, now=now)
    if row["hash"] != version.hash:
        yield SQL.pins.move(**where, **what, moved_by="fallback", now=now)
