"""The viewers: `python -m tests.benchmarks.streams.viewing PORT` takes a JSON list of runs, one entry per viewer, on stdin.

It prints `open` once all are connected, and at the end what they saw as JSON.
"""

from __future__ import annotations

import gc
import json
import re
import select
import socket
import sys
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event
from time import monotonic_ns

LIMIT = 120.0
PAUSE = 0.002
"""Seconds between two looks at all viewers. One process that woke at each word of each would slow the server down, as no network does."""
_DELTA = re.compile(rb'"type":"text\.delta","part":"[^"]*","delta":"([^"]*)"')
_END = b'"type":"end"'


@dataclass
class Seen:
    """What all viewers saw. Latencies in nanoseconds: of the first token of each run, and of the others."""

    first: list[int] = field(default_factory=list[int])
    later: list[int] = field(default_factory=list[int])
    wrong: int = 0


class Viewer:
    """Keeps what comes, with its time: looking at it would take the time that is measured."""

    def __init__(self, port: int, run_id: str) -> None:
        self._parts: list[tuple[int, bytes]] = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"GET /v1/runs/{run_id}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        self.hear()
        self.socket.setblocking(False)

    def hear(self) -> bool:
        """Take what is there; whether it was the last."""
        data = self.socket.recv(65_536)
        self._parts.append((monotonic_ns(), data))
        if not data:
            raise ConnectionError("the server hung up")
        return _END in data

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


def view(port: int, runs: list[str], tokens: int) -> Seen:
    """Follow each run to its end, with as little work for each word as can be: the viewers share the machine with the server."""
    viewers = [Viewer(port, run_id) for run_id in runs]
    print("open", flush=True)
    pause = Event()
    open_ones = {viewer.socket.fileno(): viewer for viewer in viewers}
    with closing(select.epoll()) as polling:
        for number in open_ones:
            polling.register(number, select.EPOLLIN)
        while open_ones:
            ready = polling.poll(LIMIT)
            if not ready:
                raise TimeoutError("a stream has not ended")
            for number, _ in ready:
                if open_ones[number].hear():
                    polling.unregister(number)
                    open_ones.pop(number).socket.close()
            pause.wait(PAUSE)
    seen = Seen()
    for viewer in viewers:
        viewer.judge(seen, tokens)
    return seen


def main() -> None:
    """Read what to follow, and tell what was seen."""
    # What it keeps would be looked through again and again, while tokens wait.
    gc.disable()
    asked = json.loads(sys.stdin.readline())
    seen = view(int(sys.argv[1]), asked["runs"], asked["tokens"])
    print(json.dumps({"first": sorted(seen.first), "later": sorted(seen.later)[:: max(1, len(seen.later) // 20_000)], "wrong": seen.wrong}))


if __name__ == "__main__":
    main()
