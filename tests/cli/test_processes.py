"""`agentflow worker --processes N`, and isolated tasks of an app file."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Start
from tests.cli.programs import PATIENCE, Program

ISOLATED = '''
import os
from agentflow import step, task

@step
async def where() -> int:
    return os.getpid()

@task(isolation="process")
async def apart(worker: int) -> bool:
    """Work in a process of its own."""
    return await where() not in (worker, os.getppid())

@task
async def together() -> int:
    """Work in the worker."""
    return await where()
'''


def reach(test: Callable[[], bool]) -> None:
    """Return once something is so."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not test():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def crew(program: Program, count: int) -> dict[int, int]:
    """The processes that come up, by their numbers."""
    found: dict[int, int] = {}
    for _ in range(count):
        told = re.search(r"process (\d+) is up  pid (\d+)", program.until("is up"))
        assert told is not None
        found[int(told[1])] = int(told[2])
    return found


def answered(start: Start, *words: str) -> str:
    """What a command says to its end; it must succeed."""
    program = start(*words)
    assert program.end() == 0, program.said
    return program.said


def test_several_processes_work_on_one_installation_and_one_signal_ends_all_with_0(start: Start, folder: Path) -> None:
    program = start("worker", "shop.py", "--processes", "3", "--concurrency", "7")
    pids = crew(program, 3)
    assert sorted(pids) == [1, 2, 3]
    listed = json.loads(answered(start, "workers", "--json"))
    assert {one["pid"] for one in listed} == set(pids.values())
    assert {one["slots"] for one in listed} == {7}
    assert answered(start, "start", "greet", "--payload", '{"name": "Ada"}', "--wait") == '"Hello Ada"'
    run_id = answered(start, "start", "slow", "--payload", '{"seconds": 1}').splitlines()[0]
    reach((folder / "holding").exists)
    program.signal(signal.SIGTERM)
    program.until("running steps get 25 s")
    assert program.end() == 0, program.said
    assert not any(alive(pid) for pid in pids.values())
    assert json.loads(answered(start, "runs", "show", run_id, "--json"))["status"] == "completed"
    assert "No worker" in answered(start, "workers")


def test_a_process_that_died_is_replaced(start: Start) -> None:
    program = start("worker", "shop.py", "--processes", "2")
    pids = crew(program, 2)
    os.kill(pids[2], signal.SIGKILL)
    program.until("process 2 was killed by SIGKILL; another is started in 0.5 s")
    [(number, pid)] = crew(program, 1).items()
    assert number == 2
    assert pid not in pids.values()
    program.signal(signal.SIGTERM)
    assert program.end() == 0, program.said
    assert not alive(pid)


def test_a_second_signal_ends_all_processes_at_once(start: Start, folder: Path) -> None:
    program = start("worker", "shop.py", "--processes", "2")
    pids = crew(program, 2)
    answered(start, "start", "slow", "--payload", '{"seconds": 30}')
    reach((folder / "holding").exists)
    program.signal(signal.SIGTERM)
    program.until("Once more ends at once")
    program.signal(signal.SIGTERM)
    assert program.end() == 128 + signal.SIGTERM
    reach(lambda: not any(alive(pid) for pid in pids.values()))


def test_processes_stop_when_the_one_that_looks_after_them_is_killed(start: Start) -> None:
    program = start("worker", "shop.py", "--processes", "2")
    pids = crew(program, 2)
    program.signal(signal.SIGKILL)
    reach(lambda: not any(alive(pid) for pid in pids.values()))
    assert "No worker" in answered(start, "workers")


@pytest.mark.parametrize(("given", "told"), [("0", "processes = 0"), ("2", "cannot be loaded")])
def test_what_no_process_could_do_is_told_once(start: Start, folder: Path, given: str, told: str) -> None:
    (folder / "broken.py").write_text("import nothing_of_that_name")
    program = start("worker", "broken.py", "--processes", given)
    assert program.end() == 2
    assert told in program.lines[0]
    assert len(program.lines) == 2


@pytest.mark.parametrize("processes", ["1", "2"])
def test_isolated_tasks_of_an_app_file_work(start: Start, folder: Path, processes: str) -> None:
    (folder / "isolated.py").write_text(ISOLATED)
    program = start("worker", "isolated.py", "--processes", processes)
    program.until("stop " if processes == "1" else "is up")
    worker = answered(start, "start", "together", "--wait")
    assert answered(start, "start", "apart", "--payload", json.dumps({"worker": int(worker)}), "--wait") == "true"
    program.signal(signal.SIGINT)
    assert program.end() == 0, program.said
