"""Queues on the command line, and what the doctor says of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentflow import Agentflow, Queue, task
from agentflow.app.doctor import checkup
from agentflow.records import RunState
from agentflow.testing import Engine
from tests.cli.conftest import Call, as_json


@pytest.fixture
def pages(folder: Path, run: Call) -> Call:
    """The command line of an installation with a queue, in which no worker is alive."""

    @task(queue=Queue("pages", concurrency=2, rate="10/s"))
    async def page(url: str) -> str:
        return url

    async def once() -> None:
        async with Agentflow([page], directory=folder / ".agentflow", redis="redis://127.0.0.1:1"):
            pass

    asyncio.run(once())
    return run


def test_a_queue_is_paused_listed_and_resumed(pages: Call) -> None:
    assert "paused" in pages("queues", "pause", "pages", "--by", "maria").stdout
    [listed] = [one for one in as_json(pages("queues", "list", "--json")) if one["name"] == "pages"]
    assert (listed["paused_by"], listed["concurrency"], listed["rate"]) == ("maria", 2, "10/s")
    shown = pages("queues", "list").stdout
    assert "paused by maria" in shown
    assert "2 at once, 10/s" in shown
    run_id = pages("start", "page", "--payload", '{"url": "x"}').stdout.strip()
    assert "queue pages is paused by maria" in pages("runs", "list").stdout
    assert "queue pages is paused by maria" in pages("runs", "show", run_id).stdout
    assert "goes on" in pages("queues", "resume", "pages").stdout
    assert "paused" not in pages("queues", "list", "--json").stdout.replace('"paused": 0', "").replace("paused_", "")


def test_a_queue_that_does_not_exist_is_told_with_what_there_is(pages: Call) -> None:
    result = pages("queues", "pause", "nowhere")
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert "no queue 'nowhere'" in result.stderr
    assert "pages" in result.stderr


def test_a_delayed_run_is_rescheduled(pages: Call) -> None:
    run_id = pages("start", "page", "--payload", '{"url": "x"}', "--delay", "5h").stdout.strip()
    before = as_json(pages("runs", "show", run_id, "--json"))["ready_at"]
    assert "scheduled" in pages("runs", "reschedule", run_id, "--delay", "1h", "--payload", '{"url": "y"}').stdout
    moved = as_json(pages("runs", "show", run_id, "--json"))
    assert (moved["ready_at"] < before, moved["input"]) == (True, {"url": "y"})
    pages("runs", "reschedule", run_id, "--at", "2100-01-01T09:00+01:00")
    assert as_json(pages("runs", "show", run_id, "--json"))["ready_at"] == 4_102_473_600_000
    wrong = pages("runs", "reschedule", run_id, "--at", "soon")
    assert "no moment" in wrong.stderr


def test_start_options_of_queues_are_taken(pages: Call) -> None:
    words = ("start", "page", "--payload", '{"url": "x"}', "--concurrency-key", "acme", "--priority", "5", "--weight", "2")
    first = pages(*words, "--dedupe-key", "k").stdout.strip()
    assert pages(*words, "--dedupe-key", "k").stdout.strip() == first
    shown = as_json(pages("runs", "show", first, "--json"))
    assert (shown["concurrency_key"], shown["priority"]) == ("acme", 5)
    quiet = pages(*words, "--debounce", "d", "--quiet", "1h", "--leading").stdout.strip()
    assert pages(*words, "--debounce", "d", "--quiet", "1h").stdout.strip() == quiet
    assert as_json(pages("runs", "show", quiet, "--json"))["status"] == "scheduled"


class Door:
    """Where runs wait."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()


doors: list[Door] = []


@task(queue=Queue("d-full", concurrency=1))
async def behind_full() -> None:
    await doors[-1].opened.wait()


@task(queue=Queue("d-keys", key_concurrency=1))
async def behind_keyed() -> None:
    await doors[-1].opened.wait()


@task(queue=Queue("d-paced", rate="1/h"))
async def behind_paced() -> None: ...


@task
async def behind_nothing() -> None: ...


async def test_the_doctor_finds_what_holds_runs_back(engine: Engine) -> None:
    """S15: paused, full, a full key, a rate."""
    doors.append(Door())
    for one in (
        behind_full,
        behind_full,
        behind_keyed.using(concurrency_key="acme"),
        behind_keyed.using(concurrency_key="acme"),
        behind_paced,
        behind_paced,
    ):
        await engine.start(one)
    await engine.app.queues.pause("default", by="maria")
    held = await engine.start(behind_nothing)
    await engine.settle()
    await engine.clock.advance("2m")
    found = {one.code: one for one in await checkup(engine.app) if one.level != "ok"}
    # On a clock that jumps the worker has not looked for runs of late.
    assert set(found) - {"worker_quiet"} == {"queue_paused", "queue_full", "key_full", "backlog"}
    assert "paused by maria" in found["queue_paused"].message
    assert "queues resume default" in found["queue_paused"].hint
    assert found["queue_full"].details == {"queue": "d-full", "queued": 1, "oldest_seconds": 120}
    assert "key 'acme' is full (1 of 1 run) and holds 1 run more" in found["key_full"].message
    assert "rate of 1/h" in found["backlog"].hint
    doors[-1].opened.set()
    await engine.app.queues.resume("default")
    await engine.until(held, RunState.COMPLETED)
