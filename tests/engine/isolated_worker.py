"""A worker's process, to be killed: `python -m tests.engine.isolated_worker FOLDER DATABASE REDIS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agentflow import Agentflow
from tests.engine import isolated_tasks, test_isolation


async def main(folder: Path, database: str, redis: str) -> None:
    """Work for ever."""
    async with Agentflow(isolated_tasks.TASKS, database=database, redis=redis, directory=folder, worker=test_isolation.SETTINGS):
        (folder / "up").touch()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
