"""The tasks that an app knows, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from agentflow.engine.task import Task
from agentflow.errors import DuplicateName


def registry(tasks: Iterable[Task[..., Any]] | Mapping[str, Task[..., Any]]) -> Mapping[str, Task[..., Any]]:
    """Tasks by name. Raises `DuplicateName` when two share one."""
    if isinstance(tasks, Mapping):
        return cast("Mapping[str, Task[..., Any]]", tasks)
    known: dict[str, Task[..., Any]] = {}
    for one in tasks:
        if known.setdefault(one.name, one).function is not one.function:
            raise DuplicateName(f"Two tasks are called {one.name!r}.", hint="Give one of them another name: @task(name=...).")
    return known


def warm(tasks: Iterable[Task[..., Any]]) -> None:
    """Load what tasks need."""
    for task in tasks:
        task.warm()
