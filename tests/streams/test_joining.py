"""What a run says in the stream of another: in whatever epoch that is, after its beginning and never after its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agentflow.streams import Limits, Settings, StoredEvent, StreamLost, Streams
from agentflow.streams.events import End, Event, RunAttempt, RunStarted, StreamItem, TextDelta

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]

pytestmark = pytest.mark.parametrize("redis_url", ["server", "cluster"], indirect=True)

ITEM = StreamItem("notes", 1, item="i1", origin="run_2")


async def say(streams: Streams, event: Event, epoch: int = 1) -> None:
    streams.publish("run_1", epoch, event)
    await streams.flush()


async def join(streams: Streams, event: Event = ITEM) -> None:
    streams.join("run_1", event)
    await streams.flush()


async def test_it_continues_the_epoch_that_the_stream_is_in(open_streams: Open, collect: Collect) -> None:
    owner, other = open_streams(), open_streams()
    refused: list[tuple[str, int]] = []
    other.on_stale(lambda run_id, epoch: refused.append((run_id, epoch)))
    await say(owner, RunStarted("t"))
    await join(other)
    await say(owner, RunAttempt(7, "worker_lost"), 7)
    await join(other)
    await say(owner, End("completed"), 7)
    events = await collect(owner, "run_1")
    assert [str(one.id) for one in events] == ["1-0", "1-1", "7-0", "7-1", "7-2"]
    assert events[1].event == events[3].event == ITEM
    assert refused == []


async def test_nothing_is_said_after_the_end(open_streams: Open, collect: Collect) -> None:
    owner, other = open_streams(), open_streams()
    await say(owner, RunStarted("t"))
    await say(owner, End("completed"))
    await join(other)
    # In one sending too.
    owner.join("run_1", ITEM)
    await owner.flush()
    assert [one.type for one in await collect(owner, "run_1")] == ["run.started", "end"]
    assert (owner.counters["refused"], other.counters["refused"]) == (0, 0)


async def test_the_owner_is_not_made_stale_by_it(open_streams: Open, collect: Collect) -> None:
    owner, other = open_streams(), open_streams()
    await say(owner, RunStarted("t"))
    await asyncio.gather(*(join(other) for _ in range(20)), *(say(owner, TextDelta("p", "x")) for _ in range(20)))
    await say(owner, End("completed"))
    events = await collect(owner, "run_1")
    assert [one.id.seq for one in events] == list(range(len(events)))
    assert [one.type for one in events].count("stream.item") == 20
    assert owner.counters["refused"] == 0


async def test_a_stream_that_has_lost_its_beginning_is_not_begun_by_it(open_streams: Open) -> None:
    """Its readers must still be told that something is missing."""
    owner, other = open_streams(), open_streams()
    await say(owner, RunStarted("t"))
    await owner.forget(["run_1"])
    await join(other)
    assert await owner.tail("run_1") is None
    await say(owner, TextDelta("p", "x"))
    await join(other)
    with pytest.raises(StreamLost):
        await owner.read("run_1")
    assert [one.type for one in await owner.newest("run_1")] == ["text.delta", "stream.item"]


async def test_in_one_sending_it_keeps_its_place_among_what_the_run_itself_says(streams: Streams, collect: Collect) -> None:
    streams.publish("run_1", 3, RunStarted("t", epoch=3))
    streams.join("run_1", ITEM)
    streams.publish("run_1", 3, End("completed"))
    streams.join("run_1", ITEM)
    await streams.flush()
    assert [one.type for one in await collect(streams, "run_1")] == ["run.started", "stream.item", "end"]


async def test_items_that_wait_for_redis_are_bounded_by_their_size(open_streams: Open) -> None:
    """What is recorded is told from the database; a process must not keep it all in memory."""
    streams = open_streams(settings=Settings(urgent=3_600, soon=3_600, later=3_600, limits=Limits(deltas=1_000)))
    streams.publish("run_1", 1, RunStarted("t"))
    for number in range(100):
        streams.publish("run_1", 1, StreamItem("notes", "x" * 100, item=f"i{number}"))
        assert streams.counters["waiting"] <= 12
    streams.publish("run_1", 1, End("completed"))
    await streams.flush()
    with pytest.raises(StreamLost):
        await streams.read("run_1")
    assert streams.counters["dropped"] > 80
