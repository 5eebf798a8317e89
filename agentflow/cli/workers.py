"""`agentflow workers …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, colour, say, show_json, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.workers import Listed
    from agentflow.records import WorkerRecord

workers = typer.Typer(help="Worker processes: see who works on what, and have one leave.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(workers, name="workers")


@workers.callback(invoke_without_command=True)
@unfolded
def list_workers(ctx: typer.Context, as_json: Json = False, *, connection: Connection) -> None:
    """Worker processes: whether they live, what they serve, how many runs they hold, when they last asked for more."""
    if ctx.invoked_subcommand is not None:
        return
    found, now = ask(connection, _list)
    if as_json:
        from agentflow.server.views import worker_view

        show_json([worker_view(one.worker, one.runs, now).model_dump(mode="json") for one in found])
    elif not found:
        say(text("No worker. Start one: agentflow worker app.py", "dim"))
    else:
        columns = ("worker", "state", "host", ">pid", ">runs", ">slots", "since", "claimed", "queues", "tasks")
        say(table(columns, [_row(one, now) for one in found]))


async def _list(app: Agentflow) -> tuple[list[Listed], int]:
    return await app.workers.list(), app.clock.now()


def _row(listed: Listed, now: int) -> tuple[object, ...]:
    one = listed.worker
    state = one.state if one.expires_at > now else "dead"
    times = ago(one.started_at, now), ago(one.claimed_at, now)
    return one.id, colour(state), one.host, one.pid, listed.runs, one.slots, *times, ", ".join(one.queues), _tasks(one)


def _tasks(one: WorkerRecord) -> str:
    return ", ".join(f"{name}@{'|'.join(versions)}" if versions else name for name, versions in one.served.items())


@workers.command("drain")
@unfolded
def drain(id: Annotated[str, typer.Argument(help="The worker (worker_…).", metavar="WORKER")], *, connection: Connection) -> None:
    """Have a worker take no more runs, finish or hand back those it has, and leave: its process exits with 0."""
    one = ask(connection, lambda app: app.workers.drain(id))
    say(text("… ") + text("told to take no more runs, and to leave", "yellow") + text(f"  {one.id} ({one.host}, pid {one.pid})", "dim"))
