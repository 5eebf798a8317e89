"""`kill -9` of real worker processes on a real SQLite and a real Valkey."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agentflow import Agentflow
from agentflow.errors import WaitpointAlreadyAnswered
from agentflow.records import EntryKind, JournalEntry, RunRecord, RunState
from agentflow.storage import journal, listing
from agentflow.storage.listing import RunFilter
from agentflow.storage.workers import everyone
from tests.faults.killed_worker import echoes, numbers, result

KILLS = 200
WORKERS = 3
MESSAGES = 200
PATIENCE = 60.0


class Workers:
    """Forks workers and kills them."""

    def __init__(self, forker: asyncio.subprocess.Process) -> None:
        self._forker = forker
        self.alive: list[int] = []

    async def start(self) -> int:
        """Another worker; returns its process id."""
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.write(b"another\n")
        pid = int(await self._forker.stdout.readline())
        self.alive.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """`kill -9`."""
        self.alive.remove(pid)
        os.kill(pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill them all."""
        assert self._forker.stdin is not None
        self._forker.stdin.close()
        await self._forker.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket lives in it."""
    path = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def app(folder: Path) -> AsyncIterator[Agentflow]:
    """A process that starts runs and works on none."""
    async with Agentflow(directory=folder, worker=False) as opened:
        yield opened


@pytest.fixture
async def workers(folder: Path, app: Agentflow) -> AsyncIterator[Workers]:
    pipe = asyncio.subprocess.PIPE
    forker = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.faults.killed_worker", str(folder), stdin=pipe, stdout=pipe)
    made = Workers(forker)
    await made.start()
    await known(app, "work")
    yield made
    await made.close()


async def known(app: Agentflow, name: str) -> None:
    """Return once a worker has told that it knows the task."""
    async with asyncio.timeout(PATIENCE):
        while name not in {found for worker in await app.database.read(everyone()) for found in worker.tasks}:
            await pause(0.01)


async def pause(seconds: float) -> None:
    """Let real processes work for a while."""
    await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=seconds)


def lines(folder: Path) -> list[tuple[str, str, int]]:
    """What the bodies wrote: run and step, begin or end, time."""
    written = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [(step, what, int(at)) for step, what, at in written]


async def reach(test: Callable[[], bool]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(PATIENCE):
        while not test():
            await pause(0.01)


async def everything(app: Agentflow) -> list[RunRecord]:
    """All runs, children too."""
    return list((await app.database.read(listing.page(RunFilter(limit=100_000)))).runs)


async def recorded(app: Agentflow) -> dict[str, JournalEntry]:
    """All results of steps, by run and key."""
    found: dict[str, JournalEntry] = {}
    for run in await everything(app):
        for entry in await app.database.read(journal.load(run.key)):
            if entry.kind is EntryKind.RESULT:
                assert found.setdefault(f"{run.id}:{entry.key}", entry) is entry, "recorded twice"
    return found


async def answer(app: Agentflow) -> None:
    """Say yes to whoever asks."""
    for one in await app.waitpoints.list(kind="approval"):
        try:
            await app.waitpoints.approve(one.id, by="maria")
        except WaitpointAlreadyAnswered:
            continue


async def test_after_two_hundred_kills_every_run_is_right_and_nothing_recorded_was_done_again(
    app: Agentflow, workers: Workers, folder: Path
) -> None:
    """The real thing. Three workers, one of them killed at a random moment and replaced, two hundred times, in a stream of runs."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    started: dict[str, int] = {}
    while len(workers.alive) < WORKERS:
        await workers.start()
    for kill in range(KILLS):
        run = await app.start("work", number=kill)
        started[run.id] = kill
        await pause(chance.uniform(0.01, 0.3))
        workers.kill(chance.choice(workers.alive))
        await workers.start()
        await answer(app)
    await all_ended(app)
    await check(app, folder, started)


async def all_ended(app: Agentflow) -> None:
    """Return once every run has ended."""
    left: list[RunRecord] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while left := [run for run in await everything(app) if not run.state.terminal]:
                await answer(app)
                await pause(0.05)
    except TimeoutError:
        raise AssertionError(f"{len(left)} runs did not end: {left[:3]}") from None


async def check(app: Agentflow, folder: Path, started: dict[str, int]) -> None:
    """Each run has its result; no body began after its step was recorded."""
    ended = {run.id: run for run in await everything(app)}
    assert {run.state for run in ended.values()} == {RunState.COMPLETED}
    wrong = [(number, ended[run_id].output) for run_id, number in started.items() if ended[run_id].output != str(result(number))]
    assert wrong == []
    entries, bodies = await recorded(app), lines(folder)
    begun = Counter(step for step, what, _ in bodies if what == "begin")
    late = [(step, at) for step, what, at in bodies if what == "begin" and at > entries[step].ended_at]
    assert late == []
    # What an agent tells of a call that is a child run is a record without a body of ours.
    assert set(begun) == {step for step in entries if not step.endswith(("/told", "/when"))}
    recoveries = sum(run.epoch for run in ended.values())
    print(f"{len(ended)} runs, {len(entries)} steps, {begun.total()} bodies, {recoveries} leases")
    assert begun.total() > len(begun), "no kill hit a body: it was no test"


async def test_steps_before_a_kill_are_not_called_again_and_the_open_one_is(app: Agentflow, workers: Workers, folder: Path) -> None:
    """T1."""
    run = await app.start("four", folder=str(folder))
    await reach(lambda: (folder / "log").exists() and any("stuck" in step for step, _, _ in lines(folder)))
    workers.kill(workers.alive[0])
    (folder / "go").touch()
    await workers.start()
    assert await run.result(timeout=PATIENCE) == 16
    called = Counter(step.partition(":")[2] for step, what, _ in lines(folder) if what == "begin")
    assert called == {"quick#0": 1, "quick#1": 1, "quick#2": 1, "stuck#0": 2}


async def test_a_step_that_blocks_the_event_loop_for_longer_than_the_lease_keeps_its_run(
    app: Agentflow, workers: Workers, folder: Path
) -> None:
    """T7: the lease of one second is kept by a thread, and the other worker does not take the run."""
    await workers.start()
    run = await app.start("hot", seconds=3.0)
    assert await run.result(timeout=PATIENCE) == 1
    assert [what for _, what, _ in lines(folder)] == ["begin", "end"]
    assert (await run.get()).epoch == 1


async def test_a_conversation_goes_through_kills_without_a_message_or_an_item_lost_or_doubled(app: Agentflow, workers: Workers) -> None:
    run = await app.start("converse", count=MESSAGES)
    heard: list[int] = []

    async def hear() -> None:
        async for item in run.stream(echoes):
            heard.append(item.data)

    async def speak() -> None:
        for number in range(MESSAGES):
            await run.send(numbers, number, idempotency_key=f"{number}")
            await pause(0.01)

    async def kill() -> None:
        for kills in range(1, 6):
            await reach(lambda seen=kills * MESSAGES // 8: len(heard) > seen)
            workers.kill(workers.alive[0])
            await workers.start()

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(hear(), speak(), kill())
        assert await run.result() == [2 * number for number in range(MESSAGES)]
    assert heard == list(range(MESSAGES))
