"""What readers of this process follow: a look at a thing serves all. Who reads slowly is told less often, and always how it is now."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

from agentflow.app import Agentflow
from agentflow.errors import StorageError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
GAP = 0.1
"""Seconds between two looks at least."""
LOOK = 5.0
"""Seconds between two looks at most: a signal may be lost, and not everything that changes is told of."""
_log = logging.getLogger("agentflow.server")


class Feeds(ABC, Generic[K, V]):
    """The things of one kind that are followed, by what names them. `signal` says that one of them may have changed."""

    signal: ClassVar[str]

    def __init__(self, app: Agentflow) -> None:
        self.app = app
        self._feeds: dict[K, Feed[K, V]] = {}
        self._quiet: Callable[[], None] | None = None

    @abstractmethod
    async def look(self, wanted: K, known: V | None) -> V:
        """How a thing is now: `known` itself where it is so still."""

    def enter(self, wanted: K) -> Feed[K, V]:
        """Follow one."""
        if self._quiet is None:
            self._quiet = self.app.streams.on_signal(self.signal, self._changed)
        feed = self._feeds.get(wanted)
        if feed is None:
            feed = self._feeds[wanted] = Feed(wanted, self.look)
        feed.readers += 1
        return feed

    def leave(self, feed: Feed[K, V]) -> None:
        """Follow it no more."""
        feed.readers -= 1
        if not feed.readers:
            feed.close()
            del self._feeds[feed.wanted]
        if not self._feeds and self._quiet is not None:
            self._quiet()
            self._quiet = None

    def _changed(self, _: str) -> None:
        for feed in self._feeds.values():
            feed.changed.set()


class Feed(Generic[K, V]):
    """A thing as it was when it was looked at last."""

    def __init__(self, wanted: K, look: Callable[[K, V | None], Awaitable[V]]) -> None:
        self.wanted = wanted
        self.readers = 0
        self.changed = asyncio.Event()
        self.told: V | None = None
        self._look = look
        self._turned = asyncio.Condition()
        self._task = asyncio.get_running_loop().create_task(self._look_always(), name="agentflow-feed")

    def close(self) -> None:
        """Look no more."""
        self._task.cancel()

    async def differs(self, known: V | None) -> V:
        """How it is, once that is not `known`."""
        async with self._turned:
            while self.told is None or self.told is known:
                await self._turned.wait()
            return self.told

    async def _look_always(self) -> None:
        while True:
            self.changed.clear()
            try:
                await self._turn(await self._look(self.wanted, self.told))
            except StorageError:
                # Readers keep what they have until it is back.
                pass
            except Exception:  # noqa: BLE001 - one odd row is told in the log, and all readers hear of what comes after it
                _log.exception("What has changed of %s cannot be told", self.wanted)
            await asyncio.sleep(GAP)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self.changed.wait()

    async def _turn(self, found: V) -> None:
        if found is not self.told:
            async with self._turned:
                self.told = found
                self._turned.notify_all()
