"""Other processes at the same database: `child.py <command> <url>`. They print a line per acknowledged write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import Awaitable, Callable

from agentflow.clock import SystemClock
from agentflow.database import Database, open_database
from agentflow.database.migrate import migrate
from agentflow.errors import DatabaseFull
from tests.contracts import ledger

INCREMENTS = 500
ROOM = 400_000


async def increment(database: Database) -> None:
    """Add one, many times, ten writers at once."""

    async def some() -> None:
        for _ in range(INCREMENTS // 10):
            await database.execute(ledger.add(name="shared", amount=1))

    await asyncio.gather(*(some() for _ in range(10)))


async def acknowledge(database: Database) -> None:
    """Put rows for ever and tell of each one that is acknowledged."""

    async def some(writer: int) -> None:
        for number in range(1_000_000):
            name = f"{writer}-{number}"
            if number % 2:
                await database.execute(ledger.put(name=name, value=number))
            else:
                await database.transact(ledger.put_all(name, f"{name}-twin"))
            print(name, flush=True)

    await asyncio.gather(*(some(writer) for writer in range(8)))


async def fill(database: Database) -> None:
    """Write until a file may not grow, then go on once it may; prints `full` between the two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    with contextlib.suppress(DatabaseFull):
        await _put_rows(database, "tight")
    for number in range(3):
        with contextlib.suppress(DatabaseFull):
            await asyncio.gather(*(_put_rows(database, f"tighter-{number}-{writer}") for writer in range(3)))
    print("full", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await _put_rows(database, "roomy", count=50)


async def _put_rows(database: Database, prefix: str, count: int = 1_000_000) -> None:
    for number in range(count):
        name = f"{prefix}-{number}-" + "x" * 2_000
        await database.transact(ledger.put_all(name))
        print(name, flush=True)


async def migrated(database: Database) -> None:
    """Make the tables, if no other process was faster."""
    print(await migrate(database, ledger.MIGRATIONS, SystemClock()), flush=True)


async def nothing(_: Database) -> None:
    """Only open and close."""


COMMANDS: dict[str, Callable[[Database], Awaitable[None]]] = {c.__name__: c for c in (increment, acknowledge, fill, migrated, nothing)}


async def main(command: str, url: str) -> None:
    """Open, run, close; as an ordinary user, who cannot write where the superuser can."""
    if command == "nothing" and os.geteuid() == 0:
        os.seteuid(65534)
    database = open_database(url)
    try:
        await COMMANDS[command](database)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
