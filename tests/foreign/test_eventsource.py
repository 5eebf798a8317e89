"""The `eventsource` packages of npm, as they are, reading runs that they may come back to at any time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agentflow import Agentflow
from agentflow.server.pulse import Pace
from tests.foreign.npm import installed
from tests.foreign.reader import Reader, kinds
from tests.foreign.stories import GATE, STORIES, refund
from tests.server.site import flat, site_of
from tests.servers.proxy import Proxy

VERSIONS = (3, 4, 5)


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    async with Reader.running(installed(Path(__file__).parent / "eventsource")) as reader:
        yield reader


@pytest.mark.parametrize("story", STORIES)
async def test_every_version_reads_a_run_and_comes_back_after_a_cut(tmp_path: Path, stream_server: str, reader: Reader, story: str) -> None:
    """Heartbeats come in between: the runs are slow."""
    make, payload, seen, go_on, status = STORIES[story]
    GATE.shut()
    told = make()
    async with (
        Agentflow([told, refund], directory=tmp_path, redis=stream_server) as app,
        site_of(app, pace=Pace(heartbeat=0.05)) as site,
        Proxy.running(urlsplit(site.url).port or 0) as proxy,
    ):
        run_id = await site.start(told.name, **payload)
        url = f"http://127.0.0.1:{proxy.port}/v1/runs/{run_id}/stream"
        ids = [await reader.follow(url, version=version) for version in VERSIONS]
        await reader.until(lambda: all(seen in kinds(reader.items[id]) for id in ids))
        proxy.cut()
        await reader.until(lambda: all(reader.cuts[id] for id in ids))
        await go_on(site, run_id)
        await reader.until(lambda: reader.closed >= set(ids))
        log = [json.loads(one.json()) | {"id": str(one.id)} for one in await app.streams.read(run_id)]
    whole = said(log)
    assert [said([flat(item) for item in reader.items[id]]) for id in ids] == [whole] * len(ids)
    assert (log[-1]["type"], log[-1]["status"]) == ("end", status)


def said(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What was told, in order, with neighbouring deltas as one: how they are cut into frames is up to the server."""
    told: list[tuple[Any, ...]] = []
    for event in events:
        if event["type"].startswith("sync."):
            continue
        key = (event["type"], event.get("part"))
        if told and key == told[-1][:2] and event["type"].endswith(".delta"):
            told[-1] = (*key, event["id"], told[-1][3] + event["delta"])
        else:
            told.append((*key, event["id"], event.get("delta", "")))
    return told
