"""`agentflow doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import say, show_json, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.doctor import Finding

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


@unfolded
def doctor(as_json: Json = False, *, connection: Connection) -> None:
    """Say what is wrong, and what to do about it. Exits with 1 when something is."""
    found = ask(connection, _check)
    problems = [one for one in found if one.level == "problem"]
    if as_json:
        from dataclasses import asdict

        show_json([asdict(one) for one in found])
    else:
        for one in found:
            _tell(one)
        say("", text(f"{len(problems)} to mend.", "bold red") if problems else text("All is well.", "green"))
    raise typer.Exit(1 if problems else 0)


async def _check(app: Agentflow) -> list[Finding]:
    from agentflow.app.doctor import checkup

    return await checkup(app)


def _tell(one: Finding) -> None:
    mark, style = _MARKS[one.level]
    say(text(f"{mark} ", style) + text(one.message, "" if one.level == "ok" else style))
    if one.hint:
        say(text(f"  {one.hint}"))
    if difference := one.details.get("difference"):
        for name in ("recorded", "asked"):
            say(text(f"  {name:<9}", "dim") + text(json.dumps(difference.get(name)), "dim"))
    if one.runs:
        say(text(f"  {' '.join(one.runs[:3])}{' …' if len(one.runs) > 3 else ''}", "dim"))
