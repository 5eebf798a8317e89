"""`agentflow dev`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Listening, Working, unfolded
from agentflow.cli.server import listen
from agentflow.cli.worker import Target, log_to_screen, prepare

if TYPE_CHECKING:
    from agentflow.cli.loading import Loaded
    from agentflow.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dev")(dev)


def as_development(settings: Settings, loaded: Loaded) -> None:
    """The prompts of the environment `dev` hold here, unless somebody says otherwise."""
    from agentflow.engine.host import ENVIRONMENT

    if settings.environment is None and loaded.app.environment == ENVIRONMENT:
        loaded.app.configure(environment="dev")


@unfolded
def dev(target: Target = None, *, listening: Listening, working: Working, connection: Connection) -> None:
    """Serve and work in one process."""
    settings, loaded = prepare(target, {**listening.given(), **working.given(), **connection.given()}, works=True)
    as_development(settings, loaded)
    log_to_screen()
    run(listen("dev", loaded, settings))
