"""`agentflow grants …`."""

from __future__ import annotations

from dataclasses import dataclass
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, say, short, show_json, table, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow.app import Agentflow
    from agentflow.records import GrantRecord

grants = typer.Typer(no_args_is_help=True, help="Standing yeses of people to calls of tools.")
By = Annotated[str | None, typer.Option(help="Who does it. [you]", metavar="NAME", show_default=False)]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a grant counts, for how long, and how often."""

    scope: Annotated[str, typer.Option(help="run, thread or agent, perhaps with a name, or all.", metavar="SCOPE[:ID]")] = "run"
    expires: Annotated[str, typer.Option(help="For how long; 30d at most.", metavar="TIME")] = "1h"
    max_uses: Annotated[int | None, typer.Option(help="For how many calls at most.", min=1, metavar="N")] = None


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(grants, name="grants")


@grants.command("list")
@unfolded
def list_grants(
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    tool: Annotated[str | None, typer.Option(help="Only those for this tool.", metavar="NAME")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, metavar="N")] = 50,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Grants that count now, newest first."""
    found, now = ask(connection, lambda app: _list(app, tool, every, limit))
    if as_json:
        from agentflow.server.grants import grant_view

        show_json([grant_view(one, now) for one in found])
    elif not found:
        say(text("There are no grants.", "dim"))
    else:
        say(table(("grant", "tool", "calls", "where", "by", "used", "ends"), [_row(one, now) for one in found]))


async def _list(app: Agentflow, tool: str | None, every: bool, limit: int) -> tuple[Sequence[GrantRecord], int]:
    return await app.grants.list(tool=tool, every=every, limit=limit), app.clock.now()


def _row(one: GrantRecord, now: int) -> tuple[Any, ...]:
    from agentflow.serde import loads

    match: dict[str, Any] = loads(one.fits)
    calls = short(match["args"], 60) if "args" in match else "the same"
    used = str(one.uses) if one.max_uses is None else f"{one.uses} of {one.max_uses}"
    ends = "revoked" if one.revoked_at is not None else ago(one.expires_at, now)
    return one.id, text(one.tool, "bold"), calls, f"{one.scope} {one.scope_id}".strip(), one.granted_by, used, ends


@grants.command("create")
@unfolded
def create(
    call: Annotated[str, typer.Argument(help="A tool, or a question about a call of one (wp_…).", metavar="TOOL|ID")],
    match: Annotated[str | None, typer.Option(help='Which calls: {"args": {"path": {"prefix": "/tmp/"}}}.', metavar="JSON")] = None,
    reason: Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")] = None,
    by: By = None,
    as_json: Json = False,
    *,
    standing: Standing,
    connection: Connection,
) -> None:
    """Have a yes stand for calls to come."""
    from agentflow.app.grants import Always
    from agentflow.cli.start import read_json

    fits = None if match is None else read_json(match, "match", "Quote it for the shell.")[1]
    where, _, named = standing.scope.partition(":")
    wish: Any = {"scope": where, "expires": standing.expires, "max_uses": standing.max_uses}
    who = by or getuser()

    async def give(app: Agentflow) -> tuple[GrantRecord, int]:
        made = await app.grants.create(call, by=who, always=Always(**wish), scope_id=named or None, match=fits, reason=reason)
        return made, app.clock.now()

    made, now = ask(connection, give)
    if as_json:
        from agentflow.server.grants import grant_view

        return show_json(grant_view(made, now))
    say(text("✓ ") + text(made.id, "green") + text(f"  {made.tool}", "bold") + text(f"  ends {ago(made.expires_at, now)}", "dim"))


@grants.command("revoke")
@unfolded
def revoke(
    id: Annotated[str, typer.Argument(help="The grant (grant_…).", metavar="ID")],
    by: By = None,
    *,
    connection: Connection,
) -> None:
    """Take a grant back, at once."""
    gone = ask(connection, lambda app: app.grants.revoke(id, by=by or getuser()))
    say(text("✓ ") + text("revoked", "yellow") + text(f"  {gone.tool}", "bold") + text(f"  used {gone.uses} times", "dim"))
