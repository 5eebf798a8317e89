"""`agentflow approvals list`, `show` and `votes`; the commands that answer are in `deciding`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli import deciding
from agentflow.cli.asked import (
    Id,
    ballots,
    exactly,
    find,
    often,
    risk_of,
    state_of,
    subject_of,
    title_of,
    until,
    urgency,
    view,
    who_decides,
)
from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, say, short, show_json, table, text, visible

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.waitpoints import Vote
    from agentflow.records import WaitpointRecord

_PAGE = 500
approvals = typer.Typer(no_args_is_help=True, help="What waits for people.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    deciding.add_to(app, approvals)
    app.add_typer(approvals, name="approvals")


@approvals.command("list")
@unfolded
def list_approvals(
    every: Annotated[bool, typer.Option("--all", help="Answered ones, too, newest first.")] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, metavar="N")] = 50,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Approvals and forms that are open: by risk, then by when they end."""
    found, now = ask(connection, lambda app: _list(app, None if every else "pending", limit))
    if as_json:
        show_json([view(one) for one in found])
    elif not found:
        say(text("Nothing waits for an answer.", "dim"))
    else:
        say(table(("approval", "risk", "state", "asked", "ends", "title"), [_row(one, now) for one in found]))


def _row(one: WaitpointRecord, now: int) -> tuple[Any, ...]:
    ends = ago(one.due_at, now) if one.ended_at is None else ""
    return one.id, risk_of(one), state_of(one), ago(one.created_at, now), ends, text(title_of(one), "bold") + text(often(one), "dim")


async def _list(app: Agentflow, state: str | None, limit: int) -> tuple[list[WaitpointRecord], int]:
    found: list[WaitpointRecord] = []
    for kind in ("approval", "input"):
        found += await (_open(app, kind) if state else app.waitpoints.list(kind=kind, state=None, limit=limit))
    if state is None:
        found.sort(key=lambda one: one.id, reverse=True)
    else:
        found.sort(key=urgency)
    return found[:limit], app.clock.now()


async def _open(app: Agentflow, kind: str) -> list[WaitpointRecord]:
    """All that people are asked: the most urgent may be the oldest."""
    # The database is loaded with the first question.
    from agentflow.storage.inbox import Inbox

    found: list[WaitpointRecord] = []
    page = await app.waitpoints.inbox(Inbox(kind=kind, limit=_PAGE))
    while page.next is not None:
        found += page.waitpoints
        page = await app.waitpoints.inbox(Inbox(kind=kind, limit=_PAGE, before=page.next))
    return [*found, *page.waitpoints]


@approvals.command("show")
@unfolded
def show_approval(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """One approval: exactly what is asked, who decides until when, and what people said."""
    one, votes, now = ask(connection, lambda app: _get(app, id))
    if as_json:
        return show_json({**view(one).model_dump(mode="json", by_alias=True), "votes": deciding.vote_views(votes)})
    say(text(title_of(one), "bold") + text("  ") + state_of(one), text(f"{one.id}  {one.run_id or ''}", "dim"), "")
    subject = subject_of(one)
    if subject.get("body") is not None:
        say(exactly(subject["body"]), "")
    say(*(text(f"{name:9}", "dim") + words for name, words in _facts(one, subject, now) if words))
    if votes:
        say("", table(("who", "said", "when", "", "why"), ballots(votes, now)))
    say("", *(_how(one) if one.ended_at is None else _end(one, now)))


_HELD = {"same": "people are asked an equal one", "full": "people are asked as many others of its family as may be open"}


def _facts(one: WaitpointRecord, subject: dict[str, Any], now: int) -> list[tuple[str, Any]]:
    asker = " ".join(visible(str(subject[name])) for name in ("agent", "tool") if subject.get(name))
    facts = [("from", text(asker)), ("risk", risk_of(one)), ("decides", text(who_decides(one)))]
    if one.ended_at is None:
        facts += [("asked", text(often(one).strip())), ("held", text(_HELD.get(one.held or "", ""))), ("ends", text(until(one, now)))]
    return [*facts, ("digest", text(subject.get("digest") or ""))]


def _how(one: WaitpointRecord) -> tuple[Any, ...]:
    if one.kind == "input":
        return text(f"agentflow approvals answer {one.id} JSON", "cyan"), text(short(one.schema or "{}", 20_000), "dim")
    command = f"agentflow approvals decide {one.id}"
    return text(f"{command} approve", "cyan"), text(f"{command} deny --reason '…'", "cyan")


def _end(one: WaitpointRecord, now: int) -> tuple[Any, ...]:
    answer = visible(short(one.answer or ""))
    return (text(f"by {visible(one.answered_by or 'nobody')}, {ago(one.ended_at, now)}: {answer}", "dim"),)


async def _get(app: Agentflow, id: str) -> tuple[WaitpointRecord, list[Vote], int]:
    one = await find(app, id)
    return one, await app.waitpoints.votes(one.id), app.clock.now()


@approvals.command("votes")
@unfolded
def votes(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """What people said to a question, in order; also what did not count, and why."""
    _, found, now = ask(connection, lambda app: _get(app, id))
    if as_json:
        return show_json(deciding.vote_views(found))
    say(table(("who", "said", "when", "", "why"), ballots(found, now)) if found else text("Nobody has said anything.", "dim"))
