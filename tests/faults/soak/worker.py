"""Workers under fault: `python -m tests.faults.soak.worker` forks one per line of its input and prints its process id.

Forked, for a worker is then up in milliseconds. Each connects to the driver's socket, says who it is and tells how it is when asked.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import random
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import agentflow
from agentflow import Agentflow
from agentflow.errors import StorageError, StreamError
from tests.faults.soak import workload
from tests.faults.soak.clock import JumpingClock, Offsets

PATIENCE = 60.0
_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A worker to be: its name and number, its stores as it reaches them, and the files that it shares with the driver."""

    name: str
    number: int
    database: str
    redis: str
    folder: str

    def line(self) -> bytes:
        """As a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def path(self, name: str) -> Path:
        """A file of the driver."""
        return Path(self.folder, name)


class Serving:
    """One worker's life: it opens as soon as it can, and works until it is told to stop."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._clock = JumpingClock(Offsets(post.path("clock")), post.number)
        self._app: Agentflow | None = None
        self._stop = asyncio.Event()

    async def live(self) -> None:
        """Work; returns when it was asked to stop and has drained."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        reader, writer = await asyncio.open_unix_connection(self._post.path("control"))
        telling = asyncio.ensure_future(self._tell(reader, writer))
        app = self._app = await self._opened()
        await self._stop.wait()
        await app.close()
        telling.cancel()

    async def _opened(self) -> Agentflow:
        async with asyncio.timeout(PATIENCE):
            while True:
                post = self._post
                app = Agentflow(
                    workload.TASKS,
                    database=post.database,
                    redis=post.redis,
                    directory=post.folder,
                    worker=workload.SETTINGS,
                    clock=self._clock,
                )
                try:
                    await app.open()
                except (StorageError, StreamError) as error:
                    logging.warning("cannot begin, trying on: %s", error)
                    await workload.pause(0.2)
                else:
                    return app

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._say(writer, {"name": self._post.name, "pid": os.getpid(), "code": str(Path(agentflow.__file__).parent)})
        while await reader.readline():
            self._say(writer, self._state())
        # The driver is gone.
        os._exit(1)

    def _say(self, writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
        writer.write(json.dumps(value).encode() + b"\n")

    def _state(self) -> dict[str, Any]:
        worker = None if self._app is None else self._app.worker
        if self._app is None or worker is None:
            return {"free": 0, "slots": workload.SLOTS, "active": [], "hot": 0, "id": ""}
        streams = self._app.streams.counters
        return {
            "free": worker.free,
            "slots": workload.SLOTS,
            "active": list(worker.active),
            "hot": len(worker.hot.values()),
            "id": worker.id,
            "refused": streams["refused"],
            "dropped": streams["dropped"],
        }


def child(post: Post) -> None:
    """The life of a worker process."""
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    logging.basicConfig(
        filename=post.path(f"{post.name}.log"), level=logging.INFO, format="%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(message)s"
    )
    workload.log_bodies_to(str(post.path("bodies")))
    code = 1
    try:
        asyncio.run(Serving(post).live())
        code = 0
    except BaseException:
        logging.exception("the worker ended")
    finally:
        logging.shutdown()
        os._exit(code)


def _die_with_parent() -> None:
    """However the driver ends, no worker is left behind, not even a stopped one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Fork a worker per line until the input ends; the workers end with this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    workload.clerk.warm()
    gc.collect()
    gc.freeze()
    print(json.dumps({"code": str(Path(agentflow.__file__).parent), "limited": workload.LIMITED}), flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            child(Post(**json.loads(line)))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
