"""Worker processes to be killed: `python -m tests.faults.killed_worker FOLDER` forks one per line of its input and prints its process id.

Forked, for a worker is then up in milliseconds. What the steps do is written to `FOLDER/log`: run, step, `begin` or `end`, time.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic_ai.messages import ModelMessage

from agentflow import Agent, Agentflow, InputStream, Retry, Stream, WorkerSettings, ai, approve, current_step, sleep, step, task
from agentflow.clock import SECOND, SystemClock
from agentflow.testing.models import Said, call, scripted_model, text, thinking

CLOCK = SystemClock()
LOG: list[int] = []
SETTINGS = WorkerSettings(lease=SECOND, renew_every=SECOND // 4, poll=0.2, max_recoveries=1_000, hot_window=SECOND // 2, slots=20)


def note(what: str) -> None:
    """Write a line, at once: it outlives this process."""
    os.write(LOG[0], f"{current_step().idempotency_key} {what} {CLOCK.now()}\n".encode())


@step
def slow(number: int) -> int:
    """Takes some milliseconds, in a thread."""
    note("begin")
    threading.Event().wait(random.uniform(0, 0.01))
    note("end")
    return number + 1


@step
async def quick(number: int) -> int:
    """Takes no time."""
    note("begin")
    note("end")
    return number * 2


@step(retry=Retry(attempts=3, initial="10ms", jitter=0))
async def shaky(number: int) -> int:
    """Fails once."""
    note("begin")
    if current_step().attempt == 1:
        raise ValueError("not yet")
    note("end")
    return number


@task
async def half(number: int) -> int:
    """A child."""
    return await quick(await slow(number))


def said(*parts: Said) -> Callable[[list[ModelMessage]], Sequence[Said]]:
    """A turn of the model, which is a body as well."""

    def tell(messages: list[ModelMessage]) -> Sequence[Said]:
        note("begin")
        return parts

    return tell


clerk = Agent(
    "clerk",
    model=scripted_model(
        said(thinking("hm"), call("quick", {"number": 1}, id="c1"), call("half", {"number": 2}, id="c2")),
        said(text("It is done.")),
    ),
    tools=[quick, ai.tool(half, approval=True)],
)


@task
async def work(number: int) -> int:
    """Some of everything; ends as `result(number)`."""
    first = await slow(number)
    parts = await asyncio.gather(quick(first), slow(first), half(first), half(first + 1), shaky(first))
    await sleep(0.05)
    total = await slow(sum(parts))
    if number % 4 == 0:
        total += int((await approve(f"{number}?")).approved)
    if number % 5 == 1:
        total += len(await clerk("Is it done?"))
    for _ in range(3):
        total = await slow(total)
    return await half(total)


def result(number: int) -> int:
    """What `work` must return."""
    first = number + 1
    total = 2 * first + first + 1 + 2 * (first + 1) + 2 * (first + 2) + first + 1
    total += int(number % 4 == 0) + 11 * int(number % 5 == 1) + 3
    return 2 * (total + 1)


@task
async def four(folder: str) -> int:
    """Three steps, and one in which the process is killed."""
    total = await quick(1) + await quick(2) + await quick(3)
    return total + await stuck(folder)


@step
def stuck(folder: str) -> int:
    """Goes on only when there is a file that says so."""
    note("begin")
    while not Path(folder, "go").exists():
        threading.Event().wait(0.01)
    note("end")
    return 4


@step
async def burn(seconds: float) -> int:
    """Lets nothing else run on the event loop."""
    note("begin")
    until = CLOCK.now() + int(seconds * SECOND)
    turns = 0
    while CLOCK.now() < until:
        turns += 1
    note("end")
    return min(turns, 1)


@task
async def hot(seconds: float) -> int:
    """A step that blocks the event loop."""
    return await burn(seconds)


numbers = InputStream[int]("numbers")
echoes = Stream[int]("echoes")


@task
async def converse(count: int) -> list[int]:
    """Tell back so many numbers, as they come."""
    found: list[int] = []
    async for number in numbers.receive():
        await echoes.append(number)
        found.append(await quick(number))
        if len(found) == count:
            break
    return found


TASKS = [work, half, clerk, four, hot, converse]


async def serve(folder: Path) -> None:
    """Work for ever."""
    async with Agentflow(TASKS, directory=folder, worker=SETTINGS):
        await asyncio.get_running_loop().create_future()


def child(folder: Path) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    random.seed()
    LOG.append(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    try:
        asyncio.run(serve(folder))
    finally:
        os._exit(1)


def main(folder: Path) -> None:
    """Fork a worker per line; when the input ends, kill all of them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pids: list[int] = []
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(folder)
        pids.append(pid)
        print(pid, flush=True)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main(Path(sys.argv[1]))
