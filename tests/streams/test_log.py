from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from agentflow.streams import Cursor, Limits, Settings, StoredEvent, StreamLost, Streams
from agentflow.streams.events import (
    Data,
    End,
    Event,
    RunAttempt,
    RunCompleted,
    RunStarted,
    StepCompleted,
    StepStarted,
    TextDelta,
    TextEnd,
    TextStart,
)
from agentflow.streams.wire import Wire

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

pytestmark = pytest.mark.parametrize("redis_url", ["server", "cluster"], indirect=True)

PATIENT = Settings(urgent=3_600, soon=3_600, later=3_600)
"""Sends nothing by itself: tests decide when by `flush`."""


def _story(tokens: int = 12) -> list[Event]:
    text: list[Event] = [TextDelta("p1", f" {number}") for number in range(tokens)]
    return [RunStarted("tell"), StepStarted("s1", "model", "llm"), TextStart("p1", step="s1"), *text, TextEnd("p1")]


def _ends() -> list[Event]:
    return [StepCompleted("s1", "model", "llm"), RunCompleted("done"), End("completed")]


async def _publish(streams: Streams, run_id: str, events: list[Event], epoch: int = 1) -> None:
    for event in events:
        streams.publish(run_id, epoch, event)
        await streams.flush()


def _texts(events: list[StoredEvent]) -> str:
    return "".join(entry.event.delta for entry in events if isinstance(entry.event, TextDelta))


async def test_events_are_read_in_the_order_they_were_published(streams: Streams, collect: Collect) -> None:
    await _publish(streams, "run_1", [*_story(), *_ends()])
    assert [entry.event for entry in await collect(streams, "run_1")] == [*_story(), *_ends()]


async def test_ids_are_dense_inside_an_epoch_and_begin_at_zero(streams: Streams) -> None:
    await _publish(streams, "run_1", _story(2))
    await _publish(streams, "run_1", [RunAttempt(2, "worker_lost")], epoch=2)
    assert [str(entry.id) for entry in await streams.read("run_1")] == ["1-0", "1-1", "1-2", "1-3", "1-4", "1-5", "2-0"]


async def test_a_stale_worker_cannot_write_once_a_newer_epoch_has_written(open_streams: Open, collect: Collect) -> None:
    stale, fresh = open_streams(), open_streams()
    refused: list[tuple[str, int]] = []
    stale.on_stale(lambda run_id, epoch: refused.append((run_id, epoch)))
    await _publish(stale, "run_1", [RunStarted("tell")])
    await _publish(fresh, "run_1", [RunAttempt(2, "worker_lost")], epoch=2)
    stale.publish("run_1", 1, TextDelta("p1", "a ghost"))
    stale.publish("run_2", 1, RunStarted("other"))
    await stale.flush()
    await _publish(fresh, "run_1", [End("completed")], epoch=2)
    assert [entry.type for entry in await collect(fresh, "run_1")] == ["run.started", "run.attempt", "end"]
    assert refused == [("run_1", 1)]
    assert stale.counters["refused"] == 1
    assert len(await fresh.read("run_2")) == 1


async def test_a_reader_that_comes_back_at_any_point_loses_nothing_and_sees_nothing_twice(streams: Streams, collect: Collect) -> None:
    await _publish(streams, "run_1", _story())
    await _publish(streams, "run_1", [RunAttempt(2, "resume"), *_ends()], epoch=2)
    whole = await collect(streams, "run_1")
    for cut in range(len(whole)):
        assert await collect(streams, "run_1", whole[cut].id) == whole[cut + 1 :]


async def test_readers_cut_at_any_point_while_the_run_speaks_see_every_event_once(open_streams: Open, collect: Collect) -> None:
    writer, viewer = open_streams(), open_streams()
    story = [*_story(), *_ends()]

    async def interrupted(cut: int) -> list[StoredEvent]:
        seen: list[StoredEvent] = []
        async for entry in viewer.follow("run_1"):
            seen.append(entry)
            if len(seen) == cut:
                break
        return seen + await collect(viewer, "run_1", seen[-1].id)

    async with asyncio.timeout(10):
        readers = [asyncio.create_task(interrupted(cut)) for cut in range(1, len(story))]
        await _publish(writer, "run_1", story)
        for seen in await asyncio.gather(*readers):
            assert [entry.event for entry in seen] == story


