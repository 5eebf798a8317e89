"""`agentflow workers`, `runs move`, and versions, with real processes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call, Start, as_json
from tests.cli.programs import PATIENCE
from tests.cli.test_processes import alive, answered, crew, reach

VERSIONED = '''
from agentflow import approve, task

@task(version="{version}")
async def fulfil() -> str:
    """Fulfil an order."""
    decision = await approve("Ship it?")
    return "by {version}"
'''


def listed(start: Start) -> list[dict[str, Any]]:
    return json.loads(answered(start, "workers", "--json"))


def test_a_worker_that_an_operator_has_leave_finishes_its_step_and_exits_with_0(start: Start, folder: Path) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    run_id = answered(start, "start", "slow", "--payload", '{"seconds": 6}').splitlines()[0]
    reach((folder / "holding").exists)
    [one] = listed(start)
    assert (one["state"], one["runs"], one["slots"], one["queues"]) == ("live", 1, 100, ["default"])
    assert {"name": "slow", "versions": []} in one["tasks"]
    assert "to leave" in answered(start, "workers", "drain", one["id"])
    worker.until("an operator has this worker leave")
    assert worker.end() == 0, worker.said
    assert json.loads(answered(start, "runs", "show", run_id, "--json"))["status"] == "completed"
    assert "No worker" in answered(start, "workers")


SETTLED = '''
import gc

from agentflow import task

@task
async def frozen() -> int:
    """Count what is out of garbage collection."""
    return gc.get_freeze_count()
'''


@pytest.mark.parametrize("command", ["dev", "worker"])
def test_what_a_process_that_stays_has_loaded_is_out_of_garbage_collection(start: Start, folder: Path, command: str) -> None:
    (folder / "settled.py").write_text(SETTLED)
    program = start(command, "settled.py", *(["--port", "0"] if command == "dev" else []))
    program.until("stop ")
    reach(lambda: int(answered(start, "start", "frozen", "--wait")) > 10_000)


def test_one_of_several_processes_that_is_had_to_leave_is_not_replaced_and_the_others_work_on(start: Start) -> None:
    program = start("worker", "shop.py", "--processes", "2")
    pids = crew(program, 2)
    by_pid = {one["pid"]: one["id"] for one in listed(start)}
    answered(start, "workers", "drain", by_pid[pids[1]])
    reach(lambda: not alive(pids[1]))
    assert answered(start, "start", "greet", "--payload", '{"name": "Ada"}', "--wait") == '"Hello Ada"'
    assert [one["pid"] for one in listed(start)] == [pids[2]]
    answered(start, "workers", "drain", by_pid[pids[2]])
    assert program.end() == 0, program.said
    assert "is started in" not in program.said


def test_a_run_of_a_version_that_is_gone_is_found_moved_and_done(start: Start, folder: Path) -> None:
    """T19: all by the command line."""
    for version in ("1", "2"):
        (folder / f"version_{version}.py").write_text(VERSIONED.format(version=version))
    first = start("worker", "version_1.py")
    first.until("stop ")
    run_id = answered(start, "start", "fulfil").splitlines()[0]
    reach(lambda: json.loads(answered(start, "runs", "show", run_id, "--json"))["status"] == "waiting")
    first.signal(signal.SIGTERM)
    assert first.end() == 0, first.said
    second = start("worker", "version_2.py")
    second.until("stop ")
    assert "1 waiting run of fulfil version 1 will not go on" in answered(start, "runs", "show", run_id)
    question = json.loads(answered(start, "runs", "show", run_id, "--json"))["waiting"][0]["id"]
    answered(start, "approve", question)
    shown = answered(start, "runs", "show", run_id)
    assert "version 1" in shown
    assert "agentflow runs move --task fulfil --from 1 --to 2" in shown
    doctor = start("doctor", "--json")
    assert doctor.end() == 1, doctor.said
    [found] = [one for one in json.loads(doctor.said) if one["code"] == "nobody_takes"]
    assert (found["runs"], found["details"]["version"]) == ([run_id], "1")
    assert "1 moved" in answered(start, "runs", "move", "--task", "fulfil", "--from", "1", "--to", "2")
    ended(start, run_id, "by 2")


def ended(start: Start, run_id: str, output: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (shown := json.loads(answered(start, "runs", "show", run_id, "--json")))["status"] != "completed":
        assert time.monotonic() < deadline, shown
    assert shown["output"] == output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run_7",), "To which version?"),
        (("run_7", "--to", "2", "--to-any"), "To which version?"),
        (("--to", "2"), "Which runs?"),
        (("--to", "2", "--task", "fulfil"), "Which runs?"),
        (("run_7", "--to", "2", "--from", "1"), "Which runs?"),
        (("run_7", "--to", "2"), "no run 'run_7'"),
        (("--task", "fulfil", "--from", "1", "--to", "2"), "no task 'fulfil'"),
    ],
)
def test_a_move_that_is_not_clear_is_told_what_it_lacks(run: Call, words: tuple[str, ...], told: str) -> None:
    run("migrate")
    result = run("runs", "move", *words)
    assert result.exit_code != 0
    assert told in result.output


def test_a_worker_that_is_not_there_cannot_leave(run: Call) -> None:
    run("migrate")
    result = run("workers", "drain", "worker_7")
    assert result.exit_code != 0
    assert "no worker 'worker_7'" in result.output
    assert as_json(run("workers", "--json")) == []
