"""What a reader asks of a run's stream: where to begin, which events, and what it is told beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from agentflow import Agentflow, context, task
from agentflow.server.frames import Framing
from agentflow.server.pulse import Pace
from agentflow.streams.events import KINDS, Data
from tests.server.site import Frame, Site, flat, site_of
from tests.server.tasks import WORDS


def types(frames: list[Frame]) -> list[str]:
    return [frame.type for frame in frames if frame.data is not None]


async def upto(frames: AsyncGenerator[Frame], wanted: str) -> list[Frame]:
    """The frames to the first of that type, and with it."""
    got: list[Frame] = []
    async for frame in frames:
        got.append(frame)
        if frame.type == wanted:
            return got
    raise AssertionError(f"no {wanted} among {types(got)}")


async def test_a_reader_of_some_events_is_told_those_and_the_end(site: Site) -> None:
    run_id = await site.start("talk")
    await site.ended(run_id)
    assert set(types(await site.read(run_id, types="text"))) - {"sync.cursor"} == {"text.start", "text.delta", "text.end", "end"}
    assert types(await site.read(run_id, types="step.completed"))[-2:] == ["step.completed", "end"]
    assert types(await site.read(run_id, types="run, text.end"))[-3:] == ["text.end", "run.completed", "end"]


async def test_a_reader_that_is_told_little_is_told_where_it_is(site: Site) -> None:
    """It need not read again, when it comes back, what it was not told."""
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    await site.app.streams.flush()
    frames = await site.read(run_id, types="text", live="0")
    assert types(frames) == ["sync.cursor"]
    assert frames[-1].id == (await site.events(run_id))["events"][-1]["id"]
    assert types(await site.read(run_id, last=frames[-1].id, live="0")) == []


@pytest.mark.parametrize("named", ["txt", "text.nothing", "run,steps"])
async def test_events_that_there_are_not_are_an_error(site: Site, named: str) -> None:
    run_id = await site.start("greet", name="ada")
    answer = await site.client.get(f"/v1/runs/{run_id}/stream", params={"types": named})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "text" in answer.json()["hint"]


async def test_a_reader_that_has_caught_up_is_told_so_once(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waitpoint = await site.waiting(run_id)
    await site.app.streams.flush()
    async with aclosing(site.frames(run_id)) as frames:
        before = await upto(frames, "sync.live")
        assert before[-1].data == {"type": "sync.live", "cursor": before[-2].id}
        assert before[-1].id is None
        await site.client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
        after = await upto(frames, "end")
    assert "sync.live" not in types(after)
    assert types(before).count("approval.requested") == 1


async def test_a_reader_of_what_comes_from_now_on_is_told_nothing_of_before(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waitpoint = await site.waiting(run_id)
    await site.app.streams.flush()
    async with aclosing(site.frames(run_id, **{"from": "latest"})) as frames:
        assert types(await upto(frames, "sync.live")) == ["sync.live"]
        await site.client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
        assert types(await upto(frames, "end"))[0] == "approval.resolved"
    answer = await site.client.get(f"/v1/runs/{run_id}/stream", params={"from": "latest"})
    assert answer.status_code == 204


async def test_a_reader_may_begin_with_the_run_as_it_is_now(site: Site) -> None:
    run_id = await site.start("publish", draft="text")
    waitpoint = await site.waiting(run_id)
    await site.app.streams.flush()
    async with aclosing(site.frames(run_id, **{"from": "snapshot"})) as frames:
        before = await upto(frames, "sync.live")
        told = before[1].data
        assert told is not None
        assert (told["type"], told["run"]["id"], told["run"]["status"]) == ("sync.snapshot", run_id, "waiting")
        await site.client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
        after = types(await upto(frames, "end"))
    assert (after[0], after.count("approval.resolved")) == ("approval.resolved", 1)
    ended = await site.read(run_id, **{"from": "snapshot"})
    assert (types(ended)[0], types(ended)[-1]) == ("sync.snapshot", "end")
    # A place that was seen counts before any other wish.
    assert types(await site.read(run_id, last="1-0", **{"from": "snapshot"}))[0] != "sync.snapshot"


async def test_readers_are_asked_to_come_back_now_and_then(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(heartbeat=0.05, rotation=0.1)) as site:
        run_id = await site.start("publish", draft="text")
        frames = await site.read(run_id)
        last = frames[-1].data
        assert last is not None
        assert (last["type"], last["reason"]) == ("sync.reconnect", "rotate")
        cursor = [frame.id for frame in frames if frame.id][-1]
        assert [frame.id for frame in await site.read(run_id, last=cursor, live="0") if frame.id] == []


async def test_a_server_opens_so_many_streams_and_says_when_to_try_again(app: Agentflow) -> None:
    async with site_of(app, pace=Pace(streams=2)) as site:
        run_id = await site.start("publish", draft="text")
        await site.waiting(run_id)
        async with aclosing(site.frames(run_id)) as one, aclosing(site.frames(run_id)) as two:
            await upto(one, "sync.live")
            await upto(two, "sync.live")
            answer = await site.client.get(f"/v1/runs/{run_id}/stream")
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
            assert int(answer.headers["retry-after"]) > 0
        async with asyncio.timeout(10):
            while (await site.client.head(f"/v1/runs/{run_id}/stream")).status_code == 429:
                await asyncio.sleep(0)


def test_a_framing_without_thoughts_hides_them_and_nothing_else() -> None:
    hidden = {kind.type for kind in KINDS if not Framing(thoughts=False).shows(kind.type)}
    assert hidden == {"reasoning.start", "reasoning.delta", "reasoning.end"}
    assert not Framing(frozenset({"reasoning"}), thoughts=False).shows("reasoning.delta")


# -- several runs over one connection ------------------------------------------------------------------------------------------------------


async def read_many(site: Site, runs: dict[str, str | None], **more: Any) -> list[dict[str, Any]]:
    async with site.client.stream("POST", "/v1/streams", json={"runs": runs, **more}) as answer:
        assert answer.status_code == 200, await answer.aread()
        text = (await answer.aread()).removesuffix(b"\n\n")
    frames = [Frame.of(one) for one in text.split(b"\n\n")]
    assert [frame.id for frame in frames if frame.id] == []
    return [flat(frame.data) for frame in frames if frame.data is not None]


async def test_several_runs_are_followed_over_one_connection_to_the_last_end(site: Site) -> None:
    token = (await site.client.post("/v1/waitpoints")).json()["id"]
    over, going, other = await site.start("talk"), await site.start("talk", token=token), await site.start("greet", name="ada")
    await site.ended(over)
    reading = asyncio.create_task(read_many(site, {over: None, going: None, other: None}))
    async with asyncio.timeout(10):
        while site.app.streams.counters["followed"] < 1:
            await asyncio.sleep(0)
    await site.client.post(f"/v1/waitpoints/{token}/decisions", json={"value": 1})
    events = await reading
    for run_id in (over, going, other):
        mine = [event for event in events if event.get("run") == run_id and not event["type"].startswith("sync.")]
        alone = await site.read(run_id)
        assert (mine[-1]["type"], mine[-1]["id"]) == ("end", alone[-1].id)
        assert [event["type"] for event in mine].count("end") == 1
        assert "".join(event.get("delta", "") for event in mine) == ("" if run_id == other else "".join(WORDS))


async def test_several_runs_go_on_each_after_its_own_place(site: Site) -> None:
    one, two = await site.start("talk"), await site.start("greet", name="ada", loud=True)
    await site.ended(one)
    await site.ended(two)
    places = {run_id: (await site.events(run_id))["events"] for run_id in (one, two)}
    events = await read_many(site, {one: places[one][-1]["id"], two: places[two][1]["id"]})
    assert {event["run"] for event in events} == {two}
    assert [event["id"] for event in events] == [event["id"] for event in places[two][2:]]


async def test_several_runs_of_which_one_is_unknown_are_refused_at_once(site: Site) -> None:
    run_id = await site.start("greet", name="ada")
    for body, status in (({run_id: None, "run_nothing": None}, 404), ({}, 422), ({run_id: "soon"}, 400)):
        answer = await site.client.post("/v1/streams", json={"runs": body})
        assert answer.status_code == status
    answer = await site.client.post("/v1/streams", json={"runs": {run_id: None}, "types": ["nothing"]})
    assert answer.status_code == 422


async def test_an_events_own_run_and_id_are_not_mixed_up_with_its_place(tmp_path: Path, stream_server: str) -> None:
    @task
    async def child() -> None:
        app.streams.publish(context().run_id, 1, Data("chart", [1], "c"))

    @task
    async def parent() -> None:
        await child()

    async with Agentflow([parent, child], directory=tmp_path, redis=stream_server) as app, site_of(app) as site:
        run_id = await site.start("parent")
        await site.ended(run_id)
        [other] = [run.id for run in await app.runs.list(task="child")]
        log = {one: await app.streams.read(one) for one in (run_id, other)}
        async with site.client.stream("POST", "/v1/streams", json={"runs": {run_id: None, other: None}}) as answer:
            frames = [Frame.of(one).data or {} for one in (await answer.aread()).removesuffix(b"\n\n").split(b"\n\n")]
        pages = {one: (await site.client.get(f"/v1/runs/{one}/events")).json()["events"] for one in log}
        messages = {one: (await site.client.get(f"/v1/stream/runs/{one}", params={"offset": "-1"})).json() for one in log}
    whole: dict[str, list[dict[str, Any]]] = {
        one: [{"id": str(event.id), "event": from_json(event.json())} for event in events] for one, events in log.items()
    }
    assert any(entry["event"].get("run") == other for entry in whole[run_id])
    assert any("id" in entry["event"] for entry in whole[other])
    for one, entries in whole.items():
        assert [{"id": frame["id"], "event": frame["event"]} for frame in frames if frame.get("run") == one and "id" in frame] == entries
    assert pages == messages == whole
