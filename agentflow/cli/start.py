"""`agentflow start`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import complain, show_json, text, whisper
from agentflow.errors import AgentflowError, InvalidPayload

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.records import RunRecord


@dataclass(frozen=True, slots=True)
class How:
    """How a run starts."""

    delay: Annotated[str | None, typer.Option(help="Start it later: 30s, 5m, 2h, 3d.", metavar="DURATION")] = None
    ttl: Annotated[str | None, typer.Option(help="Give it up when it did not start by then.", metavar="DURATION")] = None
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be given more than once.", metavar="TAG")] = None
    key: Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same run.", metavar="KEY")] = None
    dedupe_key: Annotated[str | None, typer.Option(help="No second run of this key while one is active.", metavar="KEY")] = None
    priority: Annotated[int | None, typer.Option(help="How many seconds of others' waiting it may overtake.", metavar="SECONDS")] = None
    weight: Annotated[int | None, typer.Option(help="What its start counts in the rate of its queue.", min=1, metavar="N")] = None
    concurrency_key: Annotated[str | None, typer.Option(help="The key, a tenant say, that its queue limits.", metavar="KEY")] = None
    debounce: Annotated[str | None, typer.Option(help="Starts of this key that come close after each other are one.", metavar="KEY")] = None
    quiet: Annotated[str, typer.Option(help="With --debounce: how long it must be quiet.", metavar="DURATION")] = "5s"
    max_delay: Annotated[str, typer.Option(help="With --debounce: when it starts at the latest.", metavar="DURATION")] = "1h"
    leading: Annotated[bool, typer.Option("--leading", help="With --debounce: keep the first payload, not the last.")] = False

    def options(self) -> dict[str, Any]:
        """What was said, as `Task.using` takes it."""
        said = {
            "delay": self.delay,
            "ttl": self.ttl,
            "tags": self.tag,
            "idempotency_key": self.key,
            "dedupe_key": self.dedupe_key,
            "priority": self.priority,
            "weight": self.weight,
            "concurrency_key": self.concurrency_key,
            "debounce": self._debounce(),
        }
        return {name: value for name, value in said.items() if value}

    def _debounce(self) -> dict[str, str] | None:
        if self.debounce is None:
            return None
        mode = "leading" if self.leading else "trailing"
        return {"key": self.debounce, "delay": self.quiet, "max_delay": self.max_delay, "mode": mode}


@dataclass(frozen=True, slots=True)
class Then:
    """What to do once it is started."""

    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result and print it.")] = False
    tail: Annotated[bool, typer.Option("--tail", help="Follow the run until it ends.")] = False
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("start")(start)


@unfolded
def start(
    task: Annotated[str, typer.Argument(help="The name of the task or agent.", metavar="TASK")],
    payload: Annotated[str, typer.Option(help="Its arguments: a JSON object, @file, or - for stdin.", metavar="JSON")] = "{}",
    *,
    how: How,
    then: Then,
    connection: Connection,
) -> None:
    """Start a run; prints its id."""
    given = read_payload(payload)
    code = ask(connection, lambda app: _start(app, task, given, how, then))
    raise typer.Exit(code)


async def _start(app: Agentflow, task: str, payload: str, how: How, then: Then) -> int:
    from agentflow.app.doctor import stuck
    from agentflow.cli.following import follow

    run = await app.start_json(task, payload, how.options())
    if then.tail:
        whisper(run.id)
        return 0 if await follow(app, run.id) else 1
    if not then.as_json and not then.wait:
        typer.echo(run.id)
    for finding in await stuck(app, run.id):
        whisper(text(f"! {finding.message} {finding.hint}", "yellow"))
    if then.wait:
        return _show_end(await app.runs.ended(run.id), as_json=then.as_json)
    if then.as_json:
        show_json(_view(await run.get()))
    return 0


def _show_end(run: RunRecord, *, as_json: bool) -> int:
    from agentflow.handle import outcome
    from agentflow.serde import ANY

    if as_json:
        show_json(_view(run))
        return 0 if run.state == "completed" else 1
    try:
        show_json(outcome(run, ANY))
    except AgentflowError as error:
        complain(error)
        return 1
    return 0


def _view(run: RunRecord) -> Any:
    from agentflow.server.views import run_detail

    return run_detail(run, [], None)


def read_payload(given: str) -> str:
    """The JSON text of a payload, from an argument, a file or stdin. Raises `InvalidPayload` unless it is one object."""
    words, value = read_json(given, "payload", """Quote it for the shell: --payload '{"order": "o-1"}'.""")
    if not isinstance(value, dict):
        raise InvalidPayload("The payload is not a JSON object.", hint="""It has an entry per argument: --payload '{"order": "o-1"}'.""")
    return words


def read_json(given: str, what: str, hint: str) -> tuple[str, Any]:
    """JSON text and its value, from an argument, `@file` or `-` for stdin. Raises `InvalidPayload`."""
    import json

    try:
        words = sys.stdin.read() if given == "-" else Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        return words, json.loads(words)
    except OSError as error:
        raise InvalidPayload(f"{given[1:]} cannot be read: {error.strerror}.", hint=f"Name a file with the {what} as JSON.") from error
    except ValueError as error:
        raise InvalidPayload(f"The {what} is not JSON: {error}.", hint=hint) from error
