"""How the functions of users are called: blocking ones off the event loop, all of them counted."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

performed: WeakKeyDictionary[object, int] = WeakKeyDictionary()
"""How often the body of each step and task was called in this process; tests read and clear it."""


def count(definition: object) -> None:
    """The body of a step or task is being called."""
    performed[definition] = performed.get(definition, 0) + 1


_threads = ThreadPoolExecutor(64, "agentflow-sync")


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a blocking function in a thread that sees this context."""
    call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)


async def finishing(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end, whoever is cancelled meanwhile; once its caller is gone, its error is nobody's and is not complained about."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)
