"""The demo's worker process. Its lease is short, so that another one takes over soon after it is killed."""

from __future__ import annotations

import asyncio
import signal
import sys

from agentflow import Agentflow, WorkerSettings
from cookbook.release_notes.agent import TASKS

SECOND = 1_000_000


async def work(directory: str) -> None:
    """Work until SIGTERM."""
    settings = WorkerSettings(lease=2 * SECOND, renew_every=SECOND // 2, poll=0.5)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Agentflow(TASKS, directory=directory, worker=settings):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
