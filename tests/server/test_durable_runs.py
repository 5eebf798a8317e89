"""Runs as durable streams: offsets, the end, streams that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentflow import Agentflow
from agentflow.streams.courier import stream_key
from agentflow.streams.wire import Remote, Wire
from tests.server.site import PATIENCE, Site, flat, site_of
from tests.server.tasks import TASKS
from tests.server.test_rebuilt import decided
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    wire = Wire(Remote(stream_server))
    yield wire
    await wire.close()


async def read(site: Site, run_id: str, offset: str = "-1", **query: str) -> httpx.Response:
    answer = await site.client.get(f"/v1/stream/runs/{run_id}", params={"offset": offset, **query})
    assert answer.status_code == 200, answer.text
    return answer


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    return [flat(entry) for entry in answer.json()]


def offset_of(id: str) -> str:
    epoch, seq = id.split("-")
    return f"{int(epoch):08d}_{int(seq) + 1:012d}"


async def log(site: Site, run_id: str) -> list[dict[str, Any]]:
    return (await site.events(run_id, limit=500))["events"]


async def test_a_run_is_read_as_json_messages_with_their_ids_and_is_closed_by_its_end(site: Site) -> None:
    run_id = await decided(site)
    answer = await read(site, run_id)
    assert answer.headers["content-type"] == "application/json"
    assert messages(answer) == await log(site, run_id)
    assert answer.headers["stream-closed"] == answer.headers["stream-up-to-date"] == "true"
    assert answer.headers["stream-next-offset"] == offset_of(messages(answer)[-1]["id"])
    head = await site.client.head(f"/v1/stream/runs/{run_id}")
    assert (head.headers["stream-next-offset"], head.headers["stream-closed"]) == (answer.headers["stream-next-offset"], "true")
    same = {"if-none-match": answer.headers["etag"]}
    assert (await site.client.get(f"/v1/stream/runs/{run_id}", headers=same)).status_code == 304


async def test_every_offset_gives_the_rest_and_offsets_sort_as_text_over_epochs(site: Site) -> None:
    run_id = await decided(site)
    events = await log(site, run_id)
    offsets = ["00000000_000000000000", *(offset_of(event["id"]) for event in events)]
    assert len({offset[:8] for offset in offsets}) > 2
    assert all(one < other for one, other in pairwise(offsets))
    for at, offset in enumerate(offsets):
        answer = await read(site, run_id, offset)
        assert messages(answer) == events[at:]
        assert answer.headers["stream-closed"] == "true"
    ended = await site.client.get(f"/v1/stream/runs/{run_id}", params={"offset": offsets[-1], "live": "long-poll"})
    assert (ended.status_code, ended.headers["stream-closed"]) == (204, "true")
    now = await read(site, run_id, "now")
    assert (messages(now), now.headers["stream-next-offset"]) == ([], offsets[-1])


async def test_a_reader_may_choose_what_it_is_told_and_its_offset_passes_over_the_rest(site: Site, wire: Wire) -> None:
    run_id = await decided(site)
    whole = await read(site, run_id)
    for _ in range(2):
        some = await read(site, run_id, types="approval,run.completed")
        told = [event["type"] for event in messages(some) if event["type"] != "sync.snapshot"]
        assert told == ["approval.requested", "approval.resolved", "run.completed", "end"]
        assert some.headers["stream-next-offset"] >= whole.headers["stream-next-offset"]
        await wire.call("DEL", stream_key(run_id))
    going = await site.start("publish", draft="text")
    waiting = await site.waiting(going)
    polls = [asyncio.create_task(read(site, going, types="run.completed", live=live)) for live in ("long-poll", "sse")]
    async with asyncio.timeout(PATIENCE):
        while site.app.streams.counters["followed"] == 0:
            await asyncio.sleep(0)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    poll, events = await asyncio.gather(*polls)
    assert messages(poll)[0]["type"] == "run.completed"
    assert events.text.count("event: data") in (1, 2)
    assert "approval" not in events.text
    unknown = await site.client.get(f"/v1/stream/runs/{run_id}", params={"types": "nonsense"})
    assert unknown.status_code == 422


async def test_a_run_is_only_read(site: Site) -> None:
    run_id = await site.start("greet", name="ada")
    for method in ("PUT", "POST", "DELETE"):
        answer = await site.client.request(
            method, f"/v1/stream/runs/{run_id}", content=b"[1]", headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", "GET, HEAD")


async def test_runs_and_offsets_that_are_not_there_are_told(site: Site) -> None:
    missing = await site.client.get("/v1/stream/runs/run_nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "run_not_found")
    run_id = await site.start("greet", name="ada")
    for offset in ("3-128", "00000003_000000000000", "x"):
        assert (await site.client.get(f"/v1/stream/runs/{run_id}", params={"offset": offset})).status_code == 400


async def test_a_long_poll_returns_what_a_run_says_next(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.app.streams.flush()
    tail = (await read(site, run_id)).headers["stream-next-offset"]
    poll = asyncio.create_task(read(site, run_id, tail, live="long-poll"))
    async with asyncio.timeout(PATIENCE):
        while site.app.streams.counters["followed"] == 0:
            await asyncio.sleep(0)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    found = await poll
    assert messages(found)[0]["type"] in ("approval.resolved", "run.started", "run.attempt")
    assert found.headers["stream-cursor"].isdigit() or found.headers["stream-closed"] == "true"


async def test_server_sent_events_follow_a_run_to_its_end(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    events = asyncio.create_task(read(site, run_id, live="sse"))
    async with asyncio.timeout(PATIENCE):
        while site.app.streams.counters["followed"] == 0:
            await asyncio.sleep(0)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    text = (await events).text
    assert text.endswith('"upToDate":true,"streamClosed":true}\n\n')
    assert text.count("event: data\n") == text.count("event: control\n")


async def test_a_run_whose_stream_is_gone_is_told_from_the_database_with_offsets_that_go_on(site: Site, wire: Wire) -> None:
    run_id = await decided(site)
    before = (await read(site, run_id)).headers["stream-next-offset"]
    await wire.call("DEL", stream_key(run_id))
    whole = await read(site, run_id)
    events = messages(whole)
    assert events == await log(site, run_id)
    assert (events[0]["type"], events[0]["reset"], events[-1]["type"]) == ("sync.snapshot", True, "end")
    assert whole.headers["stream-closed"] == "true"
    assert whole.headers["stream-next-offset"] > before
    for at, event in enumerate(events):
        assert (messages(await read(site, run_id, offset_of(event["id"])))) == events[at + 1 :]
    assert (messages(await read(site, run_id, before))) == events
    head = await site.client.head(f"/v1/stream/runs/{run_id}")
    assert head.headers["stream-next-offset"] == whole.headers["stream-next-offset"]
    for mode in ("long-poll", "sse"):
        answer = await read(site, run_id, live=mode)
        assert "sync.snapshot" in answer.text
        assert answer.headers.get("stream-closed") == "true" or '"streamClosed":true' in answer.text


async def test_a_live_reader_whose_stream_is_lost_starts_over_and_sees_the_end(site: Site, wire: Wire) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.app.streams.flush()
    tail = (await read(site, run_id)).headers["stream-next-offset"]
    await wire.call("DEL", stream_key(run_id))
    lost = await read(site, run_id, tail)
    assert [event["type"] for event in messages(lost)] == ["sync.snapshot", "run.started", "approval.requested"]
    assert all("id" not in event for event in messages(lost))
    assert (lost.headers["stream-next-offset"], lost.headers["cache-control"]) == ("00000000_000000000000", "no-store")
    events = asyncio.create_task(read(site, run_id, tail, live="sse"))
    async with asyncio.timeout(PATIENCE):
        while site.app.streams.counters["followed"] == 0:
            await asyncio.sleep(0)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    text = (await events).text
    assert text.count('"type":"end"') == text.count('"type":"run.completed"') == 1
    last = text.rpartition('"sync.snapshot"')[2]
    assert all(f'"type":"{kind}"' in last for kind in ("run.started", "approval.requested", "approval.resolved", "end"))
    assert text.endswith('"streamClosed":true}\n\n')


async def test_without_redis_an_ended_run_is_told_whole_and_a_running_one_is_a_503(tmp_path: Path) -> None:
    with ValkeyServer.running() as valkey:
        async with (
            Proxy.running(valkey.port) as proxy,
            Agentflow(TASKS, directory=tmp_path, redis=f"redis://127.0.0.1:{proxy.port}") as app,
            site_of(app) as site,
        ):
            ended = await decided(site)
            going = await site.start("publish", draft="text")
            await site.waiting(going)
            proxy.refuse()
            proxy.cut()
            for query in ({}, {"live": "long-poll", "offset": "-1"}, {"live": "sse", "offset": "-1"}):
                answer = await site.client.get(f"/v1/stream/runs/{going}", params=query)
                assert (answer.status_code, answer.json()["code"]) == (503, "stream_unavailable")
                assert '"type":"end"' in (await read(site, ended, **query)).text
            assert (await site.client.head(f"/v1/stream/runs/{ended}")).headers["stream-closed"] == "true"


async def test_a_deleted_run_lets_its_readers_go(site: Site) -> None:
    run_id = await decided(site)
    assert messages(await read(site, run_id))
    await site.app.runs.delete(run_id)
    assert (await site.client.get(f"/v1/stream/runs/{run_id}")).status_code == 404
