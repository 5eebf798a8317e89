"""Questions that are shown in other runs than the one that asks: in those that it holds up, because they wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentflow.database.port import Transaction
from agentflow.records import WaitpointRecord, WaitState
from agentflow.serde import loads
from agentflow.storage import blobs, rows
from agentflow.storage.statements import SQL

MOST = 100
"""Runs in which one question is shown."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A run in which a question of another is shown; `call` is the tool call of that run which waits for the answer, if one does."""

    run_id: str
    thread: str | None
    call: str | None


def show(waitpoint_id: str, run_id: str) -> Transaction[None]:
    """Show a question of a run in all that wait for it, as a part of a transaction; doing so again adds those that wait by now."""
    for row in (yield SQL.shown.above(run_id=run_id, limit=MOST)):
        yield SQL.shown.put(waitpoint=waitpoint_id, run=row["run"], call=loads(row["subject"]).get("call"))


def show_below(run_id: str) -> Transaction[None]:
    """Show what holds up a run in those that have just begun to wait for it, as a part of a transaction."""
    for row in (yield SQL.shown.below(run_id=run_id)):
        yield from show(row["id"], row["run_id"])


def sights(waitpoint_id: str) -> Transaction[list[Sight]]:
    """Where a question is shown."""
    return [Sight(row["id"], row["thread"], row["call"]) for row in (yield SQL.shown.of_waitpoint(waitpoint=waitpoint_id))]


def in_run(run: int) -> Transaction[list[tuple[WaitpointRecord, str | None]]]:
    """The questions of other runs that are shown in a run, in their order, each with the tool call there that waits for it."""
    found = yield SQL.shown.in_run(run=run)
    large = yield from blobs.resolve(row["answer"] for row in found)
    whole = [(rows.waitpoint(row), row["call"]) for row in found]
    return [(replace(one, answer=large.get(one.answer or "", one.answer)), call) for one, call in whole]


def open_in(run: int) -> Transaction[list[WaitpointRecord]]:
    """The questions of other runs that are shown in a run and have no answer yet."""
    return [one for one, _ in (yield from in_run(run)) if one.state is WaitState.PENDING]