async def test_a_page_ends_at_its_limit_and_the_next_begins_after_it(streams: Streams) -> None:
    await _publish(streams, "run_1", _story())
    first = await streams.read("run_1", limit=5)
    assert [*first, *await streams.read("run_1", first[-1].id)] == await streams.read("run_1")
    assert len(first) == 5


async def test_neighbouring_deltas_of_a_part_are_sent_as_one(open_streams: Open) -> None:
    streams = open_streams(settings=PATIENT)
    for event in [
        RunStarted("tell"),
        TextStart("p1"),
        TextStart("p2"),
        *(TextDelta(f"p{n % 2 + 1}", str(n)) for n in range(10)),
        TextEnd("p1"),
    ]:
        streams.publish("run_1", 1, event)
    await streams.flush()
    deltas = [entry.event for entry in await streams.read("run_1") if entry.type == "text.delta"]
    assert deltas == [TextDelta("p1", "02468"), TextDelta("p2", "13579")]


async def test_deltas_are_not_merged_across_another_event(open_streams: Open) -> None:
    streams = open_streams(settings=PATIENT)
    for event in [RunStarted("tell"), TextDelta("p1", "a"), Data("tick", 1), TextDelta("p1", "b")]:
        streams.publish("run_1", 1, event)
    await streams.flush()
    assert [entry.type for entry in await streams.read("run_1")] == ["run.started", "text.delta", "data", "text.delta"]


async def test_a_step_that_began_and_ended_at_once_is_one_entry(open_streams: Open) -> None:
    streams = open_streams(settings=PATIENT)
    for event in [RunStarted("tell"), StepStarted("s1", "fetch"), StepCompleted("s1", "fetch", output=3)]:
        streams.publish("run_1", 1, event)
    await streams.flush()
    assert [entry.type for entry in await streams.read("run_1")] == ["run.started", "step.completed"]


async def test_a_step_inside_which_something_was_said_keeps_its_beginning(open_streams: Open) -> None:
    streams = open_streams(settings=PATIENT)
    for event in [RunStarted("tell"), StepStarted("s1", "model"), TextStart("p1", step="s1"), StepCompleted("s1", "model")]:
        streams.publish("run_1", 1, event)
    await streams.flush()
    assert [entry.type for entry in await streams.read("run_1")] == ["run.started", "step.started", "text.start", "step.completed"]


async def test_events_are_sent_without_being_asked_for_and_many_runs_share_a_sending(streams: Streams, eventually: Eventually) -> None:
    await _publish(streams, "warm", [RunStarted("tell")])
    before = streams.counters["sendings"]
    for number in range(100):
        streams.publish(f"run_{number}", 1, RunStarted("tell"))
    await eventually(lambda: streams.counters["sendings"] > before)
    assert len(await streams.read("run_99")) == 1
    assert streams.counters["sendings"] == before + 1


async def test_the_first_delta_of_a_part_does_not_wait_for_more(open_streams: Open, eventually: Eventually) -> None:
    streams = open_streams(settings=Settings(urgent=0, soon=3_600, later=3_600))
    await _publish(streams, "run_1", [RunStarted("tell")])
    before = streams.counters["sendings"]
    streams.publish("run_1", 1, TextStart("p1"))
    streams.publish("run_1", 1, TextDelta("p1", "Hel"))
    await eventually(lambda: streams.counters["sendings"] > before)
    streams.publish("run_1", 1, TextDelta("p1", "lo"))
    assert [entry.type for entry in await streams.read("run_1")] == ["run.started", "text.start", "text.delta"]


