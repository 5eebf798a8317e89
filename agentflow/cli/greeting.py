"""What a process that works or serves says when it is up, and when it goes."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from agentflow.cli.screen import clock_time, colour, say, short, span, table, text
from agentflow.clock import SECOND

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.cli.loading import Loaded
    from agentflow.engine.task import Task
    from agentflow.records import RunRecord


_PLACES: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
"""What stands for a value in a suggestion: one of its type, so that it can be tried as it is."""


def greet(what: str, loaded: Loaded, url: str | None = None, processes: int = 1) -> None:
    """Say what this process is, what it knows, where it keeps things, and what to try first."""
    from agentflow.dashboard import BUILD, bundle
    from agentflow.settings import shown

    app = loaded.app
    say("", text("agentflow", "bold cyan") + text(f" {what}", "bold") + text(f"  {version('agentflow')}", "dim"), "")
    facts = [("app", text(loaded.target))]
    if url is not None:
        facts += [("server", text(url, "cyan")), ("", text(f"{url}/v1/openapi.json", "dim"))]
        page = text(f"not built in this checkout: {BUILD}", "yellow") if bundle() is None else text(f"{url}/", "bold cyan")
        facts.append(("dashboard", page))
    streams = shown(app.redis_url) if app.redis_url else f"embedded in {app.directory}"
    facts += [("database", text(shown(app.database_url))), ("streams", text(streams))]
    if processes > 1:
        facts.append(("worker", text(f"{processes} processes, this one looks after them") + text(f"  pid {os.getpid()}", "dim")))
    elif app.worker is not None:
        work = f"{app.worker.settings.slots} runs at once, queues {', '.join(app.worker.queues)}"
        facts.append(("worker", text(work) + text(f"  {app.worker.id}", "dim")))
    for name, fact in facts:
        say(text(f"  {name:<9} ", "dim") + fact)
    say("", table(("  task", "", ""), [_row(one) for one in sorted(app.tasks.values(), key=lambda one: one.name)]), "")
    _hint(app)


def greet_briefly(member: int, loaded: Loaded) -> None:
    """Say that one of several processes is up."""
    worker = loaded.app.worker
    say(text(f"  process {member} is up", "dim") + text(f"  pid {os.getpid()}  {'' if worker is None else worker.id}", "dim"))


def _row(task: Task[..., Any]) -> tuple[Any, ...]:
    return text(f"  {task.name}", "bold"), text(signature(task), "cyan"), text(task.description.partition("\n")[0], "dim")


def signature(task: Task[..., Any]) -> str:
    """The arguments of a task, as they are written."""
    names = task.payload.signature.parameters.values()
    return f"({', '.join(one.name + ('' if one.default is one.empty else '=…') for one in names)})"


def _hint(app: Agentflow) -> None:
    first = min(app.tasks.values(), key=lambda one: (one.kind != "agent", one.name))
    kinds = {name: one.get("type") for name, one in first.payload.schema.get("properties", {}).items()}
    asked = [one.name for one in first.payload.signature.parameters.values() if one.default is one.empty]
    needed = {name: _PLACES.get(kinds.get(name) or "", "…") for name in asked}
    say(text("  try       ", "dim") + text(f"agentflow start {first.name} --payload '{short(needed)}' --tail", "cyan"))
    say(text("  stop      ", "dim") + text("Ctrl+C", "cyan"), "")


def tell_end(run: RunRecord) -> None:
    """Say that a run has ended."""
    at = clock_time((run.finished_at or 0) // 1_000)
    say(
        text(f"{at}  ", "dim")
        + colour(run.state.value)
        + text(f"  {run.task}", "bold")
        + text(f"  {run.id}  worked {span(run.active)}", "dim")
    )


def goodbye(app: Agentflow) -> None:
    """Say that the process stops, and what it still waits for."""
    settings = app.settings
    if settings is None:
        say(text("Stopping.", "dim"))
        return
    patience = settings.drain // SECOND
    say(text(f"Stopping: running steps get {patience} s, then their runs go back to the queue. Once more ends at once.", "yellow"))
