"""`agentflow server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Listening, unfolded
from agentflow.cli.worker import Target, log_to_screen, prepare

if TYPE_CHECKING:
    from agentflow.cli.loading import Loaded
    from agentflow.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("server")(server)


@unfolded
def server(target: Target = None, *, listening: Listening, connection: Connection) -> None:
    """Serve the HTTP API of an app; workers do the work."""
    settings, loaded = prepare(target, {**listening.given(), **connection.given()}, works=False)
    log_to_screen()
    run(listen("server", loaded, settings))


async def listen(what: str, loaded: Loaded, settings: Settings) -> None:
    """Serve, and work if the app works, until a signal says stop."""
    import asyncio

    from agentflow.cli.greeting import goodbye, greet, tell_end
    from agentflow.cli.resident import settle
    from agentflow.cli.signals import on_first_signal
    from agentflow.server import serve

    settling: list[asyncio.Task[None]] = []

    def ready(url: str) -> None:
        settling.append(asyncio.ensure_future(settle(loaded.app)))
        greet(what, loaded, url)
        on_first_signal(lambda: goodbye(loaded.app))
        if loaded.app.worker is not None:
            loaded.app.worker.on_ended(tell_end)

    origins = settings.cors_origins
    await serve(loaded.app, settings.host, settings.port, api_key=settings.api_key, cors_origins=origins, ready=ready)