async def test_many_characters_of_deltas_do_not_wait_for_the_window(open_streams: Open, eventually: Eventually) -> None:
    streams = open_streams(settings=Settings(urgent=0, soon=0, later=3_600))
    await _publish(streams, "run_1", [RunStarted("tell")])
    streams.publish("run_1", 1, TextDelta("p1", "x" * 2_000))
    before = streams.counters["sendings"]
    streams.publish("run_1", 1, TextDelta("p1", "x" * 100))
    await eventually(lambda: streams.counters["sendings"] > before)
    assert _texts(await streams.read("run_1")) == "x" * 2_100


async def test_deltas_wait_no_longer_than_a_writer_with_little_to_send_needs(open_streams: Open, eventually: Eventually) -> None:
    streams = open_streams(settings=Settings(urgent=0, soon=0, later=3_600))
    await _publish(streams, "run_1", [RunStarted("tell"), *[TextDelta("p1", "x")] * 150])
    before = streams.counters["sendings"]
    streams.publish("run_1", 1, TextDelta("p1", "y"))
    await eventually(lambda: streams.counters["sendings"] > before)
    assert _texts(await streams.read("run_1")) == "x" * 150 + "y"


async def test_every_key_has_a_time_to_live_and_an_ended_stream_a_shorter_one(streams: Streams, wire: Wire) -> None:
    await _publish(streams, "run_1", _story())
    await _publish(streams, "run_2", [RunStarted("tell"), End("completed")])
    lives = {key: await wire.call("PTTL", key.decode()) for key in await wire.call("KEYS", "*")}
    assert len([key for key in lives if key.endswith(b":ev")]) == 2
    assert all(life > 0 for life in lives.values())
    assert lives[b"af:{run_1}:ev"] > 6 * 86_400_000
    assert lives[b"af:{run_2}:ev"] <= 3_600_000


async def test_a_reader_ends_with_the_end_and_one_that_comes_after_it_ends_at_once(streams: Streams, collect: Collect) -> None:
    await _publish(streams, "run_1", [RunStarted("tell")])
    reading = asyncio.create_task(collect(streams, "run_1"))
    await _publish(streams, "run_1", [RunCompleted(1), End("completed")])
    async with asyncio.timeout(1):
        events = await reading
    assert [entry.type for entry in events] == ["run.started", "run.completed", "end"]
    assert await collect(streams, "run_1", events[-1].id) == []


async def test_a_reader_that_goes_away_releases_its_listener(streams: Streams, wire: Wire, eventually: Eventually) -> None:
    await _publish(streams, "run_1", [RunStarted("tell")])

    async def read() -> None:
        async for _ in streams.follow("run_1"):
            pass

    readers = [asyncio.create_task(read()) for _ in range(3)]
    await eventually(lambda: streams.counters["followed"] == 1)

    async def listened() -> int:
        return (await wire.call("PUBSUB", "NUMSUB", "af:{run_1}:ch"))[1]

    async with asyncio.timeout(10):
        while await listened() == 0:
            await asyncio.sleep(0)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert streams.counters["followed"] == 0
        while await listened():
            await asyncio.sleep(0)


async def _say_unheard(wire: Wire, kind: str, data: str) -> None:
    """Append past the script: nobody is woken."""
    await wire.call("XADD", "af:{run_1}:ev", "1-*", "t", kind, "p", "", "d", data, "ts", "1")


async def _listening(streams: Streams, wire: Wire, seen: list[StoredEvent], eventually: Eventually) -> asyncio.Task[None]:
    """A reader of run_1 that has caught up and is fed by messages."""

    async def read() -> None:
        async for entry in streams.follow("run_1"):
            seen.append(entry)

    await _publish(streams, "run_1", [RunStarted("tell")])
    reading = asyncio.create_task(read())
    async with asyncio.timeout(10):
        while not (await wire.call("PUBSUB", "NUMSUB", "af:{run_1}:ch"))[1]:
            await asyncio.sleep(0)
    await _publish(streams, "run_1", [Data("tick", 1)])
    await eventually(lambda: len(seen) == 2)
    return reading


