"""What the versions of a prompt did, on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, prompt
from agentflow.clock import SECOND
from agentflow.database.port import Transaction, transaction
from agentflow.records import EntryKind, JournalEntry
from agentflow.storage import bindings, generations, runs
from agentflow.storage.generations import Generated, Spoken
from agentflow.storage.runs import NewRun
from tests.cli.conftest import Call, as_json


@pytest.fixture
def call(folder: Path, run: Call) -> Call:
    """The command line of an installation in which a version of `counted` was called twice, once in vain."""
    coded: Any = prompt("counted", text="Count.")

    async def once() -> None:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1", worker=False) as app:
            now = app.clock.now()
            await app.database.transact(bindings.deploy([coded.own], "prod", "ci", now))
            new = NewRun(id="run_counted", task="t", queue="default", input="{}")
            begun = (await app.database.transact(runs.start(new, now))).run
            spoken = coded.fill().spoken
            for seq, more in enumerate(({}, {"ended": "failed", "error": "Refused"}), 1):
                entry = JournalEntry(seq, EntryKind.RESULT, f"ask#{seq}", "1", None, None, 1, 1, now, now, 1)
                await app.database.transact(called(begun.key, entry, spoken, more))

    asyncio.run(once())
    return run


@transaction
def called(run: int, entry: JournalEntry, spoken: Spoken, more: dict[str, Any]) -> Transaction[None]:
    used = {"input": 3, "output": 4, "cost": 250_000_000, "model": "m"}
    given: dict[str, Any] = {"env": "prod", "began": entry.ended_at - 2 * SECOND, "first_at": None, "ended": "answered", **more}
    yield from generations.put(run, entry, Generated(spoken=spoken, used=used, **given))


def test_versions_are_measured_and_their_calls_listed(call: Call) -> None:
    [counted] = as_json(call("prompts", "metrics", "counted", "--json"))
    assert (counted["version"], counted["calls"], counted["errors"], counted["usd"]) == (1, 2, 1, "0.5")
    shown = call("prompts", "metrics", "counted", "--since", "1h", "--by", "variant").stdout
    assert [told in shown for told in ("v1", "9.5%–90.5%", "0.25", "2 s")] == [True] * 4
    failed, answered = as_json(call("prompts", "generations", "counted", "v1", "--json"))
    assert (failed["error"], answered["ended"], answered["run"]) == ("Refused", "answered", "run_counted")
    assert "Refused" in call("prompts", "generations", "counted", "--limit", "1").stdout
    listed = call("prompts", "list").stdout
    assert "0.5" in next(line for line in listed.splitlines() if "counted" in line)


def test_where_nothing_was_called_that_is_said(call: Call) -> None:
    assert "No model call by counted" in call("prompts", "generations", "counted", "--variant", "v9").stdout
    assert "No model call by counted" in call("prompts", "metrics", "counted", "--env", "dev").stdout
    assert call("prompts", "metrics", "counted", "--by", "day").exit_code == 2
    assert call("prompts", "generations", "nothing").exit_code == 1
