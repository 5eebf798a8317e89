"""Streams that are gone: what follows comes from the database."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agentflow import Agentflow
from agentflow.streams.courier import stream_key
from agentflow.streams.wire import Remote, Wire
from tests.server.site import PATIENCE, Frame, Site, site_of
from tests.server.tasks import TASKS


@pytest.fixture
async def wire(stream_server: str) -> AsyncIterator[Wire]:
    wire = Wire(Remote(stream_server))
    yield wire
    await wire.close()


async def expire(wire: Wire, run_id: str) -> None:
    await wire.call("DEL", stream_key(run_id))


def told(frames: list[Frame]) -> list[str]:
    return [frame.type for frame in frames if frame.data is not None]


async def decided(site: Site) -> str:
    """A run that was approved and has ended."""
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True, "by": "maria"})
    await site.ended(run_id)
    return run_id


async def test_a_reader_with_any_cursor_gets_a_reset_and_the_whole_run_after_its_stream_expired(site: Site, wire: Wire) -> None:
    """T54"""
    run_id = await decided(site)
    cursors = [None, *(event["id"] for event in (await site.events(run_id))["events"]), "77-7"]
    await expire(wire, run_id)
    expected = ["sync.snapshot", "run.started", "approval.requested", "approval.resolved", "run.completed", "end"]
    for cursor in cursors[:-1]:
        frames = await site.read(run_id, last=cursor)
        assert told(frames) == expected
        reset = frames[1].data
        assert reset is not None
        assert (reset["reset"], reset["run"]["id"], reset["run"]["status"]) == (True, run_id, "completed")


async def test_a_rebuilt_stream_is_resumed_at_every_cut_point_without_gap_or_double(site: Site, wire: Wire) -> None:
    """T54"""
    run_id = await decided(site)
    await expire(wire, run_id)
    whole = (await site.read(run_id))[1:]
    assert all(frame.id for frame in whole)
    for at, frame in enumerate(whole[:-1]):
        assert [one.text for one in await site.read(run_id, last=frame.id)][1:] == [one.text for one in whole[at + 1 :]]
    last = {"last-event-id": str(whole[-1].id)}
    assert (await site.client.get(f"/v1/runs/{run_id}/stream", headers=last)).status_code == 204


async def test_rebuilt_events_are_paged_as_json(site: Site, wire: Wire) -> None:
    run_id = await decided(site)
    cursor = (await site.events(run_id))["next"]
    await expire(wire, run_id)
    every = await site.events(run_id)
    assert every["events"][0]["type"] == "sync.snapshot"
    for start in ({}, {"after": cursor}):
        page = await site.events(run_id, limit=2, **start)
        paged = page["events"]
        while not page["ended"]:
            page = await site.events(run_id, limit=2, after=page["next"])
            paged += page["events"]
        assert paged == every["events"]
    assert (await site.events(run_id, after=every["next"])) == {"events": [], "next": every["next"], "ended": True}


async def test_a_rebuilt_stream_tells_of_steps_children_failures_and_metadata(site: Site, wire: Wire) -> None:
    mother = await site.start("parent", name="ada")
    await site.ended(mother)
    [child] = [run["id"] for run in (await site.client.get("/v1/runs", params={"parent": mother})).json()["runs"]]
    failed = await site.start("broken")
    await site.ended(failed)
    for run_id in (mother, child, failed):
        await expire(wire, run_id)
    assert told(await site.read(mother)) == ["sync.snapshot", "run.started", "child.started", "child.finished", "run.completed", "end"]
    frames = {frame.type: frame.data or {} for frame in await site.read(child)}
    assert list(frames) == ["", "sync.snapshot", "run.started", "step.completed", "run.progress", "run.completed", "end"]
    assert (frames["step.completed"]["step"], frames["step.completed"]["name"]) == ("shout#0", "shout")
    assert frames["run.progress"]["data"] == {"stage": "greeting"}
    frames = {frame.type: frame.data or {} for frame in await site.read(failed)}
    assert frames["run.failed"]["error"]["message"] == "this never works"
    assert frames["end"]["status"] == "failed"


async def test_a_live_reader_whose_stream_is_lost_starts_over_and_sees_the_end(site: Site, wire: Wire) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.app.streams.flush()
    cursor = (await site.events(run_id))["next"]
    await expire(wire, run_id)
    frames: list[Frame] = []
    async with aclosing(site.frames(run_id, last=cursor)) as stream:
        async for frame in stream:
            frames.append(frame)
            if frame.type == "approval.requested":
                await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    assert told(frames)[:3] == ["sync.snapshot", "run.started", "approval.requested"]
    # Nothing of the first reset is a place to resume from, for its stream is empty.
    assert [one.id for one in frames[:4]] == [None] * 4
    assert told(frames)[-2:] == ["run.completed", "end"]
    assert told(frames).count("end") == 1
    assert "approval.resolved" in told(frames)


async def test_a_new_reader_of_a_run_whose_beginning_is_lost_gets_it_from_the_database(site: Site, wire: Wire) -> None:
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.app.streams.flush()
    await expire(wire, run_id)
    await site.client.post(f"/v1/waitpoints/{waiting['id']}/decisions", json={"approved": True})
    await site.ended(run_id)
    types = told(await site.read(run_id))
    assert types[:2] == ["sync.snapshot", "run.started"]
    assert types.count("approval.requested") == types.count("end") == 1


async def test_a_reader_of_an_ended_run_whose_end_was_lost_is_told_it_from_the_database(site: Site, wire: Wire) -> None:
    run_id = await decided(site)
    end = (await site.events(run_id))["next"]
    await wire.call("XDEL", stream_key(run_id), end)
    types = told(await site.read(run_id))
    assert types[-1] == "end"
    assert types.count("end") == 1


async def test_without_a_stream_server_an_ended_run_is_still_told_whole(tmp_path: Path) -> None:
    async with Agentflow(TASKS, directory=tmp_path) as app, site_of(app) as site:
        run_id = await decided(site)
        waiting = await site.start("publish", draft="text")
        approval = await site.waiting(waiting)
        reader = asyncio.create_task(site.read(waiting))
        async with asyncio.timeout(PATIENCE):
            while app.streams.counters["followed"] == 0:
                await asyncio.sleep(0)
        os.kill(int((tmp_path / "valkey.pid").read_text()), signal.SIGKILL)
        assert told(await site.read(run_id))[-1] == "end"
        await site.client.post(f"/v1/waitpoints/{approval['id']}/decisions", json={"approved": True})
        assert told(await reader)[-1] == "end"
