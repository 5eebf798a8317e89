"""The code of the commit before, for half of the workers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from agentflow.clock import SystemClock
from agentflow.database import open_database
from agentflow.database.migrate import migrate
from agentflow.storage.statements import MIGRATIONS

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


def unpack(revision: str, folder: Path) -> str | None:
    """Put the package as it was at a revision into a folder; returns why that is not possible."""
    try:
        made = subprocess.run(["git", "archive", revision, "agentflow"], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE)
    except FileNotFoundError:
        return "there is no git here"
    except subprocess.CalledProcessError as error:
        return f"git has no {revision}: {error.stderr.decode(errors='replace').strip().splitlines()[-1]}"
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=made.stdout, check=True, timeout=PATIENCE)
    return None


def environment(code: Path | None) -> dict[str, str]:
    """The environment of a process that runs the package of a folder (None: this one's); start it with `-P`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in (code, ROOT) if path is not None)}


async def usable(revision: str, code: Path, scratch: str) -> str | None:
    """Unpack a revision into a folder; returns why its workers cannot share a database with today's. `scratch` is an empty database."""
    refused = unpack(revision, code) or await refusal(code, scratch)
    if refused is None and (refused := await refusal(None, scratch)) is not None:
        return f"today's code does not open what it made: {refused}"
    return refused


async def refusal(code: Path | None, database: str) -> str | None:
    """Why the package of a folder does not open a database, which it makes where there is none yet; None when it does."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-P", "-m", "tests.faults.soak.previous", database)
    process = await asyncio.create_subprocess_exec(*command, env=environment(code), stdout=pipe, stderr=pipe)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    return errors.decode(errors="replace").strip().splitlines()[-1] if process.returncode else None


async def _open(url: str) -> None:
    database = open_database(url)
    try:
        await migrate(database, MIGRATIONS, SystemClock())
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(_open(sys.argv[1]))
