"""`agentflow runs …`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, colour, say, show_json, span, table, text
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.records import RunRecord

runs = typer.Typer(no_args_is_help=True, help="Look at runs, follow and stop them.")
Id = Annotated[str, typer.Argument(help="The run (run_…).", metavar="RUN")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(runs, name="runs")


@dataclass(frozen=True, slots=True)
class Which:
    """Which runs to list."""

    task: Annotated[str | None, typer.Option(help="Only of this task.", metavar="TASK")] = None
    status: Annotated[str | None, typer.Option(help="Only in this state: running, waiting, failed …", metavar="STATE")] = None
    tag: Annotated[str | None, typer.Option(help="Only with this tag.", metavar="TAG")] = None
    parent: Annotated[str | None, typer.Option(help="Only the children of this run.", metavar="RUN")] = None
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, metavar="N")] = 20


@runs.command("list")
@unfolded
def list_runs(*, which: Which, as_json: Json = False, connection: Connection) -> None:
    """Runs, newest first."""
    found, now = ask(connection, lambda app: _list(app, which))
    if as_json:
        from agentflow.server.views import run_view

        show_json([run_view(one) for one in found])
    elif not found:
        say(text("No runs.", "dim"))
    else:
        say(table(("run", "task", "state", "created", ">worked", "note"), [_row(one, now) for one in found]))


async def _list(app: Agentflow, which: Which) -> tuple[list[RunRecord], int]:
    status = _state(which.status)
    found = await app.runs.list(task=which.task, status=status, tag=which.tag, parent=which.parent, limit=which.limit)
    return found, app.clock.now()


def _state(word: str | None) -> Any:
    from agentflow.records import RunState

    if word is not None and word not in set(RunState):
        raise ConfigurationError(f"{word!r} is no state of a run.", hint=f"One of {', '.join(RunState)}.")
    return word


def _row(one: RunRecord, now: int) -> tuple[Any, ...]:
    return one.id, text(one.task, "bold"), colour(one.state.value), ago(one.created_at, now), span(one.active), text(_note(one), "dim")


def _note(one: RunRecord) -> str:
    from agentflow.serde import decode_failure

    if one.state.terminal or one.state == "paused":
        return decode_failure(one.error).message.partition("\n")[0] if one.error else ""
    return one.note or ""


@runs.command("show")
@unfolded
def show_run(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """One run, with its record and what it waits for."""
    from agentflow.cli.portrait import draw, look, view

    seen = ask(connection, lambda app: look(app, id))
    if as_json:
        show_json(view(seen))
    else:
        draw(seen)


@runs.command("tail")
@unfolded
def tail(id: Id, *, connection: Connection) -> None:
    """Follow a run until it ends.

    Steps, thoughts, text, tool calls and approvals as they come. Exits with 0 when it completes, else with 1.
    """
    from agentflow.cli.following import follow

    raise typer.Exit(0 if ask(connection, lambda app: follow(app, id)) else 1)


@runs.command("cancel")
@unfolded
def cancel(
    id: Id,
    reason: Annotated[str, typer.Option(help="Why; the run and its readers are told.", metavar="TEXT")] = "cancelled by an operator",
    *,
    connection: Connection,
) -> None:
    """Ask a run and its children to stop."""
    run = ask(connection, lambda app: app.runs.cancel(id, reason))
    done = run.state.terminal
    say(
        text("✓ " if done else "… ")
        + (colour(run.state.value) if done else text("told to stop, and given time to clean up", "yellow"))
        + text(f"  {id}", "dim")
    )


@runs.command("resume")
@unfolded
def resume(
    id: Id,
    rerun: Annotated[
        bool | None,
        typer.Option("--rerun/--continue", help="From the step that differs again, or with the record as it is.", show_default=False),
    ] = None,
    *,
    connection: Connection,
) -> None:
    """Let a paused run go on."""
    if rerun is None:
        raise ConfigurationError(
            "How shall it go on?", hint="Say --continue to keep the record, or --rerun to run again from the step that differs."
        )
    run = ask(connection, lambda app: app.runs.resume(id, rerun=rerun))
    say(text("✓ ") + colour(run.state.value) + text(f"  {run.id}", "dim"))


@runs.command("revive")
@unfolded
def revive(id: Id, *, connection: Connection) -> None:
    """Take a failed run up again.

    That is a new run with its input and its record. Prints the new id.
    """
    typer.echo(ask(connection, lambda app: app.runs.revive(id)).id)
