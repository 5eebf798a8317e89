"""`agentflow runs …`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.deciding import who
from agentflow.cli.opening import ask, run
from agentflow.cli.options import Connection, Json, Remote, unfolded
from agentflow.cli.screen import ago, colour, say, show_json, span, table, text
from agentflow.cli.start import read_json, read_payload
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.moving import Moved
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
def tail(id: Id, *, remote: Remote, connection: Connection) -> None:
    """Follow a run until it ends.

    Steps, thoughts, text, tool calls and approvals as they come; with --url over HTTP, from anywhere. Exits with 0 when it completes, else
    with 1.
    """
    from agentflow.cli.following import follow, follow_over_http
    from agentflow.settings import find_settings

    settings = find_settings(remote.given())
    if settings.url is not None:
        completed = run(follow_over_http(settings.url, settings.api_key, id))
    else:
        completed = ask(connection, lambda app: follow(app, id))
    raise typer.Exit(0 if completed else 1)


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


@runs.command("send")
@unfolded
def send(
    id: Id,
    name: Annotated[str, typer.Argument(help="The input stream.", metavar="NAME")],
    message: Annotated[str, typer.Argument(help="A JSON value, @file, or - for stdin.", metavar="JSON")],
    key: Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same message.", metavar="KEY")] = None,
    by: Annotated[str | None, typer.Option(help="Who sends it. [you]", metavar="NAME", show_default=False)] = None,
    *,
    connection: Connection,
) -> None:
    """Send a message into a run that is at work or waits.

    It is kept until the run receives it. Prints its number in its stream.
    """
    _, value = read_json(message, "message", """Quote it for the shell: '{"text": "hello"}', or '"hello"'.""")
    typer.echo(ask(connection, lambda app: app.runs.send(id, name, value, idempotency_key=key, sent_by=who(by).name)))


@runs.command("delete")
@unfolded
def delete(id: Id, *, connection: Connection) -> None:
    """Delete a run that has ended, with all it has recorded."""
    ask(connection, lambda app: app.runs.delete(id))
    say(text("✓ deleted") + text(f"  {id}", "dim"))


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


@runs.command("reschedule")
@unfolded
def reschedule(
    id: Id,
    delay: Annotated[str | None, typer.Option(help="From now: 30s, 5m, 2h, 3d.", metavar="DURATION")] = None,
    at: Annotated[str | None, typer.Option(help="A moment, 2027-01-01T09:00+01:00; without a zone it is UTC.", metavar="TIME")] = None,
    payload: Annotated[str | None, typer.Option(help="Another payload: a JSON object, @file, or - for stdin.", metavar="JSON")] = None,
    *,
    connection: Connection,
) -> None:
    """Let a delayed run start at another time."""
    from agentflow.serde import loads

    given = None if payload is None else loads(read_payload(payload))
    when = _moment(at)
    run = ask(connection, lambda app: app.runs.reschedule(id, delay=delay, at=when, payload=given))
    say(text("✓ ") + colour(run.state.value) + text(f"  {run.id}", "dim"))


def _moment(said: str | None) -> datetime | None:
    try:
        return None if said is None else datetime.fromisoformat(said)
    except ValueError:
        raise ConfigurationError(f"{said!r} is no moment.", hint="Write it like 2027-01-01T09:00+01:00.") from None


@runs.command("revive")
@unfolded
def revive(id: Id, *, connection: Connection) -> None:
    """Take a failed run up again.

    That is a new run with its input and its record. Prints the new id.
    """
    typer.echo(ask(connection, lambda app: app.runs.revive(id)).id)


@dataclass(frozen=True, slots=True)
class Move:
    """Which runs are moved, and to what."""

    to: Annotated[str | None, typer.Option(help="The version whose code is to take them.", metavar="VERSION")] = None
    to_any: Annotated[bool, typer.Option("--to-any", help="Whatever code the task has is to take them.")] = False
    task: Annotated[str | None, typer.Option(help="All active runs of this task that have the version of --from.", metavar="TASK")] = None
    version: Annotated[str | None, typer.Option("--from", help="The version that they have now.", metavar="VERSION")] = None
    force: Annotated[bool, typer.Option("--force", help="Also to a version that no worker has ever had.")] = False


@runs.command("move")
@unfolded
def move(
    id: Annotated[str | None, typer.Argument(help="The run (run_…).", metavar="[RUN]", show_default=False)] = None,
    *,
    given: Move,
    connection: Connection,
) -> None:
    """Move runs to another version of their code.

    One run, or with --task and --from all active ones of a version. A run that is at work goes on as it is, and moves at its next lease.
    """
    if (given.to is None) is not given.to_any:
        raise ConfigurationError("To which version?", hint="Say --to 2, or --to-any for whatever code the task has.")
    if (id is None) is (given.task is None) or (given.task is None) is not (given.version is None):
        raise ConfigurationError("Which runs?", hint="Name one run, or say --task and --from for all of a version.")
    moved = ask(connection, lambda app: _move(app, id, given))
    say(text(f"✓ {moved.runs} moved"))
    if moved.warning:
        say(text(f"! {moved.warning}", "yellow"))


async def _move(app: Agentflow, id: str | None, given: Move) -> Moved:
    if id is not None:
        return await app.runs.move(id, to=given.to, force=given.force)
    return await app.runs.move_all(task=given.task or "", version=given.version or "", to=given.to, force=given.force)
