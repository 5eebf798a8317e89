"""`agentflow workers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, colour, say, show_json, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.records import WorkerRecord


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("workers")(list_workers)


@unfolded
def list_workers(as_json: Json = False, *, connection: Connection) -> None:
    """Worker processes, and whether they live."""
    found, now = ask(connection, _list)
    if as_json:
        show_json([_view(one, held, now) for one, held in found])
    elif not found:
        say(text("No worker. Start one: agentflow worker app.py", "dim"))
    else:
        say(
            table(
                ("worker", "state", "host", ">pid", ">runs", ">slots", "started", "queues"), [_row(one, held, now) for one, held in found]
            )
        )


async def _list(app: Agentflow) -> tuple[list[tuple[WorkerRecord, int]], int]:
    from agentflow.storage import workers

    known = await app.database.read(workers.everyone())
    return [(one, len(await app.database.read(workers.held_by(one.id, one.slots)))) for one in known], app.clock.now()


def _row(one: WorkerRecord, held: int, now: int) -> tuple[object, ...]:
    state = one.state if one.expires_at > now else "dead"
    return one.id, colour(state), one.host, one.pid, held, one.slots, ago(one.started_at, now), ", ".join(one.queues)


def _view(one: WorkerRecord, held: int, now: int) -> dict[str, object]:
    return {
        "id": one.id,
        "host": one.host,
        "pid": one.pid,
        "runs": held,
        "slots": one.slots,
        "state": one.state,
        "live": one.expires_at > now,
        "queues": one.queues,
        "tasks": one.tasks,
        "started_at": one.started_at // 1_000,
        "claimed_at": one.claimed_at // 1_000,
        "expires_at": one.expires_at // 1_000,
    }
