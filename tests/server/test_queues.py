"""Queues, delays and limits over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, Queue, task
from tests.server.site import Site, site_of

LIMITS = Queue("pages", concurrency=2, key_concurrency=1, rate="600/m")


@task(queue=LIMITS)
async def page(url: str) -> str:
    return url


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    async with Agentflow([page], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        yield site


async def begin(site: Site, url: str, **options: Any) -> dict[str, Any]:
    answer = await site.client.post("/v1/runs", json={"task": "page", "payload": {"url": url}, "options": options})
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_queue_is_paused_and_resumed_and_says_so(site: Site) -> None:
    """S15"""
    paused = (await site.client.post("/v1/queues/pages/pause", json={"by": "maria"})).json()
    assert paused["paused_by"] == "maria"
    assert paused["paused_at"] is not None
    run = await begin(site, "x")
    assert (await site.client.get(f"/v1/runs/{run['id']}")).json()["note"] == "queue pages is paused by maria"
    [listed] = (await site.client.get("/v1/runs", params={"status": "queued"})).json()["runs"]
    assert listed["note"] == "queue pages is paused by maria"
    resumed = (await site.client.post("/v1/queues/pages/resume")).json()
    assert (resumed["paused_at"], resumed["paused_by"]) == (None, None)
    await site.ended(run["id"])


async def test_who_pauses_may_be_said_in_a_header(site: Site) -> None:
    paused = await site.client.post("/v1/queues/pages/pause", headers={"X-Agentflow-By": "tom"})
    assert paused.json()["paused_by"] == "tom"


async def test_queues_are_listed_with_their_limits(site: Site) -> None:
    queues = {one["name"]: one for one in (await site.client.get("/v1/queues")).json()["queues"]}
    pages = queues["pages"]
    assert (pages["concurrency"], pages["key_concurrency"], pages["rate"], pages["key_rate"], pages["workers"]) == (2, 1, "600/m", None, 1)
    assert queues["default"]["concurrency"] is None


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_queue_that_does_not_exist_is_not_found(site: Site, verb: str) -> None:
    answer = await site.client.post(f"/v1/queues/nowhere/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_queue")


async def test_start_options_of_queues_count_over_http(site: Site) -> None:
    first = await begin(site, "x", dedupe_key="k", delay="1h", weight=2, concurrency_key="acme", priority=5)
    second = await begin(site, "y", dedupe_key="k", delay="1h")
    assert (first["id"], first["concurrency_key"], first["priority"]) == (second["id"], "acme", 5)
    quiet = {"key": "d", "delay": "1h", "mode": "leading"}
    third, fourth = [await begin(site, url, debounce=quiet) for url in ("a", "b")]
    assert (third["id"], fourth["input"]) == (fourth["id"], {"url": "a"})


@pytest.mark.parametrize("options", [{"debounce": {"key": "k"}}, {"weight": 0}, {"debounce": {"key": "k", "delay": "1s", "mode": "x"}}])
async def test_options_that_make_no_sense_are_refused(site: Site, options: dict[str, Any]) -> None:
    answer = await site.client.post("/v1/runs", json={"task": "page", "payload": {"url": "x"}, "options": options})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_weight_that_never_fits_is_refused(site: Site) -> None:
    answer = await site.client.post("/v1/runs", json={"task": "page", "payload": {"url": "x"}, "options": {"weight": 601}})
    assert (answer.status_code, answer.json()["code"]) == (400, "definition")


async def test_a_delayed_run_is_rescheduled(site: Site) -> None:
    run = await begin(site, "old", delay="5h")
    moved = await site.client.post(f"/v1/runs/{run['id']}/reschedule", json={"delay": "1h", "payload": {"url": "new"}})
    assert (moved.status_code, moved.json()["input"], moved.json()["status"]) == (200, {"url": "new"}, "scheduled")
    assert moved.json()["ready_at"] < run["ready_at"]
    now = await site.client.post(f"/v1/runs/{run['id']}/reschedule", json={"at": 0})
    assert now.status_code == 200
    await site.ended(run["id"])
    late = await site.client.post(f"/v1/runs/{run['id']}/reschedule", json={"delay": "1h"})
    assert (late.status_code, late.json()["code"]) == (409, "run")


@pytest.mark.parametrize(("body", "status"), [({}, 400), ({"delay": "1h", "payload": {"link": "x"}}, 422), ({"when": "later"}, 422)])
async def test_a_reschedule_that_makes_no_sense_is_refused(site: Site, body: dict[str, Any], status: int) -> None:
    run = await begin(site, "x", delay="5h")
    assert (await site.client.post(f"/v1/runs/{run['id']}/reschedule", json=body)).status_code == status


async def test_tokens_are_kept_under_their_key_for_as_long_as_is_said(site: Site) -> None:
    """18"""
    body = {"idempotency_key": "k", "idempotency_ttl": 0.01}
    first = (await site.client.post("/v1/waitpoints", json=body)).json()["id"]
    async with asyncio.timeout(5):
        while (await site.client.post("/v1/waitpoints", json=body)).json()["id"] == first:
            pass
