"""Tasks for processes of their own: they must stand in a module that another process can import.

What they do is written to `log` in their folder, a line each with the process id; `go` in it lets held code go on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentflow import InputStream, Isolation, Retry, Stream, approve, context, sleep, step, task
from agentflow.engine.context import TaskContext
from agentflow.engine.starting import Launcher
from agentflow.engine.starting import around as app_of_this_process
from agentflow.handle import RunHandle

SMALL, LARGE = "160MB", "640MB"
AGAIN = Retry(attempts=3, initial=0, jitter=0)
SOON = Isolation(kill_after="300ms")


def note(folder: str, what: str) -> None:
    """Write a line, at once: it outlives this process."""
    with Path(folder, "log").open("a") as log:
        log.write(f"{os.getpid()} {what}\n")


async def gone_on(folder: str) -> None:
    """Return once the code may go on."""
    while not Path(folder, "go").exists():
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.01)


def app_around() -> Launcher:
    """The app of this process."""
    app = app_of_this_process()
    assert app is not None
    return app


@step
async def mark(folder: str, what: str) -> int:
    """Leaves a mark."""
    note(folder, what)
    return os.getpid()


@step
async def hold(folder: str, what: str) -> str:
    """Goes on when it may."""
    note(folder, what)
    await gone_on(folder)
    return what


@task
async def neighbour(folder: str, number: int) -> int:
    """Works beside isolated runs, in the worker's own process."""
    await mark(folder, f"neighbour {number}")
    await gone_on(folder)
    return number


@task(isolation="process")
async def plain(folder: str) -> int:
    """Two steps."""
    await mark(folder, "first")
    return await mark(folder, "second")


def die(how: str) -> None:
    """End this process."""
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(4)
        case _:
            os._exit(0)


@task(isolation="process")
async def dies(folder: str, how: str) -> None:
    """Takes its process down."""
    await mark(folder, how)
    die(how)


@task(isolation="process", retry=AGAIN)
async def dies_once(folder: str) -> int:
    """Takes its process down at its first attempt."""
    await mark(folder, "before")
    note(folder, f"attempt {context().attempt}")
    if context().attempt == 1:
        die("abort")
    return context().attempt


def take(megabytes: int, *, at_once: bool) -> int:
    """Take memory: asked for at once, or bit by bit."""
    if at_once:
        return len(bytearray(megabytes * 1024**2))
    kept: list[bytes] = []
    for _ in range(megabytes // 4):
        kept.append(os.urandom(1024) * 4096)
        if len(kept) % 8 == 0:
            # Slow enough for the eye of the worker.
            signal.sigtimedwait([], 0.05)
    return len(kept)


@task(isolation=Isolation(memory=SMALL))
async def takes(megabytes: int, at_once: bool) -> int:
    """Takes memory."""
    return take(megabytes, at_once=at_once)


@step
def take_in_thread(megabytes: int) -> int:
    """Takes memory in a step."""
    return take(megabytes, at_once=True)


@task(isolation=Isolation(memory=SMALL, memory_after_oom=LARGE))
async def grows(folder: str, megabytes: int) -> int:
    """Gets a larger machine after it ran out of memory."""
    note(folder, f"attempt {context().attempt}")
    return await take_in_thread(megabytes)


@task(isolation=Isolation(memory=SMALL, memory_after_oom=LARGE), retry=Retry(attempts=9, initial=0))
async def grows_often(folder: str, megabytes: int) -> int:
    """As `grows`, with attempts left."""
    note(folder, f"attempt {context().attempt}")
    return take(megabytes, at_once=False)


def spin() -> None:
    """Never ends, and swallows what would end it."""
    while True:
        with suppress(BaseException):
            while True:
                pass


@task(isolation=SOON)
async def spins(folder: str) -> None:
    """Lets nothing else run on its event loop, for ever."""
    await mark(folder, "spins")
    note(folder, "spinning")
    spin()


@task(isolation=SOON, max_duration="500ms")
async def spins_too_long(folder: str) -> None:
    """As `spins`, with a limit."""
    note(folder, "spinning")
    spin()


@task(isolation=SOON)
def blocks(folder: str) -> None:
    """A plain function that never ends, and its helper."""
    helper = subprocess.Popen(["sleep", "1000"])
    note(folder, f"helper {helper.pid}")
    spin()


@task(isolation="process")
async def cleans_up(folder: str) -> None:
    """Takes a step when it is cancelled."""
    try:
        await hold(folder, "held")
    finally:
        await mark(folder, "cleaned up")


@task(isolation="process")
async def asks(folder: str) -> str:
    """Waits for a person between two steps."""
    first = await mark(folder, "before")
    decision = await approve("Go on?", notify=["log"])
    second = await mark(folder, "after")
    return f"{decision.by} {first != second}"


@task(isolation="process")
async def held(folder: str) -> int:
    """Is held in its second step."""
    first = await mark(folder, "first")
    await hold(folder, "held")
    return first


@task(isolation="process")
async def woken(folder: str) -> str:
    """Is woken while a step of it works, which ends only after that."""

    async def opens() -> None:
        await sleep("300ms")
        Path(folder, "go").touch()

    held_one, _ = await asyncio.gather(hold(folder, "held"), opens())
    return held_one


@task(isolation="process")
async def beside(folder: str) -> str:
    """Plain code works beside a wait."""

    async def works() -> str:
        note(folder, "plain")
        await gone_on(folder)
        return "worked"

    async def waits() -> None:
        await sleep("100ms")
        note(folder, "waited")

    worked, _ = await asyncio.gather(works(), waits())
    return worked


@task
async def twice(number: int) -> int:
    """A child in the worker's process."""
    return 2 * number


@task(isolation="process")
async def thrice(number: int) -> int:
    """A child in a process of its own."""
    return 3 * number


async def around(run: TaskContext, call_next: Callable[[], Awaitable[Any]]) -> Any:
    """A middleware."""
    run.metadata["around"] = os.getpid()
    return await call_next()


numbers = InputStream[int]("numbers")
heard = Stream[int]("heard")


@task(isolation="process")
async def listens(run_id: str | None) -> list[int]:
    """Hears two numbers, and tells them to its readers and to another run."""
    found: list[int] = []
    async for number in numbers.receive():
        found.append(number)
        await heard.append(number)
        if run_id is not None:
            await RunHandle[Any](run_id, app_around().verbs, listens.codec).send(numbers, number)
        if len(found) == 2:
            break
    return found


TASKS = [
    *(neighbour, plain, dies, dies_once, takes, grows, grows_often, spins, spins_too_long, blocks, cleans_up),
    *(asks, held, woken, beside, twice, thrice, listens),
]
