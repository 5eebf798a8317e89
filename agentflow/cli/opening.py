"""An installation opened from the outside: to look at it, to start and to answer, but not to work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentflow.cli.options import Connection
from agentflow.errors import StorageError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.settings import Settings

T = TypeVar("T")


class NoInstallation(StorageError):
    """There is no database where one was looked for."""

    code = "no_installation"


def ask(connection: Connection, question: Callable[[Agentflow], Awaitable[T]]) -> T:
    """The answer to a question about an installation. Raises `NoInstallation` where there is none: looking never makes one."""
    from agentflow.settings import find_settings

    return run(_ask(find_settings(connection.given()), question))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own."""
    import asyncio

    return asyncio.run(work)


async def _ask(settings: Settings, question: Callable[[Agentflow], Awaitable[T]]) -> T:
    from agentflow.app import Agentflow

    _check_there(settings.database_url)
    async with Agentflow(database=settings.database_url, redis=settings.redis, directory=settings.directory, worker=False) as app:
        return await question(app)


def _check_there(url: str) -> None:
    file = url.removeprefix("sqlite:///")
    if "://" in file:
        return
    path = Path(file)
    if not path.exists():
        raise NoInstallation(
            f"There is no database at {path}.",
            hint="Run `agentflow dev app.py` in this folder first, or say where it is: --database, --directory, AGENTFLOW_DATABASE.",
        )
