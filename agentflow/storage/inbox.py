"""Pages of what is open, for those who are to decide. A page looks at so many waitpoints of each kind, and may be short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentflow.database.port import Row, Transaction
from agentflow.records import WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage import asking, rows
from agentflow.storage.listing import LOOK
from agentflow.storage.policy import Policy, Voter
from agentflow.storage.statements import SQL


class Spot(NamedTuple):
    """A place in the list: when a waitpoint was created, in microseconds since 1970, and its id."""

    created_at: int
    id: str


_NEWEST = Spot(2**62, "~")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """What to list; what is None is not asked for. `before` is the `next` of the page before."""

    kind: str | None = None
    run_id: str | None = None
    thread: str | None = None
    risks: frozenset[str] | None = None
    tool: str | None = None
    before: Spot | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Waitpoints, newest first, and where the next page begins; None when this is the last."""

    waitpoints: Sequence[WaitpointRecord]
    next: Spot | None


def page(wanted: Inbox, voter: Voter | None) -> Transaction[InboxPage]:
    """A page of what is open, and what `voter` may decide about, where there is one."""
    # Of one thread, or one run, all is shown: what stands for an equal question may be of another.
    every = int(wanted.run_id is not None or wanted.thread is not None)
    before, looked, floor = wanted.before or _NEWEST, list[Row](), Spot(-1, "")
    for kind in WaitKind if wanted.kind is None else (wanted.kind,):
        found = yield SQL.list.inbox(kind=str(kind), created_at=before.created_at, id=before.id, look=LOOK, every=every)
        looked += found
        if len(found) == LOOK:
            # What is older than this was not looked at.
            floor = max(floor, _spot(found[-1]))
    fitting = sorted((row for row in looked if _spot(row) >= floor and _fits(row, wanted, voter)), key=_spot, reverse=True)
    shown = yield from asking.placed([rows.waitpoint(row) for row in fitting[: wanted.limit]])
    if len(fitting) > wanted.limit:
        return InboxPage(shown, _spot(fitting[wanted.limit - 1]))
    return InboxPage(shown, floor if floor.id else None)


def _spot(row: Row) -> Spot:
    return Spot(row["created_at"], row["id"])


def _fits(row: Row, wanted: Inbox, voter: Voter | None) -> bool:
    if wanted.run_id not in (None, row["run_id"]) or wanted.thread not in (None, row["thread"]):
        return False
    subject = loads(row["subject"])
    if wanted.risks is not None and subject.get("risk") not in wanted.risks:
        return False
    if wanted.tool not in (None, subject.get("tool")):
        return False
    return voter is None or (row["kind"] in (WaitKind.APPROVAL, WaitKind.INPUT) and Policy.of(subject).refuses(voter) is None)
