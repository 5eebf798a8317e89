"""What the process of an isolated run is told of the app that it works for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agentflow.engine.executor import Middleware
from agentflow.engine.isolated import Spawning
from agentflow.engine.isolation import check_importable
from agentflow.engine.task import Task
from agentflow.engine.worker_settings import WorkerSettings
from agentflow.errors import DefinitionError
from agentflow.policy import Policy


class Installation(Protocol):
    """What an app is made of, as far as its processes have to know."""

    tasks: Mapping[str, Task[..., Any]]
    directory: Path
    policy: Policy | None

    @property
    def settings(self) -> WorkerSettings | None:
        """How its worker works."""
        ...

    @property
    def middleware(self) -> Sequence[Middleware]:
        """What goes around every run's code."""
        ...

    @property
    def database_url(self) -> str:
        """Where its database is."""
        ...

    @property
    def redis_url(self) -> str | None:
        """Where its Redis is."""
        ...


def spawning(app: Installation, *, by_url: bool) -> Spawning | None:
    """How the worker of `app` makes processes; None when no task asks for one. `by_url`: whether another process can open its database.

    Raises `DefinitionError` for what no other process could find.
    """
    settings = app.settings
    if settings is None or not settings.isolate:
        return None
    isolated = [task for task in app.tasks.values() if task.options.isolation is not None]
    if not isolated:
        return None
    for task in isolated:
        check_importable(task.name, task.function.__module__)
    if not by_url:
        raise DefinitionError(
            f"Task {isolated[0].name!r} is isolated, and another process cannot open a database that was given as an object.",
            hint="Give Agentflow the database by its URL, or WorkerSettings(isolate=False).",
        )
    home = _home(app)
    warnings = [f"-W{one}" for one in sys.warnoptions]
    spec = {
        "app": home,
        "middleware": [] if home is not None else [_reference(one) for one in app.middleware],
        "policy": None if app.policy is None else [rule.told() for rule in app.policy.rules],
        "database": app.database_url,
        "redis": app.redis_url,
        "directory": str(app.directory.absolute()),
        "log_level": logging.root.level if logging.root.handlers else None,
    }
    return Spawning((sys.executable, *warnings, "-m", "agentflow.app.isolated"), spec)


def _home(app: Installation) -> dict[str, Any] | None:
    """Where another process finds the app: the module that has it at its top level."""
    for name, module in list(sys.modules.items()):
        if name != "__main__":
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is app:
                    return {"name": name, "file": getattr(module, "__file__", None), "attribute": attribute}
    return None


def _reference(layer: Any) -> dict[str, Any]:
    """Where another process finds a middleware."""
    name, path = getattr(layer, "__module__", ""), getattr(layer, "__qualname__", "")
    found: Any = None if name == "__main__" else sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is not layer or found is None:
        raise DefinitionError(
            f"The middleware {path or layer!r} cannot be found by the process of an isolated task.",
            hint="Make the app, or the middleware, a name at the top level of a module that can be imported.",
        )
    return {"name": name, "file": getattr(sys.modules[name], "__file__", None), "attribute": path}
