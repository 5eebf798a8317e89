"""`agentflow worker`, and what every process that works has in common."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, Working, unfolded

if TYPE_CHECKING:
    from agentflow.cli.loading import Loaded
    from agentflow.settings import Settings

Target = Annotated[
    str | None, typer.Argument(help="A file, a module, or module:name of an Agentflow.", metavar="[APP]", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


@unfolded
def worker(target: Target = None, *, working: Working, connection: Connection) -> None:
    """Take queued runs of an app, until told to stop.

    SIGTERM and Ctrl+C drain: no more runs are taken, running steps get 25 s, the rest goes back to its queue. A second signal ends at once.
    """
    settings, loaded = prepare(target, {**working.given(), **connection.given()}, works=True)
    log_to_screen()
    run(_work(loaded, settings))


def prepare(target: str | None, given: dict[str, Any], *, works: bool) -> tuple[Settings, Loaded]:
    """Load an app and set it up as the command line, the environment and pyproject.toml say; what its code says stands, but for flags."""
    from agentflow.cli.loading import load
    from agentflow.settings import find_settings

    settings = find_settings({"app": target, **given})
    loaded = load(settings.app)
    said = given if loaded.made else {"database": settings.database, "redis": settings.redis, "directory": settings.directory}
    loaded.app.configure(
        database=said.get("database"),
        redis=said.get("redis"),
        directory=said.get("directory"),
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


async def _work(loaded: Loaded, settings: Settings) -> None:
    from agentflow.cli.greeting import goodbye, greet
    from agentflow.cli.signals import stopping

    with stopping(lambda: goodbye(loaded.app)) as stop:
        async with loaded.app:
            greet("worker", loaded)
            await stop.asked.wait()


def log_to_screen() -> None:
    """Show the engine's warnings, and whatever the app logs at INFO and above, on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    for name in ("httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
