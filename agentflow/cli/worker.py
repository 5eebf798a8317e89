"""`agentflow worker`, and what every process that works has in common."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Working, unfolded

if TYPE_CHECKING:
    from agentflow.cli.loading import Loaded
    from agentflow.cli.signals import Stopping
    from agentflow.settings import Settings

Target = Annotated[
    str | None, typer.Argument(help="A file, a module, or module:name of an Agentflow.", metavar="[APP]", show_default=False)
]

Processes = Annotated[
    int | None, typer.Option(help="How many processes work, each with its own --concurrency. [1]", metavar="N", show_default=False)
]
Member = Annotated[int | None, typer.Option(help="The number of this process among those that one process looks after.", hidden=True)]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


@unfolded
def worker(target: Target = None, *, working: Working, connection: Connection, processes: Processes = None, member: Member = None) -> None:
    """Take queued runs of an app, until told to stop.

    SIGTERM and Ctrl+C drain: no more runs are taken, running steps get 25 s, the rest goes back to its queue. A second signal ends at once.
    An operator has it drain and end with `agentflow workers drain`. With --processes, one process looks after as many that work: it passes
    signals on, and starts another for one that died.
    """
    given = {**working.given(), **connection.given()}
    settings, loaded = prepare(target, {**given, "processes": processes}, works=True)
    log_to_screen()
    if settings.processes > 1:
        raise typer.Exit(run(_look_after(loaded, settings, given)))
    raise typer.Exit(run(_work(loaded, settings, member)))


def prepare(target: str | None, given: dict[str, Any], *, works: bool) -> tuple[Settings, Loaded]:
    """Load an app and set it up as the command line, the environment and pyproject.toml say; what its code says stands, but for flags."""
    from agentflow.cli.loading import load
    from agentflow.settings import find_settings

    settings = find_settings({"app": target, **given})
    loaded = load(settings.app)
    named = ("database", "redis", "directory", "retention")
    said = given if loaded.made else {name: getattr(settings, name) for name in named}
    loaded.app.configure(
        database=said.get("database"),
        redis=said.get("redis"),
        directory=said.get("directory"),
        retention=said.get("retention"),
        worker=_work_settings(loaded, settings, given) if works else False,
    )
    return settings, loaded


def _work_settings(loaded: Loaded, settings: Settings, given: dict[str, Any]) -> Any:
    from dataclasses import replace

    from agentflow.engine.worker import WorkerSettings

    own = loaded.app.settings if loaded.made else None
    if own is None:
        return WorkerSettings(slots=settings.concurrency, queues=settings.queues)
    slots = settings.concurrency if given.get("concurrency") else own.slots
    return replace(own, slots=slots, queues=settings.queues if given.get("queues") else own.queues)


async def _work(loaded: Loaded, settings: Settings, member: int | None) -> int:
    import asyncio

    from agentflow.cli.greeting import goodbye, greet, greet_briefly
    from agentflow.cli.processes import DRAINED, depend_on_supervisor
    from agentflow.cli.resident import settle
    from agentflow.cli.signals import stopping

    with stopping(lambda: None if member else goodbye(loaded.app)) as stop:
        if member:
            depend_on_supervisor()
        async with loaded.app:
            settling = asyncio.ensure_future(settle(loaded.app))
            if member:
                greet_briefly(member, loaded)
            else:
                greet("worker", loaded)
            drained = await _told_to_leave(loaded, stop)
            settling.cancel()
    return DRAINED if drained and member else 0


async def _told_to_leave(loaded: Loaded, stop: Stopping) -> bool:
    """Wait until the process is to end; whether it was an operator who had its worker leave."""
    import asyncio

    worker = loaded.app.worker
    told = [asyncio.ensure_future(stop.asked.wait())]
    if worker is not None:
        told.append(asyncio.ensure_future(worker.leaving.asked.wait()))
    await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
    for one in told:
        one.cancel()
    if stop.asked.is_set():
        return False
    logging.getLogger("agentflow.cli").warning("an operator has this worker leave")
    return True


async def _look_after(loaded: Loaded, settings: Settings, given: dict[str, Any]) -> int:
    from agentflow.cli.greeting import goodbye, greet
    from agentflow.cli.processes import look_after, member_command

    greet("worker", loaded, processes=settings.processes)
    said = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
    words = [loaded.target, *(word for pair in said for word in pair)]
    return await look_after(member_command(words), settings.processes, lambda: goodbye(loaded.app))


def log_to_screen() -> None:
    """Show the engine's warnings, and whatever the app logs at INFO and above, on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    for name in ("httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
