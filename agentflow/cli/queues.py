"""`agentflow queues …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, say, show_json, span, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.queues import QueueStatus

queues = typer.Typer(no_args_is_help=True, help="Where runs wait for a worker.")
Name = Annotated[str, typer.Argument(help="The queue.", metavar="QUEUE")]
STATES = ("queued", "running", "waiting", "scheduled", "paused")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(queues, name="queues")


@queues.command("list")
@unfolded
def list_queues(as_json: Json = False, *, connection: Connection) -> None:
    """Queues: their runs by state, since when the oldest waits, and their limits."""
    found, now = ask(connection, _list)
    if as_json:
        from agentflow.server.queues import queue_view

        show_json([queue_view(one) for one in found])
    elif not found:
        say(text("No queue holds a run, and no worker serves one.", "dim"))
    else:
        titles = ("queue", ">workers", *(f">{state}" for state in STATES), ">oldest queued", "limits", "")
        say(table(titles, [_row(one, now) for one in found]))


async def _list(app: Agentflow) -> tuple[list[QueueStatus], int]:
    return await app.queues.list(), app.clock.now()


def _row(one: QueueStatus, now: int) -> tuple[Any, ...]:
    from agentflow.records import RunState

    counts = [one.count(RunState(state)) for state in STATES]
    return (
        one.name,
        text(len(one.workers), "" if one.workers else "red"),
        *(text(count or "·", "" if count else "dim") for count in counts),
        "" if one.oldest_queued_at is None else span(now - one.oldest_queued_at),
        text(_limits(one), "dim"),
        _held(one, now),
    )


def _limits(one: QueueStatus) -> str:
    record = one.record
    said = [
        (record.concurrency, "{} at once"),
        (record.key_concurrency, "{} of a key"),
        (one.rate, "{}"),
        (one.key_rate, "{} of a key"),
    ]
    return ", ".join(words.format(limit) for limit, words in said if limit is not None)


def _held(one: QueueStatus, now: int) -> Any:
    if one.record.paused_at is not None:
        return text(f"paused by {one.record.paused_by}, {ago(one.record.paused_at, now)}", "yellow")
    return text("full", "yellow") if one.full else ""


@queues.command("pause")
@unfolded
def pause(
    name: Name,
    by: Annotated[str | None, typer.Option(help="Who pauses it. [you]", metavar="NAME")] = None,
    *,
    connection: Connection,
) -> None:
    """Let no run of a queue begin or go on; what runs now runs on."""
    from getpass import getuser

    one = ask(connection, lambda app: app.queues.pause(name, by=by or getuser()))
    say(text("✓ ") + text("paused", "yellow") + text(f"  {one.name}", "dim"))


@queues.command("resume")
@unfolded
def resume(name: Name, *, connection: Connection) -> None:
    """Let a paused queue go on."""
    one = ask(connection, lambda app: app.queues.resume(name))
    say(text("✓ ") + text("goes on", "green") + text(f"  {one.name}", "dim"))
