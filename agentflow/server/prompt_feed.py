"""What is live of prompts, told to those who follow it: one look for all readers of an environment, and to each what has changed for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic_core import to_json

from agentflow.app import Agentflow
from agentflow.errors import StorageError
from agentflow.server.prompt_views import live_view, version_view
from agentflow.streams.log import PROMPTS

GAP = 0.1
"""Seconds between two looks at least."""
LOOK = 5.0
"""Seconds between two looks at most: a signal may be lost, and a release ends by itself."""
_log = logging.getLogger("agentflow.prompts")


@dataclass(frozen=True, slots=True)
class Told:
    """A snapshot as it is told: the JSON of each binding, by prompt and label, and of each version, by prompt and number."""

    etag: str
    bindings: Mapping[tuple[str, str], bytes]
    versions: Mapping[tuple[str, int], bytes]


class PromptFeeds:
    """The environments that readers of this process follow."""

    def __init__(self, app: Agentflow) -> None:
        self._app = app
        self._feeds: dict[str, PromptFeed] = {}
        self._quiet: Callable[[], None] | None = None

    def enter(self, env: str) -> PromptFeed:
        """Follow an environment."""
        if self._quiet is None:
            self._quiet = self._app.streams.on_signal(PROMPTS, self._changed)
        feed = self._feeds.get(env)
        if feed is None:
            feed = self._feeds[env] = PromptFeed(self._app, env)
        feed.readers += 1
        return feed

    def leave(self, feed: PromptFeed) -> None:
        """Follow it no more."""
        feed.readers -= 1
        if not feed.readers:
            feed.close()
            del self._feeds[feed.env]
        if not self._feeds and self._quiet is not None:
            self._quiet()
            self._quiet = None

    def _changed(self, _: str) -> None:
        for feed in self._feeds.values():
            feed.changed.set()


class PromptFeed:
    """What is live in an environment now."""

    def __init__(self, app: Agentflow, env: str) -> None:
        self.env = env
        self.readers = 0
        self.changed = asyncio.Event()
        self.told: Told | None = None
        self._app = app
        self._turned = asyncio.Condition()
        self._task = asyncio.get_running_loop().create_task(self._look_always(), name="agentflow-prompts")

    def close(self) -> None:
        """Look no more."""
        self._task.cancel()

    async def differs(self, etag: str | None) -> Told:
        """What is live, once it is not what has this etag."""
        async with self._turned:
            while self.told is None or self.told.etag == etag:
                await self._turned.wait()
        return self.told

    async def _look_always(self) -> None:
        while True:
            self.changed.clear()
            try:
                await self._look()
            except StorageError:
                # Readers keep what they have until it is back.
                pass
            except Exception:  # noqa: BLE001 - one odd row is told in the log, and all readers hear of what comes after it
                _log.exception("What is live in %s cannot be told", self.env)
            await asyncio.sleep(GAP)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self.changed.wait()

    async def _look(self) -> None:
        found = await self._app.prompts.snapshot(self.env)
        if self.told is not None and self.told.etag == found.etag:
            return
        bindings = {(one.prompt, one.label): live_view(one).model_dump_json().encode() for one in found.bindings}
        versions = {(one.prompt, one.number): version_view(one).model_dump_json().encode() for one in found.known}
        async with self._turned:
            self.told = Told(found.etag, bindings, versions)
            self._turned.notify_all()


class PromptReading:
    """One reader of an environment, who has what `etag` names, if anything."""

    run_id = None
    ended = False

    def __init__(self, feeds: PromptFeeds, env: str, etag: str | None) -> None:
        self._feeds = feeds
        self._env = env
        self._etag = etag

    async def chunks(self, *, live: bool) -> AsyncGenerator[bytes]:
        """The snapshot, unless the reader has it, then what changes in it."""
        feed = self._feeds.enter(self._env)
        try:
            known = await feed.differs(None)
            if known.etag != self._etag:
                yield _frame("sync.snapshot", self._env, known, Told("", {}, {}))
            while live:
                now = await feed.differs(known.etag)
                yield _frame("prompts.changed", self._env, now, known)
                known = now
        finally:
            self._feeds.leave(feed)

    async def rest(self) -> bytes:
        """Nothing: what is live has no end."""
        return b""


def _frame(type: str, env: str, now: Told, known: Told) -> bytes:
    etag = now.etag.encode()
    bindings = b",".join(text for key, text in now.bindings.items() if known.bindings.get(key) != text)
    versions = b",".join(text for key, text in now.versions.items() if known.versions.get(key) != text)
    gone = to_json([{"prompt": prompt, "label": label} for prompt, label in known.bindings if (prompt, label) not in now.bindings])
    head = b'{"type":"%b","env":%b,"etag":"%b"' % (type.encode(), to_json(env), etag)
    return b'id: %b\ndata: %b,"bindings":[%b],"versions":[%b],"gone":%b}\n\n' % (etag, head, bindings, versions, gone)
