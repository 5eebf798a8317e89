"""Messages into runs over HTTP, and the items that runs append for their readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agentflow, InputStream, Stream, task
from agentflow.engine.named import LIMIT
from tests.server.site import Site, site_of


class Order(BaseModel):
    """What a customer wants."""

    item: str
    count: int = 1


orders = InputStream[Order]("orders")
receipts = Stream[Order]("receipts")


@task
async def shop(customers: int) -> list[str]:
    """Serve so many customers."""
    served: list[str] = []
    async for order in orders.receive():
        await receipts.append(order)
        served.append(f"{order.count} {order.item}")
        if len(served) == customers:
            break
    return served


@pytest.fixture
async def site(tmp_path: Path, stream_server: str) -> AsyncIterator[Site]:
    async with Agentflow([shop], directory=tmp_path, redis=stream_server) as app, site_of(app) as opened:
        yield opened


async def send(site: Site, run_id: str, data: Any, key: str | None = None, name: str = "orders") -> tuple[int, Any]:
    headers = {} if key is None else {"idempotency-key": key}
    answer = await site.client.post(f"/v1/runs/{run_id}/inputs/{name}", json={"data": data}, headers=headers)
    return answer.status_code, answer.json().get("seq") or answer.json().get("code")


async def test_messages_reach_the_run_and_its_items_reach_the_stream(site: Site) -> None:
    run_id = await site.start("shop", customers=2)
    waiting = await site.waiting(run_id)
    assert (waiting["kind"], waiting["subject"]) == ("signal", {"stream": "orders"})
    items: list[dict[str, Any]] = []
    async with asyncio.timeout(20), aclosing(site.frames(run_id)) as frames:
        assert await send(site, run_id, {"item": "tea"}) == (202, 1)
        async for frame in frames:
            if frame.type == "stream.item":
                assert frame.id
                items.append(frame.data or {})
                if len(items) == 1:
                    assert await send(site, run_id, {"item": "cake", "count": 2}) == (202, 2)
    assert [(one["stream"], one["data"]) for one in items] == [
        ("receipts", {"item": "tea", "count": 1}),
        ("receipts", {"item": "cake", "count": 2}),
    ]
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["output"] == ["1 tea", "2 cake"]


async def test_the_same_key_is_the_same_message_and_another_one_under_it_a_409(site: Site) -> None:
    run_id = await site.start("shop", customers=2)
    assert [await send(site, run_id, {"item": "tea"}, "k") for _ in range(3)] == [(202, 1)] * 3
    assert await send(site, run_id, {"item": "cake"}, "k") == (409, "idempotency_conflict")
    assert await send(site, run_id, {"item": "cake"}, "l") == (202, 2)
    await site.ended(run_id)
    assert await send(site, run_id, {"item": "tea"}, "k") == (202, 1)


async def test_an_ended_run_is_a_409_and_an_unknown_one_a_404(site: Site) -> None:
    run_id = await site.start("shop", customers=1)
    await send(site, run_id, {"item": "tea"})
    await site.ended(run_id)
    assert await send(site, run_id, {"item": "tea"}) == (409, "run")
    assert await send(site, "run_none", {"item": "tea"}) == (404, "run_not_found")


async def test_what_does_not_fit_is_told_before_it_is_sent(site: Site) -> None:
    run_id = await site.start("shop", customers=1)
    assert await send(site, run_id, {"item": "tea", "count": "many"}) == (422, "invalid_message")
    assert await send(site, run_id, {"item": "x" * LIMIT}) == (413, "item_too_large")
    assert await send(site, run_id, {}, name="or+ders") == (400, "definition")
    missing = await site.client.post(f"/v1/runs/{run_id}/inputs/orders", json={"value": 1})
    assert (missing.status_code, missing.json()["code"]) == (422, "invalid_request")
    assert await send(site, run_id, {"item": "tea"}) == (202, 1)
    await site.ended(run_id)


async def test_a_wait_for_a_message_is_not_answered_like_a_question(site: Site) -> None:
    run_id = await site.start("shop", customers=1)
    waiting = await site.waiting(run_id)
    answer = await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"value": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_answer")
    assert "inputs" in answer.json()["hint"]
    assert [one["id"] for one in (await site.client.get("/v1/waitpoints?kind=signal")).json()["waitpoints"]] == [waiting["id"]]


async def test_a_server_that_does_not_know_the_code_passes_any_value_on(site: Site, tmp_path: Path, stream_server: str) -> None:
    run_id = await site.start("shop", customers=1)
    async with Agentflow(directory=tmp_path, redis=stream_server, worker=False) as apart, site_of(apart) as other:
        assert await send(other, run_id, {"item": 7}) == (202, 1)
        await site.app.runs.ended(run_id, timeout=20)
    failed = (await site.client.get(f"/v1/runs/{run_id}")).json()["error"]
    assert failed["type"] == "InvalidMessage"
