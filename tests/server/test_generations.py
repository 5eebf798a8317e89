"""The model calls of prompts over HTTP: who sees them, and what stays of them when their run is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agentflow, current_step, prompt, step, task
from agentflow.client import Client
from agentflow.errors import GenerationNotFound, RunFailed
from agentflow.streams.events import TextDelta, TextStart, Usage
from tests.server.bearers import KEY, guarded, holding, refusal
from tests.server.site import Site


class Ask(BaseModel):
    topic: str


titles: Any = None


@step(kind="llm")
async def entitle(said: str) -> str:
    here = current_step()
    if said.endswith("nothing."):
        raise LookupError("I know nothing of it.")
    here.publish(TextStart("p", "m"))
    here.publish(TextDelta("p", "T"))
    here.publish(Usage(provider="test", model="m", input=3, output=4, cost=0.25))
    return "T"


@task(name="entitles_by_prompt")
async def entitled(topic: str) -> str:
    said = await titles.get(topic=topic)
    with said.counting():
        return await entitle(said.text)


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    global titles
    titles = prompt("mail/entitled", vars=Ask, text="A title for {{topic}}.")
    async with Agentflow([entitled], directory=tmp_path, redis=stream_server) as app, guarded(app) as made:
        yield made


async def told(site: Site, path: str, **query: Any) -> Any:
    answer = await site.client.get(f"/v1/prompts/mail/entitled{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ran(*topics: str) -> list[str]:
    """The ids of runs, one after the other."""
    found: list[str] = []
    for topic in topics:
        run = await entitled.start(topic)
        found.append(run.id)
        if topic == "nothing":
            with pytest.raises(RunFailed, match="LookupError"):
                await run.result()
        else:
            assert await run.result() == "T"
    return found


async def test_calls_are_listed_and_measured(site: Site) -> None:
    first, *_ = await ran("bees", "tea", "nothing")
    page = await told(site, "/generations", limit=2)
    rest = await told(site, "/generations", limit=2, cursor=page["next"])
    assert [one["error"] for one in page["generations"]] == ["LookupError", None]
    assert ([one["run"] for one in rest["generations"]], rest["next"]) == ([first], None)
    [measured] = (await told(site, "/metrics"))["metrics"]
    assert {name: measured[name] for name in ("version", "calls", "errors", "input", "output", "usd", "usd_per_call", "usd_interval")} == {
        "version": 1,
        "calls": 3,
        "errors": 1,
        "input": 6,
        "output": 8,
        "usd": "0.5",
        "usd_per_call": 0.25,
        "usd_interval": [0.25, 0.25],
    }
    low, high = measured["error_interval"]
    assert 0.06 < low < 1 / 3 < high < 0.8
    assert measured["first_token_p95_ms"] <= measured["latency_p95_ms"]
    [listed] = [one for one in (await site.client.get("/v1/prompts")).json()["prompts"] if one["name"] == "mail/entitled"]
    assert listed["day"] == {"calls": 3, "errors": 1, "usd": "0.5"}
    spoke = (await site.client.get(f"/v1/runs/{first}/generations")).json()
    assert spoke == {"generations": [{**rest["generations"][0], "prompt": "mail/entitled"}]}
    assert refusal(await site.client.get("/v1/runs/run_nobody/generations")) == (404, "run_not_found")
    async with Client(site.url, KEY) as client:
        assert (await client.prompts.metrics("mail/entitled", env="prod"))["metrics"] == [measured]
        found = await client.prompts.generations("mail/entitled", version=1, limit=1)
        assert (await client.prompts.generation("mail/entitled", found["generations"][0]["id"]))["variables"] == {"topic": "nothing"}
        with pytest.raises(GenerationNotFound):
            await client.prompts.generation("mail/entitled", "gen_0")


async def test_variables_are_told_to_who_may_read_the_run_and_go_with_it(site: Site) -> None:
    [run] = await ran("bees")
    [one] = (await told(site, "/generations"))["generations"]
    path = f"/v1/prompts/mail/entitled/generations/{one['id']}"
    assert (await site.client.get(path)).json() == {**one, "variables": {"topic": "bees"}}
    async with holding(site, "prompt:read") as caller:
        assert (await caller.client.get(path)).json() == {**one, "variables": None}
    async with holding(site, "prompt:read", f"run:read:{run}") as caller:
        assert (await caller.client.get(path)).json()["variables"] == {"topic": "bees"}
    async with holding(site, f"run:read:{run}") as caller:
        assert refusal(await caller.client.get(path)) == (403, "scope_missing")
    await site.app.runs.delete(run)
    assert (await site.client.get(path)).json() == {**one, "run": None, "variables": None}
    assert (await told(site, "/metrics", group="variant"))["metrics"][0]["calls"] == 1
    assert (await told(site, "/metrics", env="elsewhere"))["metrics"] == []
