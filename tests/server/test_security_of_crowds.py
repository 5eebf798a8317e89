"""Rule 11 of decisions: nobody is tired out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow import Agentflow, WorkerSettings, approve, task
from tests.server.site import PATIENCE, Site, site_of
from tests.server.test_security_rules import link


@task
async def guarded_crowd(titles: list[str]) -> int:
    return sum([one.approved for one in await asyncio.gather(*(approve(title) for title in titles))])


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    settings = WorkerSettings(public_url="https://agents.test")
    async with Agentflow([guarded_crowd], directory=tmp_path, redis=stream_server, worker=settings) as app, site_of(app) as opened:
        yield opened


async def test_11_people_are_asked_once_about_the_same_and_not_about_too_much(site: Site) -> None:
    """Fatigue."""
    run_id = await site.start("guarded_crowd", titles=[*["Same?"] * 4, *(f"q{number}" for number in range(24))])
    async with asyncio.timeout(PATIENCE):
        while len(mine := (await site.client.get(f"/v1/runs/{run_id}")).json()["waiting"]) < 28:
            await asyncio.sleep(0)
    shown = (await site.client.get("/v1/waitpoints", params={"limit": 100})).json()["waitpoints"]
    assert (len(shown), sum(one["held"] is None for one in mine)) == (20, 20)
    same = [one for one in mine if one["subject"]["title"] == "Same?"]
    assert {one["times"] for one in same} == {4}
    [first] = [one for one in same if one["held"] != "same"]
    page = await site.client.get(await link(site, first["id"]))
    assert "4 times" in page.text
    done = await site.client.post(f"/v1/waitpoints/{first['id']}/decisions", json={"approved": True, "by": "maria"})
    assert (done.status_code, len(done.json()["others"])) == (200, 3)
    now = {one["id"]: one for one in (await site.client.get("/v1/waitpoints", params={"run": run_id, "state": "any"})).json()["waitpoints"]}
    assert [(now[one["id"]]["state"], now[one["id"]]["answered_by"]) for one in same] == [("answered", "maria")] * 4
    entries = [one for one in await site.app.audit.entries() if one["type"] == "decision"]
    assert sorted(one["waitpoint"] for one in entries) == sorted(one["id"] for one in same)
    assert sum(one["detail"].get("follows") == first["id"] for one in entries) == 3
    assert len((await site.client.get("/v1/waitpoints", params={"limit": 100})).json()["waitpoints"]) == 20
