"""Weeks of sleep, in the time of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.records import RunState
from agentflow.testing import Engine
from cookbook import scripts
from cookbook.long_sleep import chronicler, look_again, read
from tests.cookbook.conftest import Play


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A file as it is today."""
    file = tmp_path / "notes.md"
    file.write_text("buy milk\ncall Ann\n", encoding="utf-8")
    return file


async def test_what_was_read_two_weeks_and_two_workers_ago_is_compared_with_today(engine: Engine, play: Play, notes: Path) -> None:
    play(chronicler, scripts.chronicler())
    run = await engine.start(look_again, str(notes))
    await engine.waiting(run)
    await engine.clock.advance("6d")
    await engine.crash()
    await engine.clock.advance("7d")
    await engine.crash()
    notes.write_text("call Ann\npaint the door\nsleep\n", encoding="utf-8")
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.clock.advance("1d")
    assert await run.result() == "2 lines came and 1 went."
    assert engine.calls(read) == 2


async def test_a_moment_that_passed_while_no_worker_was_there_wakes_the_run_at_once(engine: Engine, play: Play, notes: Path) -> None:
    model = play(chronicler, scripts.chronicler())
    run = await engine.start(look_again, str(notes))
    await engine.waiting(run)
    await engine.stop()
    await engine.clock.advance("30d")
    await engine.go_on()
    assert (await run.result()).startswith("Nothing has changed in ")
    assert model.requests == []


async def test_starting_it_again_is_the_same_run(engine: Engine, play: Play, notes: Path) -> None:
    play(chronicler, scripts.chronicler())
    first = await engine.start(look_again.using(idempotency_key="notes"), str(notes))
    await engine.waiting(first)
    await engine.crash()
    second = await engine.start(look_again.using(idempotency_key="notes"), str(notes))
    assert second.id == first.id
