"""The one bridge from blocking code: an event loop in a thread, with the app open in it."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from agentflow.engine.starting import Launcher, launcher

T = TypeVar("T")


class Openable(Launcher, Protocol):
    """An app that can be opened and closed."""

    async def open(self) -> None:
        """Begin to work."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...


class Bridge:
    """Runs coroutines for callers that cannot await; its thread ends with the process."""

    def __init__(self, app: Openable) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentflow-bridge", daemon=True)
        self._thread.start()
        self.run(app.open())
        atexit.register(self.close)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the bridge's loop; blocks until it is done."""
        return asyncio.run_coroutine_threadsafe(self._with_app(work), self._loop).result()

    async def _with_app(self, work: Coroutine[Any, Any, T]) -> T:
        launcher.set(self._app)
        return await work

    def close(self) -> None:
        """Close the app and end the thread; a second time does nothing."""
        if not self._loop.is_closed():
            self.run(self._app.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            atexit.unregister(self.close)
