"""What is live of prompts, told to those who follow it: to each what has changed for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from pydantic_core import to_json

from agentflow.server.feeds import Feeds
from agentflow.server.prompt_views import live_view, version_view
from agentflow.streams.log import PROMPTS


@dataclass(frozen=True, slots=True)
class Told:
    """A snapshot as it is told: the JSON of each binding, by prompt and label, and of each version, by prompt and number."""

    etag: str
    bindings: Mapping[tuple[str, str], bytes]
    versions: Mapping[tuple[str, int], bytes]


class PromptFeeds(Feeds[str, Told]):
    """The environments that are followed."""

    signal = PROMPTS

    async def look(self, wanted: str, known: Told | None) -> Told:
        """What is live in an environment now."""
        found = await self.app.prompts.snapshot(wanted)
        if known is not None and known.etag == found.etag:
            return known
        bindings = {(one.prompt, one.label): live_view(one).model_dump_json().encode() for one in found.bindings}
        versions = {(one.prompt, one.number): version_view(one).model_dump_json().encode() for one in found.known}
        return Told(found.etag, bindings, versions)


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
                now = await feed.differs(known)
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
