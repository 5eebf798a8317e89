"""Durable streams in Redis: keys, their end, forks, two processes; on one server and on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from agentflow.streams import Settings, Streams
from agentflow.streams.durable.records import (
    START,
    Addition,
    Draft,
    DurableStreamGone,
    DurableStreamNotFound,
    Fork,
    ForkConflict,
    ForkRefused,
    NameTaken,
    Part,
    Place,
    Producer,
)
from agentflow.streams.durable.shelf import Keys
from tests.streams.conftest import Everywhere

Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

pytestmark = pytest.mark.parametrize("redis_url", ["server", "cluster"], indirect=True)

PATIENT = Settings(sweep=3_600)
"""Never looks by itself: a reader that goes on was woken."""


def text(payload: bytes, **more: Any) -> Addition:
    return Addition(media="text/plain", payload=payload, **more)


async def filled(streams: Streams, path: str, *payloads: bytes, **draft: Any) -> None:
    await streams.durable.create(path, Draft(media="text/plain", **draft))
    for payload in payloads:
        await streams.durable.append(path, text(payload))


async def whole(streams: Streams, path: str) -> bytes:
    part = await streams.durable.part(path, START)
    assert part.caught_up
    return b"".join(entry.payload for entry in part.entries)


async def lives(wire: Everywhere, path: str) -> list[int]:
    """The milliseconds left of each key of a stream; -2 of one that is not there."""
    return [await wire.call("PTTL", key) for key in Keys.of(path).all]


async def test_every_key_of_a_stream_has_an_end(streams: Streams, wire: Everywhere) -> None:
    await filled(streams, "kept", b"one")
    await filled(streams, "short", b"one", ttl=100)
    await filled(streams, "dated", b"one", expires="2999-01-01T00:00:00Z", until=32_472_144_000_000)
    for path in ("kept", "short", "dated"):
        await streams.durable.append(path, text(b"two", producer=Producer("p", 0, 0)))
        await streams.durable.create(f"{path}-fork", Draft(fork=Fork(path)))
        assert all(left > 0 for left in await lives(wire, path))
        assert all(left > 0 or left == -2 for left in await lives(wire, f"{path}-fork"))
    assert max(await lives(wire, "short")) <= 100_000 < 6 * 86_400_000 < min(await lives(wire, "kept"))
    assert min(await lives(wire, "dated")) > 365 * 86_400_000


async def test_reading_keeps_an_idle_stream_alive_and_looking_does_not(streams: Streams, wire: Everywhere) -> None:
    await filled(streams, "idle", b"one", ttl=100)
    for key in Keys.of("idle").all[:2]:
        await wire.call("PEXPIRE", key, 50_000)
    await streams.durable.part("idle", None)
    assert max(await lives(wire, "idle")) <= 50_000
    await streams.durable.part("idle", START, keep=True)
    assert [left > 50_000 for left in (await lives(wire, "idle"))[:2]] == [True, True]


async def test_a_deleted_stream_leaves_no_key(streams: Streams, wire: Everywhere) -> None:
    await filled(streams, "gone", b"one")
    await streams.durable.create("fork", Draft(fork=Fork("gone")))
    await streams.durable.delete("gone")
    await streams.durable.delete("fork")
    assert await lives(wire, "gone") == await lives(wire, "fork") == [-2] * 4
    assert await wire.call("KEYS", "af:ds:*") == []
    with pytest.raises(DurableStreamNotFound):
        await streams.durable.delete("gone")


async def test_paths_that_could_end_a_hash_tag_stay_in_one_slot(streams: Streams) -> None:
    for path in ("a}b", "{a", "a{b}c", "{}", "ü/€", " "):
        await filled(streams, path, path.encode())
        assert await whole(streams, path) == path.encode()
        assert all(key.count("{") == key.count("}") == 1 for key in Keys.of(path).all)


async def test_an_append_of_one_process_wakes_the_readers_of_another(open_streams: Open, eventually: Eventually) -> None:
    here, there = open_streams(settings=PATIENT), open_streams(settings=PATIENT)
    await filled(there, "shared")
    told: list[list[bytes]] = [[] for _ in range(5)]

    async def follow(number: int) -> None:
        async with aclosing(here.durable.follow("shared", START)) as parts:
            async for part in parts:
                told[number] += [entry.payload for entry in part.entries]

    followers = [asyncio.create_task(follow(number)) for number in range(5)]
    await eventually(lambda: here.durable.followed == 1)
    for number in range(1, 4):
        await there.durable.append("shared", text(b"%d;" % number))
        await eventually(lambda number=number: all(b"".join(one).endswith(b"%d;" % number) for one in told))
    await there.durable.append("shared", Addition(close=True))
    await asyncio.wait_for(asyncio.gather(*followers), 10)
    assert [b"".join(one) for one in told] == [b"1;2;3;"] * 5
    assert here.durable.followed == 0


async def test_concurrent_writers_lose_nothing_and_a_repeated_number_is_written_once(open_streams: Open) -> None:
    here, there = open_streams(), open_streams()
    await filled(here, "busy")
    writes = [
        streams.durable.append("busy", text(b"%d;" % number, producer=Producer(f"p{number}", 0, 0)))
        for number in range(50)
        for streams in (here, there)
    ]
    outcomes = [verdict.outcome for verdict in await asyncio.gather(*writes)]
    assert (outcomes.count("written"), outcomes.count("duplicate")) == (50, 50)
    assert sorted((await whole(there, "busy")).split(b";")[:-1], key=int) == [b"%d" % number for number in range(50)]


async def test_a_fork_in_another_slot_has_the_places_of_its_source(streams: Streams) -> None:
    await filled(streams, "source", *(b"%d" % number * 100_000 for number in range(10, 40)))
    source = await read_all(streams, "source")
    middle = source[3].end
    for path, place in (("fork-a", Place(source[0].standing.epoch, middle.position)), ("fork-b", None)):
        await streams.durable.create(path, Draft(fork=Fork("source", place)))
    kept = await read_all(streams, "fork-b")
    assert [part.end for part in kept] == [part.end for part in source]
    assert [part.entries for part in kept] == [part.entries for part in source]
    await streams.durable.append("source", text(b"later"))
    assert (await read_all(streams, "fork-a"))[-1].end == middle


async def read_all(streams: Streams, path: str) -> list[Part]:
    parts = [await streams.durable.part(path, START)]
    while not parts[-1].caught_up:
        parts.append(await streams.durable.part(path, parts[-1].end))
    return parts


async def test_a_fork_that_cannot_be_is_refused_and_holds_nothing(streams: Streams, wire: Everywhere) -> None:
    await filled(streams, "source", b"hello", b"world")
    epoch = (await streams.durable.part("source", None)).standing.epoch
    for place, beyond in ((Place(epoch, 3), 0), (Place(epoch, 11), 0), (Place(epoch + 1, 5), 0), (Place(epoch, 5), 6), (None, 1)):
        with pytest.raises(ForkRefused):
            await streams.durable.create("fork", Draft(fork=Fork("source", place, beyond)))
    with pytest.raises(ForkConflict):
        await streams.durable.create("fork", Draft(media="application/json", fork=Fork("source")))
    with pytest.raises(DurableStreamNotFound):
        await streams.durable.create("fork", Draft(fork=Fork("nothing")))
    await streams.durable.delete("source")
    assert (await lives(wire, "source"))[0] == -2


async def test_a_fork_that_many_make_at_once_is_one_and_holds_its_source(open_streams: Open) -> None:
    here, there = open_streams(), open_streams()
    await filled(here, "source", b"hello")
    made = await asyncio.gather(
        *(streams.durable.create("fork", Draft(fork=Fork("source"))) for streams in (here, there) for _ in range(5))
    )
    assert [new for _, new in made].count(True) == 1
    assert len({standing.id for standing, _ in made}) == 1
    await here.durable.delete("source")
    with pytest.raises(DurableStreamGone):
        await there.durable.part("source", START)
    await there.durable.delete("fork")
    with pytest.raises(DurableStreamNotFound):
        await here.durable.part("source", START)


async def test_a_source_whose_last_fork_ran_out_of_time_is_gone_too(streams: Streams, wire: Everywhere) -> None:
    await filled(streams, "source", b"hello")
    await streams.durable.create("fork", Draft(fork=Fork("source")))
    await streams.durable.create("grandchild", Draft(fork=Fork("fork")))
    await streams.durable.delete("source")
    await streams.durable.delete("fork")
    for path in ("source", "fork"):
        with pytest.raises(DurableStreamGone):
            await streams.durable.part(path, START)
        with pytest.raises(NameTaken):
            await streams.durable.create(path, Draft(media="text/plain"))
    assert await whole(streams, "grandchild") == b"hello"
    # As if its time had ended: nobody tells of that.
    await wire.call("DEL", Keys.of("grandchild").all[0])
    with pytest.raises(DurableStreamNotFound):
        await streams.durable.part("fork", START)
    with pytest.raises(DurableStreamNotFound):
        await streams.durable.part("source", START)


async def test_an_array_of_many_messages_is_one_append(streams: Streams) -> None:
    await streams.durable.create("many", Draft(media="application/json"))
    payload = b",".join(b"%d" % number for number in range(100_000))
    await streams.durable.append("many", Addition(media="application/json", payload=payload))
    await streams.durable.create("few", Draft(fork=Fork("many", START, 12)))
    assert await whole(streams, "few") == b",".join(b"%d" % number for number in range(12))
