"""`agentflow approvals link`."""

from __future__ import annotations

from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from agentflow.cli.approvals import approvals
from agentflow.cli.asked import Id, find
from agentflow.cli.deciding import By
from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, say, show_json, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.linking import ReviewLink


def add_to(app: typer.Typer) -> None:
    """Nothing: the command is one of `approvals`."""


@approvals.command("link")
@unfolded
def link(
    id: Id,
    actor: Annotated[str, typer.Option(help="Who decides with it.", metavar="NAME")],
    expires: Annotated[str, typer.Option(help="For how long it is good, like 8h or 7d.", metavar="TIME")] = "7d",
    replace: Annotated[bool, typer.Option("--replace", help="Close the links that they were given before.")] = False,
    by: By = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Make a link with which one person decides in a browser. It is shown once: whoever has it decides as them."""
    made, now = ask(connection, lambda app: _made(app, id, actor, expires, replace, by or getuser()))
    if as_json:
        return show_json({"id": made.id, "path": made.path, "url": made.server and made.url, "expires_at": made.expires_at // 1_000})
    say(text(made.path if made.server is None else made.url, "cyan"))
    unplaced = "; put the address of your server before it, or set AGENTFLOW_PUBLIC_URL" if made.server is None else ""
    say(text(f"for {made.actor}, ends {ago(made.expires_at, now)}{unplaced}", "dim"))


async def _made(app: Agentflow, id: str, actor: str, expires: str, replace: bool, by: str) -> tuple[ReviewLink, int]:
    one = await find(app, id)
    return await app.waitpoints.link(one.id, actor=actor, expires=expires, replace=replace, by=by), app.clock.now()
