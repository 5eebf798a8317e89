"""Wake-ups between the parts of a system: in this process at once, in others by one channel. A hint, never the truth: one may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic_core import from_json, to_json

from agentflow.streams.courier import SIGNALS
from agentflow.streams.link import Channels
from agentflow.streams.writer import Writer

Callback = Callable[[str], None]


class Signals:
    """Topics and who cares about them."""

    def __init__(self, writer: Writer, channels: Channels) -> None:
        self._writer = writer
        self._channels = channels
        self._callbacks: dict[str, list[Callback]] = {}

    def signal(self, topic: str, value: str) -> None:
        """Tell everybody, here and elsewhere."""
        self._tell(topic, value)
        self._writer.signal(to_json([self._writer.id, topic, value]))

    def on_signal(self, topic: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` with each value; returns what stops that."""
        if not self._callbacks:
            self._channels.add(SIGNALS, self._message)
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)
        return lambda: callbacks.remove(callback) if callback in callbacks else None

    def _message(self, data: bytes | None) -> None:
        if data is not None:
            writer, topic, value = from_json(data)
            if writer != self._writer.id:
                self._tell(topic, value)

    def _tell(self, topic: str, value: str) -> None:
        for callback in self._callbacks.get(topic, ()):
            asyncio.get_running_loop().call_soon(callback, value)
