"""`agentflow`: the commands, and how their errors are told."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentflow.cli import (
    approvals,
    audit,
    dev,
    doctor,
    grants,
    linking,
    mcp,
    migrate,
    prompts,
    queues,
    runs,
    server,
    start,
    threads,
    worker,
    workers,
)
from agentflow.cli.screen import complain
from agentflow.errors import AgentflowError


class Commands(TyperGroup):
    """The commands. An error of ours is a message and what to do next, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except AgentflowError as error:
            raise typer.Exit(complain(error)) from None


app = typer.Typer(
    name="agentflow",
    cls=Commands,
    help="Durable AI agents in plain Python.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (
    dev,
    server,
    worker,
    mcp,
    start,
    runs,
    threads,
    approvals,
    linking,
    grants,
    audit,
    prompts,
    queues,
    workers,
    doctor,
    migrate,
):
    module.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"agentflow {version('agentflow')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")] = False,
) -> None:
    """Durable AI agents in plain Python."""


def main() -> None:
    """The program."""
    app()


if __name__ == "__main__":
    sys.exit(app())
