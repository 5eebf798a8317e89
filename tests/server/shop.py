"""Serves an app until it is told to stop: `python -m tests.server.shop <directory> <host> <port> [key]`. Prints its URL."""

from __future__ import annotations

import asyncio
import sys

from agentflow import Agentflow, AgentflowError, step, task
from agentflow.server import serve
from tests.server.tasks import publish


@step
async def slowly(seconds: float) -> str:
    print("working", flush=True)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.call_later(seconds, done.set)
    await done.wait()
    return "done"


@task
async def work(seconds: float) -> str:
    return await slowly(seconds)


def main() -> int:
    directory, host, port, *key = sys.argv[1:]
    app = Agentflow([work, publish], directory=directory)

    def ready(url: str) -> None:
        print(url, flush=True)

    try:
        asyncio.run(serve(app, host, int(port), api_key=key[0] if key else None, ready=ready))
    except AgentflowError as error:
        print(error.code, error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
