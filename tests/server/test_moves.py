"""Runs moved to another version of their code."""

from __future__ import annotations

from pathlib import Path

from agentflow import Agentflow, approve, task
from agentflow.records import RunState
from tests.server.site import site_of


@task(version="2")
async def fulfil() -> bool:
    return (await approve("ok?")).approved


async def test_a_run_is_moved_to_the_version_that_a_live_worker_has(tmp_path: Path, stream_server: str) -> None:
    old = task(name="fulfil", version="1")(fulfil.function)
    async with Agentflow([fulfil], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        run = await old.start()
        before = (await site.client.get(f"/v1/runs/{run.id}")).json()
        assert (before["status"], before["version"]) == (RunState.QUEUED, "1")
        moved = await site.client.post(f"/v1/runs/{run.id}/move", json={"to": "2"})
        assert (moved.status_code, moved.json()["version"], moved.json()["warning"]) == (200, "2", None)
        unknown = await site.client.post(f"/v1/runs/{run.id}/move", json={"to": "9"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_version")
        forced = await site.client.post(f"/v1/runs/{run.id}/move", json={"to": "9", "force": True})
        assert forced.status_code == 200
        assert "No live worker takes fulfil version 9" in forced.json()["warning"]
        assert (await site.client.post(f"/v1/runs/{run.id}/move", json={"to": "2"})).status_code == 200
        await run.cancel("enough")
        await app.runs.ended(run.id)
        late = await site.client.post(f"/v1/runs/{run.id}/move", json={"to": "2"})
        assert (late.status_code, late.json()["code"]) == (409, "run")
        assert (await site.client.post("/v1/runs/run_7/move", json={"to": "2"})).status_code == 404
        assert (await site.client.post(f"/v1/runs/{run.id}/move", json={})).status_code == 422
