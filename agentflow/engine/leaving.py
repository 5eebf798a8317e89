"""How a worker leaves: asked by its process or by an operator, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Leaving:
    """Does what is to be done once somebody asks for it; `asked` is set then."""

    def __init__(self, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.asked = asyncio.Event()
        self._leave = leave
        self._under_way: asyncio.Task[None] | None = None

    def ask(self) -> asyncio.Task[None]:
        """Begin to leave, unless that is under way."""
        self.asked.set()
        if self._under_way is None:
            self._under_way = asyncio.get_running_loop().create_task(self._leave())
        return self._under_way


async def emptied(active: Callable[[], bool], freed: asyncio.Event, deadline: Coroutine[Any, Any, None]) -> None:
    """Return when nothing is active any more, or after the deadline; `freed` tells to look again."""
    ended = asyncio.get_running_loop().create_task(deadline)
    while active() and not ended.done():
        freed.clear()
        told = asyncio.get_running_loop().create_task(freed.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
    ended.cancel()