async def test_a_lost_wake_up_is_found_by_the_sweep(open_streams: Open, wire: Wire, eventually: Eventually) -> None:
    seen: list[StoredEvent] = []
    reading = await _listening(open_streams(settings=Settings(sweep=0.05)), wire, seen, eventually)
    await _say_unheard(wire, "end", '{"status":"completed"}')
    async with asyncio.timeout(10):
        await reading
    assert [entry.type for entry in seen] == ["run.started", "data", "end"]


async def test_a_reader_that_missed_a_message_reads_it_before_the_next(open_streams: Open, wire: Wire, eventually: Eventually) -> None:
    seen: list[StoredEvent] = []
    streams = open_streams(settings=Settings(sweep=3_600))
    reading = await _listening(streams, wire, seen, eventually)
    await _say_unheard(wire, "source", '{"url":"https://a.test"}')
    await _publish(streams, "run_1", [End("completed")])
    async with asyncio.timeout(10):
        await reading
    assert [entry.type for entry in seen] == ["run.started", "data", "source", "end"]


async def test_a_cursor_of_a_stream_that_is_gone_is_told_apart_from_a_quiet_one(streams: Streams, collect: Collect) -> None:
    with pytest.raises(StreamLost) as lost:
        await collect(streams, "run_1", Cursor(1, 7))
    assert lost.value.details == {"run_id": "run_1", "tail": ""}
    assert await streams.read("run_1") == []


async def test_a_stream_that_lost_its_beginning_says_so_and_never_repeats_an_id(streams: Streams, wire: Wire, collect: Collect) -> None:
    await _publish(streams, "run_1", _story(3))
    old = await streams.read("run_1")
    await wire.call("FLUSHALL")
    await _publish(streams, "run_1", [TextEnd("p1"), StepCompleted("s1", "model")])
    tail = await streams.tail("run_1")
    assert tail is not None
    assert tail > old[-1].id
    for cursor in (None, *(entry.id for entry in old)):
        with pytest.raises(StreamLost) as lost:
            await collect(streams, "run_1", cursor)
        assert lost.value.details["tail"] == str(tail)
    await _publish(streams, "run_1", [End("completed")])
    assert [entry.type for entry in await collect(streams, "run_1", tail)] == ["end"]


async def test_a_viewer_far_behind_reads_pages_and_then_follows(open_streams: Open, collect: Collect) -> None:
    streams = open_streams()
    for number in range(1_500):
        streams.publish("run_1", 1, RunStarted("tell") if number == 0 else Data("tick", number))
    await streams.flush()
    reading = asyncio.create_task(collect(streams, "run_1"))
    streams.publish("run_1", 1, End("completed"))
    assert [entry.id.seq for entry in await reading] == list(range(1_501))


async def test_a_large_batch_reaches_followers_though_it_is_too_large_for_a_message(streams: Streams, collect: Collect) -> None:
    await _publish(streams, "run_1", [RunStarted("tell")])
    reading = asyncio.create_task(collect(streams, "run_1"))
    await _publish(streams, "run_1", [Data("big", "x" * 100_000), End("completed")])
    assert [entry.type for entry in await reading] == ["run.started", "data", "end"]


async def test_too_much_waiting_costs_deltas_first_and_the_end_last(open_streams: Open, wire: Wire, collect: Collect) -> None:
    streams = open_streams(settings=Settings(urgent=3_600, soon=3_600, later=3_600, limits=Limits(deltas=100, events=50)))
    await _publish(streams, "few", [RunStarted("tell")])
    await _publish(streams, "many", [RunStarted("tell")])
    for number in range(20):
        streams.publish("few", 1, TextDelta("p1", "x" * 20))
        streams.publish("few", 1, Data("tick", number))
    streams.publish("few", 1, End("completed"))
    streams.publish("many", 1, End("completed"))
    for number in range(100):
        streams.publish(f"run_{number}", 1, RunStarted("tell"))
    await streams.flush()
    assert streams.counters["dropped"] > 0
    for run_id in ("few", "many"):
        kept = await wire.call("XREVRANGE", f"af:{{{run_id}}}:ev", "+", "-", "COUNT", 1)
        assert kept[0][1][1] == b"end"
    with pytest.raises(StreamLost):
        await collect(streams, "few")
