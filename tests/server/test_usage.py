"""What runs and conversations used, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agent, Agentflow
from agentflow.cli.portrait import draw, look, view
from agentflow.testing.models import call, scripted_model, text, tokens
from tests.server.site import Site, site_of

NOTHING = {"calls": 0, "input": 0, "output": 0, "cached": 0, "reasoning": 0, "usd": "0", "unpriced": 0, "unmetered": 0}
OWN = {**NOTHING, "calls": 2, "input": 300, "output": 30, "usd": None, "unpriced": 2}


@pytest.fixture
async def counting(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    helper = Agent("counted_helper", model=scripted_model([text("42"), tokens(7)]))
    asked = [call("counted_helper", {"prompt": "?"}, id="c1"), tokens(100, 10)]
    support = Agent("counted", model=scripted_model(asked, [text("done"), tokens(200, 20)]), tools=[helper])
    async with Agentflow([support, helper], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


async def ask(site: Site) -> str:
    body = {"task": "counted", "payload": {"prompt": "go"}, "options": {"thread": "t-7"}}
    run_id = (await site.client.post("/v1/runs", json=body)).json()["id"]
    await site.ended(run_id)
    return run_id


async def test_a_run_its_records_and_its_thread_say_what_they_used(counting: Site) -> None:
    run_id = await ask(counting)
    run = (await counting.client.get(f"/v1/runs/{run_id}")).json()
    total = {**OWN, "calls": 3, "input": 307, "unpriced": 3}
    assert run["usage"] == {"own": OWN, "total": total}
    entries = (await counting.client.get(f"/v1/runs/{run_id}/journal")).json()["entries"]
    assert [entry["usage"]["input"] for entry in entries if entry["usage"]] == [100, 200]
    assert (await counting.client.get("/v1/threads/t-7")).json()["usage"] == total


async def test_the_command_line_shows_what_a_run_used(counting: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seen = await look(counting.app, await ask(counting))
    draw(seen)
    printed = " ".join(capsys.readouterr().out.split())
    assert "used 300 + 30 tokens in 2 model calls at an unknown price" in printed
    assert "in all 307 + 30 tokens in 3 model calls" in printed
    assert view(seen)["usage"]["own"] == OWN
