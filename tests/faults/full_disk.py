"""A worker whose files may not grow for a while: `full_disk.py <folder>`. It prints what it did, a line per step."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from pathlib import Path

from agentflow import Agentflow, step, task
from agentflow.errors import StorageError

STEPS = 30
TIGHT_FROM, ROOM_AGAIN = 10, 2
"""After which step there is no more room, and after how many complaints there is."""


class Landlord(logging.Handler):
    """Gives room again once the engine has complained often enough."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints = 0
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def tighten(self) -> None:
        """Nothing may be written any more."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, self.limits[1]))
        print("full", flush=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Hear a complaint of the engine."""
        if "cannot record its work" not in record.getMessage():
            return
        self.complaints += 1
        if self.complaints == 1:
            print(f"told {record.getMessage()}", flush=True)
        if self.complaints == ROOM_AGAIN:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
            print("room", flush=True)


landlord = Landlord()


@step
async def fill(number: int) -> str:
    """Make a result that needs a page of its own."""
    print(f"step {number}", flush=True)
    if number == TIGHT_FROM:
        landlord.tighten()
    return f"{number}" * 4_000


@task
async def fills() -> int:
    """Fill the disk."""
    return sum([len(await fill(number)) for number in range(STEPS)])


@task
async def other() -> str:
    """Do nothing."""
    return "other"


async def main(folder: Path) -> None:
    """Run one run through a full disk."""
    logging.getLogger("agentflow").addHandler(landlord)
    async with Agentflow([fills, other], directory=folder) as app:
        run = await fills.start()
        print(f"result {await run.result(timeout='60s')}", flush=True)
        record = await run.get()
        journal = await app.runs.journal(run.id)
        print(f"epoch {record.epoch} recorded {len(journal)} recoveries {record.recoveries}", flush=True)
        landlord.tighten()
        try:
            await other.start()
        except StorageError as error:
            print(f"refused {error}", flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, landlord.limits)
        print(f"again {await (await other.start()).result(timeout='60s')}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
