"""The viewers: `python -m tests.benchmarks.streams.viewing PORT` takes a JSON list of runs, one entry per viewer, on stdin.

It prints `open` once all are connected, and at the end what they saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from functools import partial
from time import monotonic_ns

LIMIT = 120.0
_DELTA = re.compile(rb'"type":"text\.delta","part":"[^"]*","delta":"([^"]*)"')
_END = b'"type":"end"'


@dataclass
class Seen:
    """What all viewers saw. Latencies in nanoseconds: of the first token of each run, and of the others."""

    first: list[int] = field(default_factory=list[int])
    later: list[int] = field(default_factory=list[int])
    wrong: int = 0


class Viewer(asyncio.Protocol):
    """Keeps what comes, with its time: looking at it would take the time that is measured."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._parts: list[tuple[int, bytes]] = []
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(f"GET /v1/runs/{self._run_id}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._parts.append((monotonic_ns(), data))
        if not self.opened.done():
            self.opened.set_result(None)
        if _END in data and not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        for one in (self.opened, self.ended):
            if not one.done():
                one.set_exception(ConnectionError("the server hung up"))

    def judge(self, seen: Seen, tokens: int) -> None:
        """Add what it saw."""
        text, came, at = b"", list[tuple[int, int]](), 0
        for time, data in self._parts:
            at += len(data)
            text += data
            came.append((at, time))
        said: list[tuple[int, int]] = []
        reached = iter(came)
        edge, time = next(reached)
        for match in _DELTA.finditer(text):
            # A frame is there once its last byte is.
            while edge < match.end():
                edge, time = next(reached)
            said += [(int(word), time) for word in match[1].split()]
        moments = [due for due, _ in said]
        if len(moments) != tokens or moments != sorted(set(moments)):
            seen.wrong += 1
            return
        seen.first.append(said[0][1] - said[0][0])
        seen.later += [time - due for due, time in said[1:]]


async def view(port: int, runs: list[str], tokens: int) -> Seen:
    """Follow each run to its end."""
    loop = asyncio.get_running_loop()
    viewers: list[Viewer] = []
    for start in range(0, len(runs), 50):
        asked = [loop.create_connection(partial(Viewer, run_id), "127.0.0.1", port) for run_id in runs[start : start + 50]]
        viewers += [viewer for _, viewer in await asyncio.gather(*asked)]
        await asyncio.gather(*(viewer.opened for viewer in viewers[start:]))
    print("open", flush=True)
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*(viewer.ended for viewer in viewers))
    seen = Seen()
    for viewer in viewers:
        viewer.judge(seen, tokens)
    return seen


def main() -> None:
    """Read what to follow, and tell what was seen."""
    asked = json.loads(sys.stdin.readline())
    seen = asyncio.run(view(int(sys.argv[1]), asked["runs"], asked["tokens"]))
    print(json.dumps({"first": sorted(seen.first), "later": sorted(seen.later)[:: max(1, len(seen.later) // 20_000)], "wrong": seen.wrong}))


if __name__ == "__main__":
    main()
