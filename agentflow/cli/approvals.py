"""`agentflow approve` and `agentflow approvals …`."""

from __future__ import annotations

from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, colour, say, short, show_json, table, text
from agentflow.errors import ConfigurationError, WaitpointNotFound

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.waitpoints import Vote
    from agentflow.records import WaitpointRecord

approvals = typer.Typer(no_args_is_help=True, help="What waits for people.")
Id = Annotated[str, typer.Argument(help="The approval (wp_…), or its run (run_…).", metavar="ID")]
By = Annotated[str | None, typer.Option(help="Who decides. [you]", metavar="NAME", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")]
Edits = Annotated[str | None, typer.Option(help="What to change in what is approved: a JSON object.", metavar="JSON")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("approve")(approve)
    app.add_typer(approvals, name="approvals")


@unfolded
def approve(
    id: Id,
    deny: Annotated[bool, typer.Option("--deny", help="Say no.")] = False,
    reason: Reason = None,
    by: By = None,
    edits: Edits = None,
    *,
    connection: Connection,
) -> None:
    """Answer an approval: yes, or no with --deny."""
    done, title = ask(connection, lambda app: _decide(app, id, _answer(not deny, reason, edits), by or getuser()))
    word = text("denied", "red") if deny else text("approved", "green")
    if done.ended_at is None:
        word += text(", and more people are needed", "yellow")
    say(text("✓ ") + word + text(f"  {title}", "bold") + text(f"  {done.run_id or ''}", "dim"))


def _answer(approved: bool, reason: str | None, edits: str | None) -> dict[str, Any]:
    from agentflow.cli.start import read_payload
    from agentflow.serde import loads

    answer: dict[str, Any] = {"approved": approved, "reason": reason}
    return answer if edits is None else {**answer, "edits": loads(read_payload(edits))}


async def _decide(app: Agentflow, id: str, answer: dict[str, Any], by: str) -> tuple[WaitpointRecord, str]:
    one = await _find(app, id)
    return await app.waitpoints.answer(one.id, answer, by=by), title_of(one)


async def _find(app: Agentflow, id: str) -> WaitpointRecord:
    """The approval of that id, or the one that a run waits for."""
    if not id.startswith("run_"):
        return await app.waitpoints.get(id)
    await app.runs.get(id)
    found = [one for one in await app.runs.waiting_for(id) if one.kind in ("approval", "input")]
    if len(found) != 1:
        hint = f"`agentflow runs show {id}` tells what it waits for."
        raise WaitpointNotFound(f"{id} waits for {len(found) or 'no'} approvals.", hint=hint, run_id=id)
    return found[0]


def title_of(one: WaitpointRecord) -> str:
    """What people are asked."""
    from agentflow.serde import loads

    return str(loads(one.subject).get("title", ""))


@approvals.command("list")
@unfolded
def list_approvals(
    every: Annotated[bool, typer.Option("--all", help="Answered ones, too.")] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, metavar="N")] = 50,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Approvals and forms that are open, newest first."""
    found, now = ask(connection, lambda app: _list(app, None if every else "pending", limit))
    if as_json:
        show_json([_view(one) for one in found])
    elif not found:
        say(text("Nothing waits for an answer.", "dim"))
    else:
        say(table(("approval", "state", "asked", "title"), [_row(one, now) for one in found]))


def _row(one: WaitpointRecord, now: int) -> tuple[Any, ...]:
    return one.id, _state(one), ago(one.created_at, now), text(title_of(one), "bold")


async def _list(app: Agentflow, state: str | None, limit: int) -> tuple[list[WaitpointRecord], int]:
    found = [one for kind in ("approval", "input") for one in await app.waitpoints.list(kind=kind, state=state, limit=limit)]
    return sorted(found, key=lambda one: one.id, reverse=True)[:limit], app.clock.now()


def _state(one: WaitpointRecord) -> Any:
    from agentflow.engine.telling import decided

    if one.ended_at is None:
        return text("open", "yellow")
    return colour("answered" if one.kind == "input" and one.state == "answered" else decided(one))


def _view(one: WaitpointRecord) -> Any:
    from agentflow.server.views import waitpoint_view

    return waitpoint_view(one)


@approvals.command("show")
@unfolded
def show_approval(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """One approval, with what is to be approved."""
    from agentflow.serde import loads

    one, now = ask(connection, lambda app: _get(app, id))
    if as_json:
        return show_json(_view(one))
    say(text(title_of(one), "bold") + text("  ") + _state(one), text(f"{one.id}  {one.run_id or ''}", "dim"), "")
    body = loads(one.subject).get("body")
    if body is not None:
        say(text(body if isinstance(body, str) else short(body, 20_000)), "")
    if one.ended_at is None:
        until = "" if one.due_at is None else f"  ends {ago(one.due_at, now)}"
        say(*_how(one, text(until, "dim")))
    else:
        say(text(f"by {one.answered_by or 'nobody'}, {ago(one.ended_at, now)}: {short(one.answer or '')}", "dim"))


def _how(one: WaitpointRecord, until: Any) -> tuple[Any, ...]:
    if one.kind == "input":
        return text(f"agentflow approvals answer {one.id} JSON", "cyan") + until, text(short(one.schema or "{}", 20_000), "dim")
    return text(f"agentflow approve {one.id}", "cyan") + until, text(f"agentflow approve {one.id} --deny --reason '…'", "cyan")


async def _get(app: Agentflow, id: str) -> tuple[WaitpointRecord, int]:
    return await _find(app, id), app.clock.now()


@approvals.command("decide")
@unfolded
def decide(
    id: Id,
    approved: Annotated[bool | None, typer.Option("--approve/--deny", help="Yes or no.", show_default=False)] = None,
    reason: Reason = None,
    by: By = None,
    edits: Edits = None,
    *,
    connection: Connection,
) -> None:
    """Answer an approval, as `agentflow approve` does."""
    if approved is None:
        raise ConfigurationError("Yes or no?", hint="Say --approve or --deny.")
    approve(id=id, deny=not approved, reason=reason, by=by, edits=edits, **connection.given())


@approvals.command("answer")
@unfolded
def fill_in(
    id: Id,
    value: Annotated[str, typer.Argument(help="The answer: JSON, or @file.", metavar="JSON")],
    by: By = None,
    *,
    connection: Connection,
) -> None:
    """Fill in a form: answer what a run asks for with `ask()`."""
    from agentflow.cli.start import read_json

    _, answer = read_json(value, "answer", "Quote it for the shell.")
    done, title = ask(connection, lambda app: _decide(app, id, answer, by or getuser()))
    say(text("✓ ") + text("answered", "green") + text(f"  {title}", "bold") + text(f"  {done.run_id or ''}", "dim"))


@approvals.command("cancel")
@unfolded
def cancel(id: Id, reason: Reason = None, by: By = None, *, connection: Connection) -> None:
    """Take a question back: its run goes on without an answer."""
    done, title = ask(connection, lambda app: _cancel(app, id, by or getuser(), reason))
    say(text("✓ ") + text("taken back", "yellow") + text(f"  {title}", "bold") + text(f"  {done.run_id or ''}", "dim"))


async def _cancel(app: Agentflow, id: str, by: str, reason: str | None) -> tuple[WaitpointRecord, str]:
    one = await _find(app, id)
    return await app.waitpoints.cancel(one.id, by=by, reason=reason), title_of(one)


@approvals.command("reassign")
@unfolded
def reassign(
    id: Id,
    user: Annotated[list[str] | None, typer.Option(help="Who may decide; once for each.", metavar="NAME")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group that may decide; once for each.", metavar="NAME")] = None,
    by: By = None,
    *,
    connection: Connection,
) -> None:
    """Give a question to other people."""
    title = ask(connection, lambda app: _reassign(app, id, by or getuser(), user, group))
    say(text("✓ ") + text(f"{title}", "bold") + text(f"  for {', '.join([*(user or ()), *(group or ())])}", "dim"))


async def _reassign(app: Agentflow, id: str, by: str, users: list[str] | None, groups: list[str] | None) -> str:
    one = await _find(app, id)
    await app.waitpoints.reassign(one.id, by=by, users=users or None, groups=groups or None)
    return title_of(one)


@approvals.command("remind")
@unfolded
def remind(id: Id, by: By = None, *, connection: Connection) -> None:
    """Tell all who were told of a question again, on the channels where they were."""
    title, told = ask(connection, lambda app: _remind(app, id, by or getuser()))
    where = ", ".join(told) or "nobody: the question names no channel"
    say(text("✓ ") + text("reminded", "green") + text(f"  {title}", "bold") + text(f"  {where}", "dim"))


async def _remind(app: Agentflow, id: str, by: str) -> tuple[str, list[str]]:
    from agentflow.serde import loads

    one = await _find(app, id)
    reminded = await app.waitpoints.remind(one.id, by=by)
    return title_of(one), loads(reminded.subject).get("notify") or []


@approvals.command("votes")
@unfolded
def votes(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """What people said to a question, in order; also what did not count, and why."""
    found, now = ask(connection, lambda app: _votes(app, id))
    if as_json:
        from agentflow.server.views import vote_view

        return show_json([vote_view(one) for one in found])
    rows = [(one.actor, one.choice, "" if one.counted else f"not counted: {one.why}", ago(one.at, now)) for one in found]
    say(table(("who", "said", "", "when"), rows) if rows else text("Nobody has said anything.", "dim"))


async def _votes(app: Agentflow, id: str) -> tuple[list[Vote], int]:
    return await app.waitpoints.votes((await _find(app, id)).id), app.clock.now()
