"""What the tools of an agent need and no record can hold: made anew wherever a run goes on."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, cast


@asynccontextmanager
async def provided(factory: Callable[[], Any] | None) -> AsyncGenerator[Any]:
    """What `factory` makes; a context manager is entered, and left when the run ends or leaves this worker's memory."""
    made: Any = None if factory is None else factory()
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AbstractAsyncContextManager):
        async with cast("AbstractAsyncContextManager[Any]", made) as deps:
            yield deps
    elif isinstance(made, AbstractContextManager):
        with cast("AbstractContextManager[Any]", made) as deps:
            yield deps
    else:
        yield made
