"""A Redis that is away for a while: nobody waits for it who need not, nothing grows without end, and it is told of once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from agentflow.errors import StreamUnavailable
from agentflow.streams import Limits, Settings, StoredEvent, StreamLost, Streams
from agentflow.streams.events import Data, End, RunStarted, TextDelta
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer.running() as server:
        yield server


def _about(caplog: pytest.LogCaptureFixture, said: str) -> int:
    return sum(said in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


async def _found_away(streams: Streams) -> None:
    """Return once a read fails at once because the server is known to be away."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with asyncio.timeout(0.05):
                    await streams.tail("run_1")
            except StreamUnavailable:
                return
            except TimeoutError:
                continue
            await asyncio.sleep(0)


async def test_a_reader_does_not_wait_for_a_server_that_is_known_to_be_away(valkey: ValkeyServer, open_streams: Open) -> None:
    streams = open_streams(valkey.url)
    assert await streams.tail("run_1") is None
    valkey.kill()
    await _found_away(streams)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(100):
        with pytest.raises(StreamUnavailable):
            await streams.newest("run_1")
    assert loop.time() - began < 1.0


async def test_of_many_readers_that_meet_a_server_which_hangs_none_waits_for_another(valkey: ValkeyServer, open_streams: Open) -> None:
    async with Proxy.running(valkey.port) as proxy:
        streams = open_streams(f"redis://127.0.0.1:{proxy.port}?socket_connect_timeout=0.5")
        proxy.hold()
        async with asyncio.timeout(3):
            found = await asyncio.gather(*(streams.newest(f"run_{number}") for number in range(50)), return_exceptions=True)
        assert all(isinstance(one, StreamUnavailable) for one in found)
        proxy.resume()
        await streams.flush()


async def test_an_outage_is_told_when_it_begins_and_when_it_ends_however_many_notice(
    valkey: ValkeyServer, open_streams: Open, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    streams = open_streams(valkey.url)
    heard: list[str] = []
    streams.on_signal("queue", heard.append)
    streams.publish("run_1", 1, RunStarted("tell"))
    await streams.flush()
    valkey.kill()
    readers = [asyncio.create_task(anext(streams.follow(f"run_{number}"))) for number in range(20)]
    streams.publish("run_1", 1, Data("tick", 1))
    await eventually(lambda: _about(caplog, "is away") == 1)
    for number in range(200):
        streams.publish("run_1", 1, Data("tick", number))
        with pytest.raises(StreamUnavailable):
            await streams.tail("run_1")
    valkey.start()
    await streams.flush()
    await eventually(lambda: _about(caplog, "answers again") == 1)
    assert _about(caplog, "") == 2
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_readers_go_on_as_soon_as_the_server_is_back(valkey: ValkeyServer, open_streams: Open, collect: Collect) -> None:
    streams = open_streams(valkey.url)
    await streams.tail("warm")
    valkey.kill()
    await _found_away(streams)
    readers = [asyncio.create_task(collect(streams, "run_2")) for _ in range(20)]
    for event in (RunStarted("tell"), End("completed")):
        streams.publish("run_2", 1, event)
    valkey.start()
    for read in await asyncio.gather(*readers):
        assert [entry.type for entry in read] == ["run.started", "end"]


async def test_a_server_that_stands_still_and_goes_on_has_every_event_once(
    valkey: ValkeyServer, open_streams: Open, collect: Collect
) -> None:
    streams = open_streams(valkey.url)
    streams.publish("run_1", 1, RunStarted("tell"))
    await streams.flush()
    valkey.pause()
    for number in range(100):
        streams.publish("run_1", 1, Data("tick", number))
    streams.publish("run_1", 1, End("completed"))
    flushing = asyncio.create_task(streams.flush())
    done, _ = await asyncio.wait([flushing], timeout=6)
    assert not done
    valkey.go_on()
    await flushing
    assert [entry.id.seq for entry in await collect(streams, "run_1")] == list(range(102))


async def test_a_listener_notices_that_its_server_says_nothing_any_more(
    valkey: ValkeyServer, open_streams: Open, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    async with Proxy.running(valkey.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?socket_connect_timeout=0.3"
        here, there = open_streams(valkey.url), open_streams(url, Settings(silence=0.2))
        heard: list[str] = []
        there.on_signal("queue", heard.append)
        await _signalled(here, heard, "one")
        proxy.hold()
        # Its connection is open and silent: only by asking can it be told from a quiet one.
        await eventually(lambda: _about(caplog, "is away") == 1)
        proxy.resume()
        await _signalled(here, heard, "two")


async def _signalled(streams: Streams, heard: list[str], value: str) -> None:
    async with asyncio.timeout(20):
        while value not in heard:
            streams.signal("queue", value)
            await streams.flush()


async def test_what_waits_for_a_server_is_bounded_and_what_was_dropped_is_known(
    valkey: ValkeyServer, open_streams: Open, collect: Collect
) -> None:
    limits = Limits(deltas=1_000, events=200)
    streams = open_streams(valkey.url, settings=Settings(limits=limits))
    streams.publish("talk", 1, RunStarted("tell"))
    await streams.flush()
    back: list[list[str]] = []
    streams.on_back(lambda away, lost: back.append(sorted(lost)))
    valkey.kill()
    await _found_away(streams)
    for number in range(2_000):
        streams.publish("talk", 1, TextDelta("p1", "x" * 10))
        streams.publish(f"run_{number}", 1, Data("tick", number))
    assert streams.counters["waiting"] <= limits.events + 2_000
    assert streams.counters["dropped"] >= 1_700
    valkey.start()
    streams.publish("talk", 1, End("completed"))
    await streams.flush()
    assert "run_5" in back[0]
    with pytest.raises(StreamLost):
        await collect(streams, "talk")


async def test_a_run_of_which_all_that_waited_was_dropped_tells_its_readers_to_start_over(valkey: ValkeyServer, open_streams: Open) -> None:
    streams = open_streams(valkey.url, settings=Settings(limits=Limits(events=20)))
    streams.publish("run_1", 1, RunStarted("tell"))
    await streams.flush()
    [first] = await streams.read("run_1")
    valkey.pause()
    streams.publish("warm", 1, RunStarted("tell"))
    streams.publish("run_1", 1, Data("tick", 1))
    for number in range(60):
        streams.publish(f"other_{number}", 1, RunStarted("tell"))
    valkey.go_on()
    await streams.flush()
    streams.publish("run_1", 1, Data("tick", 2))
    await streams.flush()
    with pytest.raises(StreamLost):
        await streams.read("run_1", first.id)


async def test_a_batch_that_arrives_after_a_later_one_is_not_appended(valkey: ValkeyServer, open_streams: Open) -> None:
    streams = open_streams(valkey.url)
    streams.publish("run_1", 1, RunStarted("tell"))
    await streams.flush()
    [mark] = valkey.command("KEYS", "af:w:*")
    valkey.command("SET", mark, "1000|")
    streams.publish("run_1", 1, Data("tick", 1))
    await streams.flush()
    assert len(await streams.read("run_1")) == 1
