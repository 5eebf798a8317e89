"""Streams to a browser: thoughts that it may not see, and the end of its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow
from agentflow.server.pulse import Pace
from agentflow.streams.courier import stream_key
from agentflow.streams.wire import Remote, Wire
from agentflow.testing import ManualClock
from tests.server.bearers import guarded, holding, sending
from tests.server.site import PATIENCE, Frame, Site
from tests.server.tasks import TASKS


@pytest.fixture
async def site(app: Agentflow) -> AsyncIterator[Site]:
    async with guarded(app) as opened:
        yield opened


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    wire = Wire(Remote(stream_server))
    yield wire
    await wire.close()


async def pondered(site: Site) -> str:
    run_id = await site.start("ponder")
    await site.ended(run_id)
    return run_id


def told(frames: list[Frame]) -> list[tuple[str, Any]]:
    """What a reader was told, deltas of one part joined: how they were cut is of no meaning."""
    said: list[tuple[str, Any]] = []
    for data in (frame.data for frame in frames if frame.data is not None):
        if data["type"].endswith(".delta") and said and said[-1][0] == data["type"]:
            said[-1] = (data["type"], said[-1][1] + data["delta"])
        else:
            said.append((data["type"], data.get("delta")))
    return said


def without_thoughts(said: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    kept: list[tuple[str, Any]] = []
    for kind, delta in said:
        if kind.startswith("reasoning."):
            continue
        if delta is not None and kept and kept[-1][0] == kind:
            kept[-1] = (kind, kept[-1][1] + delta)
        else:
            kept.append((kind, delta))
    return kept


async def test_thoughts_are_shown_to_who_may_see_them_and_left_out_for_others(site: Site) -> None:
    run_id = await pondered(site)
    every = told(await site.read(run_id))
    assert {"reasoning.start", "reasoning.delta", "reasoning.end", "text.delta"} <= {kind for kind, _ in every}
    async with holding(site, f"run:read:{run_id}", "thoughts") as caller:
        assert told(await caller.read(run_id)) == every
    async with holding(site, f"run:read:{run_id}") as caller:
        assert told(await caller.read(run_id)) == without_thoughts(every)


async def test_a_ticket_shows_what_its_token_does(site: Site) -> None:
    run_id = await pondered(site)
    every = told(await site.read(run_id))
    for scopes, expected in (((), without_thoughts(every)), (("thoughts",), every)):
        async with holding(site, f"run:read:{run_id}", *scopes) as caller, sending(site, None) as browser:
            ticket = (await caller.client.post("/v1/tickets", json={"run": run_id})).json()["ticket"]
            assert told(await browser.read(run_id, ticket=ticket)) == expected


async def test_the_token_of_a_start_shows_thoughts_only_to_who_had_that_scope(site: Site) -> None:
    for scopes in ((), ("thoughts",)):
        async with holding(site, "task:start:ponder", *scopes) as caller:
            run = (await caller.client.post("/v1/runs", json={"task": "ponder"})).json()
            async with sending(site, run["token"]) as reader:
                kinds = {kind for kind, _ in told(await reader.read(run["id"]))}
        assert ("reasoning.delta" in kinds) == bool(scopes)


async def test_a_reader_without_thoughts_goes_on_exactly_after_any_cursor(site: Site, wire: Wire) -> None:
    """T54"""
    run_id = await pondered(site)
    async with holding(site, f"run:read:{run_id}") as caller:
        for _ in range(2):
            every = (await site.events(run_id))["events"]
            assert any(event["type"] == "reasoning.delta" for event in every)
            for at, event in enumerate(every[:-1]):
                rest = [event for event in every[at + 1 :] if not event["type"].startswith("reasoning.")]
                frames = [frame for frame in await caller.read(run_id, last=event["id"]) if frame.data]
                assert told(frames) == told([Frame(one["id"], one, b"") for one in rest])
                assert frames[-1].id == every[-1]["id"]
            after_end = await caller.client.get(f"/v1/runs/{run_id}/stream", headers={"last-event-id": every[-1]["id"]})
            assert after_end.status_code == 204
            # Once more from the database: its log has thoughts too.
            await wire.call("DEL", stream_key(run_id))


async def test_pages_of_events_leave_thoughts_out_and_go_on_past_them(site: Site, wire: Wire) -> None:
    run_id = await pondered(site)
    async with holding(site, f"run:read:{run_id}") as caller:
        for _ in range(2):
            every = await site.events(run_id)
            expected = [event for event in every["events"] if not event["type"].startswith("reasoning.")]
            paged: list[dict[str, Any]] = []
            page = await caller.events(run_id, limit=2)
            pages = 1
            while True:
                paged += page["events"]
                if page["ended"]:
                    break
                page = await caller.events(run_id, limit=2, after=page["next"])
                pages += 1
            assert paged == expected
            assert page["next"] == every["next"]
            assert pages >= len(every["events"]) // 2
            await wire.call("DEL", stream_key(run_id))


async def test_thoughts_are_left_out_of_a_stream_that_is_followed_live(site: Site) -> None:
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    run_id = await site.start("ponder", token=token)
    await site.waiting(run_id)
    async with holding(site, f"run:read:{run_id}") as caller:
        readers = [asyncio.create_task(one.read(run_id)) for one in (site, caller)]
        async with asyncio.timeout(PATIENCE):
            while site.app.streams.counters["followed"] == 0:
                await asyncio.sleep(0)
        await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
        every, mine = [told(frames) for frames in await asyncio.gather(*readers)]
    assert mine == without_thoughts(every) != every


async def test_thoughts_of_a_run_that_goes_on_are_left_out_of_what_the_database_tells_of_it(site: Site, wire: Wire) -> None:
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    run_id = await site.start("ponder", then=token)
    await site.waiting(run_id)
    await site.app.streams.flush()
    cursor = (await site.events(run_id))["next"]
    await wire.call("DEL", stream_key(run_id))
    async with holding(site, f"run:read:{run_id}") as caller:
        pages = [[event["type"] for event in (await one.events(run_id, after=cursor))["events"]] for one in (site, caller)]
        assert [page[0] for page in pages] == ["sync.snapshot"] * 2
        assert pages[1] == [kind for kind in pages[0] if not kind.startswith("reasoning.")] != pages[0]
        readers = [asyncio.create_task(one.read(run_id, last=cursor)) for one in (site, caller)]
        async with asyncio.timeout(PATIENCE):
            while site.app.streams.counters["followed"] == 0:
                await asyncio.sleep(0)
        await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
        every, mine = [told(frames) for frames in await asyncio.gather(*readers)]
    assert (every[0][0], every[-1][0]) == ("sync.snapshot", "end")
    assert mine == without_thoughts(every) != every


@pytest.mark.parametrize(("life", "gone_on"), [(900, 839), (40, 39)])
async def test_a_stream_ends_before_its_token_does_and_asks_for_another(
    tmp_path: Path, stream_server: str, life: int, gone_on: int
) -> None:
    clock = ManualClock()
    async with (
        Agentflow(TASKS, directory=tmp_path, redis=stream_server, clock=clock) as app,
        guarded(app, pace=Pace(heartbeat=0.05)) as site,
    ):
        run_id = await site.start("publish", draft="text")
        waiting = await site.waiting(run_id)
        async with holding(site, f"run:read:{run_id}", expires=life) as caller:
            types: list[str] = []
            beats, frame = 0, None
            async with aclosing(caller.frames(run_id)) as frames:
                async for frame in frames:
                    types += [frame.type] if frame.data else []
                    if frame.type == "run.waiting":
                        await clock.advance(gone_on)
                    beats += frame.text == b": hb" and "run.waiting" in types
                    if beats == 2:
                        # It has looked and gone on; a second later it does not.
                        await clock.advance(1)
            assert beats >= 2
            assert frame is not None
            assert frame.id is None
            assert frame.data == {"type": "sync.reconnect", "reason": "token", "after_ms": 0}
            assert types[:-1] == ["run.started", "approval.requested", "run.waiting", "sync.live"]
        await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
        async with holding(site, f"run:read:{run_id}") as caller:
            assert (await caller.read(run_id))[-1].type == "end"
