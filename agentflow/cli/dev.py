"""`agentflow dev`."""

from __future__ import annotations

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Listening, Working, unfolded
from agentflow.cli.server import listen
from agentflow.cli.worker import Target, log_to_screen, prepare


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dev")(dev)


@unfolded
def dev(target: Target = None, *, listening: Listening, working: Working, connection: Connection) -> None:
    """Serve and work in one process."""
    settings, loaded = prepare(target, {**listening.given(), **working.given(), **connection.given()}, works=True)
    log_to_screen()
    run(listen("dev", loaded, settings))
