"""`agentflow queues …`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import say, show_json, span, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow

queues = typer.Typer(no_args_is_help=True, help="Where runs wait for a worker.")
STATES = ("queued", "running", "waiting", "scheduled", "paused")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(queues, name="queues")


@queues.command("list")
@unfolded
def list_queues(as_json: Json = False, *, connection: Connection) -> None:
    """Queues: their runs by state, and since when the oldest waits."""
    found, now = ask(connection, _list)
    if as_json:
        show_json([{"name": name, **queue} for name, queue in found.items()])
    elif not found:
        say(text("No queue holds a run, and no worker serves one.", "dim"))
    else:
        titles = ("queue", ">workers", *(f">{state}" for state in STATES), ">oldest queued")
        say(table(titles, [_row(name, queue, now) for name, queue in found.items()]))


async def _list(app: Agentflow) -> tuple[dict[str, dict[str, Any]], int]:
    from agentflow.storage import workers
    from agentflow.storage.statements import SQL

    now = app.clock.now()
    found: defaultdict[str, dict[str, Any]] = defaultdict(lambda: {"workers": 0, **dict.fromkeys(STATES, 0), "oldest_queued_at": None})
    for one in await app.database.read(workers.everyone()):
        for name in one.queues if one.expires_at > now else ():
            found[name]["workers"] += 1
    for row in await app.database.fetch(SQL.runs.counts()):
        queue = found[row["queue"]]
        queue[row["state"]] = row["runs"]
        if row["state"] == "queued":
            queue["oldest_queued_at"] = row["oldest"] // 1_000
    return dict(sorted(found.items())), now


def _row(name: str, queue: dict[str, Any], now: int) -> tuple[Any, ...]:
    oldest = queue["oldest_queued_at"]
    serving = text(queue["workers"], "" if queue["workers"] else "red")
    return (
        name,
        serving,
        *(text(queue[state] or "·", "" if queue[state] else "dim") for state in STATES),
        "" if oldest is None else span(now - oldest * 1_000),
    )
