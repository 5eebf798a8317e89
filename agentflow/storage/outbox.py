"""What is to be told of waitpoints, and to whom: written in the transaction that changes the waitpoint, sent afterwards, at least once.

Only a waitpoint that was made to be told of costs anything here: its stored subject says so (`notify`, `ladder`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentflow.database.port import Row, Transaction, transaction
from agentflow.records import DeliveryRecord, DeliveryState, WaitpointRecord
from agentflow.serde import dumps, loads
from agentflow.storage import rows
from agentflow.storage.statements import SQL

TOLD = "deliveries"
"""The topic of the signal that there is something to send."""


def is_told(subject: str) -> bool:
    """Whether anybody is to be told of a waitpoint with this subject (JSON text), now or later."""
    return '"notify"' in subject or '"ladder"' in subject


def begin(one: WaitpointRecord, run: int, now: int) -> Transaction[None]:
    """A waitpoint that is told of was created: tell of it, and set its reminders. A part of the transaction that creates it."""
    subject = loads(one.subject)
    for seq, rung in enumerate(subject.get("ladder") or ()):
        yield SQL.rungs.put(waitpoint=one.id, seq=seq, run=run, due_at=now + rung["after"], target=rung.get("to"))
    yield from tell(one.id, subject, "requested", now)


def tell(waitpoint_id: str, subject: Mapping[str, Any], event: str, now: int, target: str | None = None) -> Transaction[None]:
    """Tell those that the waitpoint names, and on the same channels whoever else it concerns now (`target`)."""
    named = [_parted(one) for one in subject.get("notify") or ()]
    # Where no address is named all who may decide are told, the new ones among them.
    open_to_all = {channel for channel, address in named if not address}
    also = [] if target is None else [(channel, target) for channel, _ in named if channel not in open_to_all]
    for channel, address in dict.fromkeys([*named, *also]):
        yield _put(waitpoint_id, event, Address(channel, address), now)


def end(waitpoint_id: str, now: int) -> Transaction[None]:
    """A waitpoint that is told of has ended: whoever was told hears of it, nobody is reminded any more."""
    yield SQL.rungs.clear(waitpoint=waitpoint_id)
    for row in (yield SQL.deliveries.told(waitpoint=waitpoint_id)):
        yield _put(waitpoint_id, "resolved", Address(row["channel"], row["address"], row["person"]), now)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: an address of a channel, and who alone reads it, if anybody alone does."""

    channel: str
    address: str
    person: str | None = None


def _parted(notify: str) -> tuple[str, str]:
    channel, _, address = notify.partition(":")
    return channel, address


def _put(waitpoint_id: str, event: str, to: Address, now: int) -> Any:
    return SQL.deliveries.put(waitpoint=waitpoint_id, channel=to.channel, address=to.address, person=to.person, event=event, now=now)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: a name that nobody else has, and the channels that it has."""

    name: str
    channels: Sequence[str]


@transaction
def claim(sender: Sender, until: int, limit: int, now: int) -> Transaction[list[DeliveryRecord]]:
    """Take what is due; whoever took it has until `until`, then somebody else does."""
    found = yield SQL.deliveries.claim(holder=sender.name, channels=dumps(list(sender.channels)), until=until, limit=limit, now=now)
    return [rows.delivery(row) for row in found]


def next_due(sender: Sender) -> Transaction[int | None]:
    """When the next message is due."""
    found = yield SQL.deliveries.next(channels=dumps(list(sender.channels)))
    return found[0]["due_at"] if found else None


def before(one: DeliveryRecord) -> Transaction[tuple[bool, str | None]]:
    """Whether an address was told of a waitpoint before, and what its channel calls the first message."""
    found = yield SQL.deliveries.before(waitpoint=one.waitpoint, seq=one.seq, channel=one.channel, address=one.address)
    return bool(found), next((row["reference"] for row in found if row["reference"] is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a try. `again` is when it is tried again: its state is pending then."""

    state: DeliveryState
    reference: str | None = None
    error: str | None = None
    again: int | None = None


@transaction
def settle(one: DeliveryRecord, holder: str, how: Settled, now: int) -> Transaction[bool]:
    """Record what became of a message; False when it took so long that another holds it."""
    return bool((yield from _settle(one, holder, how, now)))


@transaction
def spread(one: DeliveryRecord, holder: str, over: Iterable[Address], now: int) -> Transaction[bool]:
    """Tell each of these instead, unless another holds the message by now."""
    yield SQL.waitpoints.lock(id=one.waitpoint)
    if not (yield from _settle(one, holder, Settled(state=DeliveryState.SPREAD), now)):
        return False
    for address in over:
        yield _put(one.waitpoint, one.event, address, now)
    return True


def _settle(one: DeliveryRecord, holder: str, how: Settled, now: int) -> Transaction[Sequence[Row]]:
    return (
        yield SQL.deliveries.settle(
            waitpoint=one.waitpoint,
            seq=one.seq,
            holder=holder,
            state=how.state.value,
            reference=how.reference,
            error=how.error,
            due_at=now if how.again is None else how.again,
            ended_at=None if how.state is DeliveryState.PENDING else now,
        )
    )


def of_waitpoint(waitpoint_id: str) -> Transaction[list[DeliveryRecord]]:
    """All messages about a waitpoint, in order."""
    return [rows.delivery(row) for row in (yield SQL.deliveries.of_waitpoint(waitpoint=waitpoint_id))]


@dataclass(frozen=True, slots=True)
class Stuck:
    """Messages about open waitpoints that a channel could not tell: how many, about which one for example, and the last error."""

    channel: str
    dead: bool
    many: int
    waitpoint: str
    error: str | None


def stuck(before: int) -> Transaction[list[Stuck]]:
    """What was given up, or waits since `before`, while somebody still has to answer."""
    found = yield SQL.deliveries.stuck(before=before)
    return [Stuck(row["channel"], row["state"] == DeliveryState.DEAD, row["many"], row["waitpoint"], row["error"]) for row in found]
