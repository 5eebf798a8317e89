"""A long sleep: read a file today and again in two weeks, and have an agent tell what became of it.

    python -m cookbook.long_sleep notes.md 14d

While it sleeps there is a row in the database, and nothing else. Stop this program, or kill it, and start it again, today or in a week: the
same file is the same run. It knows what it read, and wakes up at its time, or at once if that has passed.
"""

from __future__ import annotations

import asyncio
import difflib
import sys
from pathlib import Path

from agentflow import Agent, Agentflow, Retry, context, sleep, step, task
from cookbook import scripts
from cookbook.model import model


@step(retry=Retry(attempts=5, initial="10s", on=OSError))
def read(file: str) -> list[str]:
    """The lines of the file as they are now; recorded, so that they are still known in two weeks."""
    return Path(file).read_text(encoding="utf-8").splitlines()


chronicler = Agent(
    "chronicler",
    model=model(scripts.chronicler),
    instructions="You get the diff of a file over some time. Tell in two sentences what became of it.",
)


@task
async def look_again(file: str, pause: str = "14d") -> str:
    """Tell what changes in a file within some time."""
    before = await read(file)
    since = await context().now()
    context().metadata["asleep"] = f"{pause} from {since:%Y-%m-%d %H:%M}"
    await sleep(pause)
    changes = "\n".join(difflib.unified_diff(before, await read(file), lineterm="", n=0))
    if not changes:
        return f"Nothing has changed in {file} since {since:%Y-%m-%d}."
    return await chronicler(f"What changed in {file} since {since:%Y-%m-%d}:\n{changes}")


async def main(file: str, pause: str = "14d") -> None:
    """Look twice, or go on with the run that there is."""
    async with Agentflow([look_again, chronicler]):
        run = await look_again.using(idempotency_key=f"{file} for {pause}").start(file, pause)
        print(f"{run.id} looks again after {pause}; Ctrl-C and the same command again is no problem.", flush=True)
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
