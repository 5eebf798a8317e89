"""A run's stream over SSE: the frames, resuming, the end, readers that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import httpx
import pytest

from agentflow import Agentflow
from agentflow.server.pulse import Pace
from tests.server.site import PATIENCE, Frame, Site, site_of
from tests.server.tasks import WORDS


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():
            await asyncio.sleep(0)


def ids(frames: list[Frame]) -> list[str]:
    return [frame.id for frame in frames if frame.id is not None]


def spoken(frames: list[Frame]) -> str:
    return "".join(frame.data["delta"] for frame in frames if frame.data and frame.type == "text.delta")


async def test_frames_are_lf_only_one_line_each_and_begin_with_retry(site: Site) -> None:
    run_id = await site.start("greet", name="ada\r\nlovelace")
    await site.ended(run_id)
    answer = await site.client.get(f"/v1/runs/{run_id}/stream")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert answer.content.startswith(b"retry: 1000\n\nid: 1-0\ndata: {")
    assert b"\r" not in answer.content
    assert answer.content.endswith(b"}\n\n")
    first, *frames = answer.content.removesuffix(b"\n\n").split(b"\n\n")
    assert first == b"retry: 1000"
    assert all(len(frame.split(b"\n")) == 2 for frame in frames)


async def test_a_stream_tells_the_run_to_its_end_and_closes(site: Site) -> None:
    run_id = await site.start("greet", name="ada", loud=True)
    frames = await site.read(run_id)
    types = [frame.type for frame in frames]
    assert types[:2] == ["", "run.started"]
    assert types[-2:] == ["run.completed", "end"]
    assert types.count("end") == types.count("step.completed") == types.count("run.progress") == 1


async def test_after_the_end_a_reader_that_comes_back_is_told_to_stop(site: Site) -> None:
    run_id = await site.start("greet", name="ada")
    last = ids(await site.read(run_id))[-1]
    answer = await site.client.get(f"/v1/runs/{run_id}/stream", headers={"last-event-id": last})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_the_header_counts_before_the_address(site: Site) -> None:
    run_id = await site.start("greet", name="ada", loud=True)
    every = ids(await site.read(run_id))
    assert ids(await site.read(run_id, after=every[0])) == every[1:]
    assert ids(await site.read(run_id, last=every[2], after=every[0])) == every[3:]


@pytest.mark.parametrize("cursor", ["nonsense", "3", "1-", "-1", "1-2-3", "1.5-2"])
async def test_a_cursor_that_is_none_is_a_400(site: Site, cursor: str) -> None:
    run_id = await site.start("greet", name="ada")
    for path in ("stream", "events"):
        for query, headers in (({"after": cursor}, {}), ({}, {"last-event-id": cursor})):
            answer = await site.client.get(f"/v1/runs/{run_id}/{path}", params=query, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def test_head_answers_with_the_headers_alone(site: Site) -> None:
    waiting = await site.start("publish", draft="text")
    answer = await site.client.head(f"/v1/runs/{waiting}/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


async def test_a_reader_that_only_catches_up_is_let_go_at_the_tail(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    await site.app.streams.flush()
    frames = await site.read(run_id, live="0")
    assert [frame.type for frame in frames] == ["", "run.started", "approval.requested", "run.waiting"]


async def test_no_event_is_lost_or_doubled_at_any_cut_point_of_a_live_run(site: Site) -> None:
    """T54"""
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    run_id = await site.start("talk", token=token)
    await site.waiting(run_id)
    whole = asyncio.create_task(site.read(run_id))
    await until(lambda: site.app.streams.counters["followed"] == 1)

    async def cut_after(count: int) -> list[Frame]:
        """Read a number of frames, be cut off, come back as an EventSource does."""
        got: list[Frame] = []
        async with aclosing(site.frames(run_id)) as frames:
            async for frame in frames:
                got.append(frame)
                if len(got) > count:
                    break
        if got[-1].type != "end":
            got += [frame for frame in await site.read(run_id, last=ids(got)[-1] if ids(got) else None) if frame.id]
        return got

    cuts = [asyncio.create_task(cut_after(count)) for count in range(14)]
    await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
    expected = await whole
    for pieces in await asyncio.gather(*cuts):
        assert spoken(pieces) == spoken(expected) == "".join(WORDS)
        assert ids(pieces) == sorted(set(ids(pieces)), key=lambda id: [int(part) for part in id.split("-")])
        control = [frame.text for frame in pieces if frame.id and frame.type != "text.delta"]
        assert control == [frame.text for frame in expected if frame.id and frame.type != "text.delta"]


async def test_an_ended_run_goes_on_after_each_of_its_cursors(site: Site) -> None:
    run_id = await site.start("talk")
    await site.ended(run_id)
    every = (await site.events(run_id))["events"]
    for at, event in enumerate(every[:-1]):
        rest = await site.read(run_id, last=event["id"])
        said = "".join(one["delta"] for one in every[at + 1 :] if one["type"] == "text.delta")
        assert spoken(rest) == said
        assert [frame.type for frame in rest if frame.id and frame.type != "text.delta"] == [
            one["type"] for one in every[at + 1 :] if one["type"] != "text.delta"
        ]


async def test_neighbouring_deltas_that_were_missed_come_as_one(site: Site) -> None:
    run_id = await site.start("talk")
    await site.ended(run_id)
    deltas = [frame for frame in await site.read(run_id) if frame.type == "text.delta"]
    assert len(deltas) == 1
    assert deltas[0].data is not None
    assert deltas[0].data["delta"] == "".join(WORDS)


async def test_events_are_paged_as_json(site: Site) -> None:
    run_id = await site.start("greet", name="ada", loud=True)
    await site.ended(run_id)
    every = await site.events(run_id)
    assert every["ended"]
    assert every["next"] == every["events"][-1]["id"]
    paged: list[str] = []
    page = await site.events(run_id, limit=2)
    while True:
        paged += [event["id"] for event in page["events"]]
        if page["ended"]:
            break
        page = await site.events(run_id, limit=2, after=page["next"])
    assert paged == [event["id"] for event in every["events"]]
    assert await site.events(run_id, after=every["next"]) == {"events": [], "next": every["next"], "ended": True}


async def test_a_silent_stream_is_kept_open_with_comments(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(heartbeat=0.05)) as site:
        run_id = await site.start("publish", draft="text")
        comments = 0
        async with aclosing(site.frames(run_id)) as frames:
            async for frame in frames:
                comments += frame.text == b": hb"
                if comments == 3:
                    break


@pytest.mark.parametrize(("task", "status"), [("publish", "cancelled"), ("broken", "failed")])
async def test_a_reader_at_the_tail_ends_when_the_run_does(site: Site, task: str, status: str) -> None:
    """T56"""
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    run_id = await site.start(task, **({"token": token} if task == "broken" else {"draft": "text"}))
    await site.waiting(run_id)
    reader = asyncio.create_task(site.read(run_id))
    await until(lambda: site.app.streams.counters["followed"] == 1)
    began = asyncio.get_running_loop().time()
    if task == "publish":
        await site.client.post(f"/v1/runs/{run_id}/cancel", json={"reason": "enough"})
    else:
        await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
    *_, told, end = await reader
    assert asyncio.get_running_loop().time() - began < 1
    assert (told.type, end.type) == (f"run.{status}", "end")
    assert end.data is not None
    assert end.data["status"] == status


async def test_a_reader_that_goes_away_releases_its_listener(site: Site) -> None:
    """T56"""
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    async with aclosing(site.frames(run_id)) as frames:
        async for frame in frames:
            if frame.type == "approval.requested":
                break
        assert site.app.streams.counters["followed"] == 1
    await until(lambda: site.app.streams.counters["followed"] == 0)


async def test_readers_are_told_to_come_back_when_the_server_drains(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    readers = [asyncio.create_task(site.read(run_id)) for _ in range(3)]
    await until(lambda: site.app.streams.counters["followed"] == 1)
    site.drain()
    for frames in [*await asyncio.gather(*readers), await site.read(run_id)]:
        last = frames[-1].data
        assert frames[-1].id is None
        assert last is not None
        assert (last["type"], last["reason"]) == ("sync.reconnect", "drain")
        assert 0 <= last["after_ms"] < 2_000


async def test_a_reader_that_reads_nothing_holds_up_nobody(site: Site) -> None:
    run_id = await site.start("publish", draft="x" * 50_000)
    await site.waiting(run_id)
    async with httpx.AsyncClient(base_url=site.url) as lazy, lazy.stream("GET", f"/v1/runs/{run_id}/stream"):
        frames = await site.read(run_id, live="0")
        assert frames[-1].type == "run.waiting"
    await until(lambda: site.app.streams.counters["followed"] == 0)
