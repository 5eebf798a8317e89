"""`agentflow threads …`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, colour, say, show_json, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.records import MessageRecord, RunRecord, ThreadRecord

threads = typer.Typer(no_args_is_help=True, help="Conversations of many runs.")
Id = Annotated[str, typer.Argument(help="The thread.", metavar="THREAD")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(threads, name="threads")


@threads.command("list")
@unfolded
def list_threads(
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, metavar="N")] = 20,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Conversations, the one that something happened in last first."""
    found, now = ask(connection, lambda app: _list(app, limit))
    if as_json:
        from agentflow.server.threads import thread_view

        show_json([thread_view(one) for one in found])
    elif not found:
        say(text("No threads.", "dim"))
    else:
        rows = [(one.id, text(one.agent, "bold"), one.turns, one.messages, ago(one.touched_at, now)) for one in found]
        say(table(("thread", "agent", ">turns", ">messages", "touched"), rows))


async def _list(app: Agentflow, limit: int) -> tuple[list[ThreadRecord], int]:
    return await app.threads.list(limit=limit), app.clock.now()


@threads.command("show")
@unfolded
def show_thread(id: Id, as_json: Json = False, *, connection: Connection) -> None:
    """What was said in a conversation, and whose turn it is."""
    said, active = ask(connection, lambda app: _read(app, id))
    if as_json:
        from agentflow.serde import loads

        messages = [{"seq": one.seq, "run": one.run_id, "message": loads(one.body)} for one in said]
        show_json({"id": id, "active_run": None if active is None else active.id, "messages": messages})
        return
    say(table((">", "", ""), [row for one in said for row in _rows(one)]))
    if active is not None:
        say(text(f"{active.id} ", "dim") + colour(active.state.value))


async def _read(app: Agentflow, id: str) -> tuple[list[MessageRecord], RunRecord | None]:
    known = await app.threads.get(id)
    return await app.threads.said(id, 0, known.messages), await app.thread(id).active()


def _rows(one: MessageRecord) -> Iterator[tuple[Any, ...]]:
    from agentflow.serde import loads

    for part in loads(one.body)["parts"]:
        who, words = _said(part)
        if words:
            yield text(one.seq, "dim"), text(who, "bold"), words


def _said(part: Mapping[str, Any]) -> tuple[str, str]:
    match part["part_kind"]:
        case "user-prompt":
            return "user", str(part["content"])
        case "text":
            return "agent", str(part["content"])
        case "tool-call":
            return "call", f"{part['tool_name']} {part['args'] or ''}"
        case "tool-return":
            return "result", str(part["content"])
        case kind:
            return kind, ""


@threads.command("stop")
@unfolded
def stop_thread(
    id: Id,
    run: Annotated[str | None, typer.Option(help="The run that is meant; one that has ended is left as it is.", metavar="RUN")] = None,
    reason: Annotated[str, typer.Option(help="Why; the run and its readers are told.", metavar="TEXT")] = "stopped by an operator",
    *,
    connection: Connection,
) -> None:
    """End the turn that is under way; the next message has its turn."""
    stopped = ask(connection, lambda app: app.thread(id).stop(run=run, reason=reason))
    if stopped is None:
        say(text("Nobody is at work.", "dim"))
    else:
        say(text("✓ ") + text("stops", "yellow") + text(f"  {stopped.id}", "dim"))
