from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agentflow.errors import ConfigurationError, StreamUnavailable
from agentflow.streams import StoredEvent, StreamLost, Streams
from agentflow.streams.embedded import EmbeddedServer
from agentflow.streams.events import Data, End, RunStarted, TextDelta
from agentflow.streams.wire import Remote, Wire

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


async def test_a_batch_whose_reply_was_lost_is_not_appended_twice(cutter: Any, open_streams: Open, streams: Streams) -> None:
    cut = open_streams(cutter.url)
    cut.publish("run_1", 1, RunStarted("tell"))
    await cut.flush()
    for number in range(20):
        cutter.cut = True
        cut.publish("run_1", 1, Data("tick", number))
        await cut.flush()
    assert cutter.cuts == 20
    assert [entry.event for entry in await streams.read("run_1")] == [RunStarted("tell"), *(Data("tick", number) for number in range(20))]


async def test_a_refusal_whose_reply_was_lost_is_still_reported(cutter: Any, open_streams: Open, streams: Streams) -> None:
    cut = open_streams(cutter.url)
    refused: list[str] = []
    cut.on_stale(lambda run_id, epoch: refused.append(f"{run_id}/{epoch}"))
    streams.publish("run_1", 5, RunStarted("tell"))
    await streams.flush()
    cut.publish("other", 1, RunStarted("tell"))
    await cut.flush()
    cutter.cut = True
    cut.publish("run_1", 4, RunStarted("tell"))
    await cut.flush()
    assert refused == ["run_1/4"]


async def test_a_reader_whose_connection_breaks_goes_on_where_it_was(
    cutter: Any, open_streams: Open, streams: Streams, collect: Collect
) -> None:
    viewer = open_streams(cutter.url)
    streams.publish("run_1", 1, RunStarted("tell"))
    await streams.flush()
    reading = asyncio.create_task(collect(viewer, "run_1"))
    for number in range(20):
        cutter.cut = number % 4 == 0
        streams.publish("run_1", 1, Data("tick", number))
        await streams.flush()
    cutter.cut = False
    streams.publish("run_1", 1, End("completed"))
    assert [entry.id.seq for entry in await reading] == list(range(22))


async def test_a_killed_server_comes_back_by_itself_and_later_events_arrive(
    tmp_path: Path, kill_server: Callable[[], int], collect: Collect
) -> None:
    async with Streams.connect(None, tmp_path) as streams:
        streams.publish("run_1", 1, RunStarted("tell"))
        await streams.flush()
        reading = asyncio.create_task(collect(streams, "run_1"))
        async with asyncio.timeout(10):
            while streams.counters["followed"] == 0:
                await asyncio.sleep(0)
        killed = kill_server()
        streams.publish("run_1", 1, TextDelta("p1", "still here"))
        await streams.flush()
        assert int((tmp_path / "valkey.pid").read_text()) != killed
        with pytest.raises(StreamLost):
            await reading
        tail = await streams.tail("run_1")
        streams.publish("run_1", 1, End("completed"))
        assert [entry.type for entry in await collect(streams, "run_1", tail)] == ["end"]


async def test_a_new_run_streams_whole_after_the_server_was_killed(
    tmp_path: Path, kill_server: Callable[[], int], collect: Collect
) -> None:
    async with Streams.connect(None, tmp_path) as streams:
        streams.publish("run_1", 1, RunStarted("tell"))
        await streams.flush()
        kill_server()
        for event in (RunStarted("tell"), End("completed")):
            streams.publish("run_2", 1, event)
        assert [entry.type for entry in await collect(streams, "run_2")] == ["run.started", "end"]


async def test_publishing_without_redis_does_not_fail_and_reading_says_why(tmp_path: Path) -> None:
    streams = Streams.connect(f"unix://{tmp_path}/nobody.sock", tmp_path)
    streams.publish("run_1", 1, RunStarted("tell"))
    with pytest.raises(StreamUnavailable) as unavailable:
        await streams.read("run_1")
    assert "redis=" in unavailable.value.hint
    await streams.close(timeout=0)


def test_a_url_that_is_none_is_refused_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Streams.connect("postgresql://localhost", tmp_path)


async def test_what_was_published_before_closing_is_sent(server: EmbeddedServer, streams: Streams) -> None:
    other = Streams.connect(await server.url(), Path())
    other.publish("run_1", 1, RunStarted("tell"))
    await other.close()
    assert len(await streams.read("run_1")) == 1


async def test_a_call_that_is_cancelled_while_it_sends_does_not_go_on(server: EmbeddedServer) -> None:
    async def ask_for_ever(wire: Wire) -> None:
        while True:
            await wire.call("PING")

    for turns in range(60):
        wire = Wire(Remote(await server.url()))
        await wire.call("PING")
        asking = asyncio.create_task(ask_for_ever(wire))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([asking])
        assert asking.cancelled()
        await wire.close()
