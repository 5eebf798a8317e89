"""`agentflow mcp`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Listening, Working, unfolded
from agentflow.cli.worker import Target, log_to_screen, prepare
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.settings import Settings

Http = Annotated[bool, typer.Option("--http", help="Serve clients over streamable HTTP at /mcp, in place of the one at stdin and stdout.")]
Wait = Annotated[str, typer.Option(help="How long a call waits for the end of its run.", metavar="TIME")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(mcp)


@unfolded
def mcp(
    target: Target = None, *, http: Http = False, wait: Wait = "45s", listening: Listening, working: Working, connection: Connection
) -> None:
    """Serve tasks and agents as tools of an MCP server, and do their work.

    A call starts a run. One that takes longer than --wait goes on: its client is told its id, and asks `get_run` for the result. Runs
    survive the server.
    """
    # What the user's modules print when they are loaded is no message of the protocol.
    with redirect_stdout(sys.stderr):
        settings, loaded = prepare(target, {**listening.given(), **working.given(), **connection.given()}, works=True)
    log_to_screen()
    try:
        import_module("agentflow.server.mcp.serving")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"agentflow mcp needs the package {error.name!r}.", hint="pip install 'agentflow[mcp]'") from error
    run(_over_http(loaded.app, settings, wait) if http else _over_stdio(loaded.app, wait))


async def _over_http(app: Agentflow, settings: Settings, wait: str) -> None:
    from agentflow.cli.screen import say, text
    from agentflow.server.mcp.serving import serve_http

    def ready(url: str) -> None:
        say(text("  mcp       ", "dim") + text(url, "cyan"), text("  stop      ", "dim") + text("Ctrl+C", "cyan"))

    await serve_http(app, settings.host, settings.port, api_key=settings.api_key, wait=wait, ready=ready)


async def _over_stdio(app: Agentflow, wait: str) -> None:
    import asyncio
    import os

    from agentflow.cli.signals import stopping
    from agentflow.server.mcp.serving import serve_stdio

    with stopping(lambda: None) as stop:
        serving = asyncio.ensure_future(serve_stdio(app, wait=wait))
        asked = asyncio.ensure_future(stop.asked.wait())
        await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await app.close()
            # A thread reads stdin, and nothing but the client can end that.
            os._exit(0)
        asked.cancel()
        serving.result()
