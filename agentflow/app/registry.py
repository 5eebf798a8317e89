"""The tasks that an app knows, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


class Served(Mapping[str, Task[..., Any]]):
    """What a worker serves: the tasks of an app, looked up when they are asked for, and those of ours that every worker has."""

    def __init__(self, tasks: Mapping[str, Task[..., Any]], ours: Iterable[Task[..., Any]]) -> None:
        self._tasks = tasks
        self._ours = {task.name: task for task in ours}

    def values(self) -> Any:
        """All of them. Some may vanish meanwhile: their owner knows how to go through them."""
        return [*{**{task.name: task for task in self._tasks.values()}, **self._ours}.values()]

    def __getitem__(self, name: str) -> Task[..., Any]:
        return self._ours[name] if name in self._ours else self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._tasks, *self._ours)))

    def __len__(self) -> int:
        return len(self._tasks.keys() | self._ours.keys())


def warm(tasks: Iterable[Task[..., Any]]) -> None:
    """Load what tasks need."""
    for task in tasks:
        task.warm()
