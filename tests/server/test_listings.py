"""Tasks, workers, queues, health."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agentflow import Agentflow, task
from tests.server.site import Site, site_of
from tests.server.tasks import TASKS


async def test_tasks_are_listed_with_their_payload_and_who_serves_them(site: Site) -> None:
    tasks = {one["name"]: one for one in (await site.client.get("/v1/tasks")).json()["tasks"]}
    greet = tasks["greet"]
    assert (greet["kind"], greet["queue"], greet["description"], greet["workers"]) == ("task", "default", "Greet somebody.", 1)
    assert greet["payload_schema"]["required"] == ["name"]
    assert set(tasks) == {task.name for task in TASKS}


async def test_workers_are_listed_and_said_to_live(site: Site) -> None:
    [worker] = (await site.client.get("/v1/workers")).json()["workers"]
    assert (worker["pid"], worker["live"], worker["state"], worker["queues"]) == (os.getpid(), True, "live", ["default"])
    assert (worker["runs"], worker["slots"]) == (0, 100)
    assert {"name": "greet", "versions": []} in worker["tasks"]


async def test_tasks_and_workers_show_versions(tmp_path: Path, stream_server: str) -> None:
    @task(version="2", accepts=["1"])
    async def fulfil() -> None: ...

    async with Agentflow([fulfil], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        [known] = (await site.client.get("/v1/tasks")).json()["tasks"]
        [worker] = (await site.client.get("/v1/workers")).json()["workers"]
    assert (known["name"], known["version"], known["workers"]) == ("fulfil", "2", 1)
    assert worker["tasks"] == [{"name": "fulfil", "versions": ["2", "1"]}]


async def test_a_worker_is_had_to_leave_over_http_while_the_server_goes_on(site: Site) -> None:
    [worker] = (await site.client.get("/v1/workers")).json()["workers"]
    answer = await site.client.post(f"/v1/workers/{worker['id']}/drain")
    assert (answer.status_code, answer.json()["state"]) == (200, "draining")
    async with asyncio.timeout(10):
        while (await site.client.get("/v1/workers")).json()["workers"]:
            await asyncio.sleep(0)
    assert (await site.client.get("/v1/health")).json()["status"] == "degraded"
    lost = await site.client.post("/v1/workers/worker_7/drain")
    assert (lost.status_code, lost.json()["code"]) == (404, "worker_not_found")


async def test_queues_count_their_runs_by_state(tmp_path: Path, stream_server: str) -> None:
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server, worker=False) as app, site_of(app) as site:
        assert (await site.client.get("/v1/queues")).json() == {"queues": []}
        first, _ = [await site.start("greet", name=name) for name in "ab"]
        body = {"task": "greet", "payload": {"name": "c"}, "options": {"delay": "1h"}}
        await site.client.post("/v1/runs", json=body)
        [queue] = (await site.client.get("/v1/queues")).json()["queues"]
        run = (await site.client.get(f"/v1/runs/{first}")).json()
    assert (queue["name"], queue["queued"], queue["scheduled"], queue["running"], queue["workers"]) == ("default", 2, 1, 0, 0)
    assert queue["oldest_queued_at"] == run["created_at"]


async def test_a_served_queue_is_listed_even_when_it_is_empty(site: Site) -> None:
    [queue] = (await site.client.get("/v1/queues")).json()["queues"]
    assert (queue["name"], queue["workers"], queue["queued"]) == ("default", 1, 0)


async def test_all_is_well(site: Site) -> None:
    answer = await site.client.get("/v1/health")
    assert answer.status_code == 200
    well = {"ok": True, "error": None}
    assert answer.json() == {"status": "ok", "database": well, "streams": well, "workers": 1}


async def test_without_a_worker_or_streams_health_is_degraded_and_still_200(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    async with Agentflow(TASKS, directory=tmp_path, redis=nowhere, worker=False) as app, site_of(app) as site:
        answer = await site.client.get("/v1/health")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["workers"]) == ("degraded", 0)
    assert answer.json()["streams"] == {"ok": False, "error": "stream_unavailable"}


async def test_without_a_database_health_is_503(tmp_path: Path, stream_server: str) -> None:
    async with Agentflow(TASKS, directory=tmp_path, redis=stream_server, worker=False) as app, site_of(app) as site:
        await app.database.close()
        answer = await site.client.get("/v1/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["database"]["ok"] is False
