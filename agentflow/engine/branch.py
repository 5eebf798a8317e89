"""Branches: where in a run's code a step is called, so that its key does not depend on what other branches do.

Every asyncio task that a run's code creates is a branch, numbered when it is created: the children of a `gather` get the same numbers at
every replay, in whatever order they run. Numbers count per coroutine name, so a library's own tasks do not shift the run's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, cast

from agentflow.engine.context import scope


class Branch:
    """A place in a run's code that counts its own calls.

    `tasks` holds every asyncio task of the run that is still alive, with its branch; `live` says that this branch has gone beyond what is
    recorded, `parked` that it waits on a waitpoint, `awaited` is the key of that or the last one, `listens` says that it waits for an
    `asyncio.Event` and does nothing else.
    """

    __slots__ = ("_children", "_counts", "awaited", "listens", "live", "parked", "path", "tasks")

    def __init__(self, path: str, tasks: Tasks, *, live: bool = False) -> None:
        self.path = path
        self.live = live
        self.parked = False
        self.awaited = ""
        self.listens = False
        self._children = 0
        self.tasks = tasks
        self._counts: dict[str, int] = {}

    def key(self, name: str) -> str:
        """The key of the next call of `name` here."""
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        return f"{self.path}{name}#{count}"

    def fork(self, name: str) -> Branch:
        """The branch of a task that is being created."""
        return Branch(self.key(name) + "/", self.tasks, live=self.live)

    def began(self, task: asyncio.Task[Any], forked: Branch) -> None:
        """A task was created here."""
        # pydantic-ai waits for the calls of a turn and, in a task of its own, for the event that one of them has news. Who sets an event
        # is a branch that is busy itself, or somebody outside, whom a run that leaves memory cannot wait for.
        forked.listens = getattr(task.get_coro(), "cr_code", None) is asyncio.Event.wait.__code__
        self._children += not forked.listens
        self.tasks[task] = forked
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        forked = self.tasks.pop(task)
        self._children -= not forked.listens
        if self.tasks.unwinding and not task.cancelled():
            # Asked for, so that asyncio does not complain of an error that nobody took: the run is leaving memory.
            task.exception()

    @property
    def busy(self) -> bool:
        """Whether a branch that waits for no other branch works on outside of waits and steps."""
        return any(not (one.parked or one.listens or one._children) for one in self.tasks.values())


class Tasks(dict[asyncio.Task[Any], Branch]):
    """The living asyncio tasks of one run; `unwinding` once the run leaves memory."""

    unwinding = False


branch: ContextVar[Branch | None] = ContextVar("agentflow_branch", default=None)


class BranchingTasks:
    """Installs itself as the event loop's task factory while it is open; nested uses share one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before = loop.get_task_factory()
        self._installed = not isinstance(getattr(self._before, "__self__", None), BranchingTasks)
        if self._installed:
            loop.set_task_factory(cast("Any", self._create))

    def close(self) -> None:
        """Give the loop its own factory back."""
        if self._installed and self._loop.get_task_factory() == self._create:
            self._loop.set_task_factory(self._before)

    def _create(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Future[Any]:
        given: Context | None = options.get("context")
        here = branch.get() if given is None else given.get(branch)
        if here is None or scope.get() is not None:
            return self._make(loop, coro, options)
        own = copy_context() if given is None else given.copy()
        forked = here.fork(getattr(coro, "__qualname__", "task"))
        own.run(branch.set, forked)
        task = self._make(loop, coro, {**options, "context": own})
        if isinstance(task, asyncio.Task):
            here.began(task, forked)
        return task

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], options: dict[str, Any]) -> asyncio.Future[Any]:
        if self._before is not None:
            return self._before(loop, coro, **options)
        return asyncio.Task(coro, loop=loop, **options)


def calling_line() -> str:
    """Where the code is that called a step: two frames above the context, which asks here."""
    frame = inspect.currentframe()
    for _ in range(3):
        frame = frame and frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
