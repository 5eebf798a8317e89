"""A master that is lost: writing, reading and listening follow whoever takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from agentflow.streams import StoredEvent, Streams
from agentflow.streams.events import Data, End, RunStarted
from agentflow.streams.slots import slot_of
from tests.servers.valkey import SentinelTrio, ValkeyCluster, ValkeyServer

Collect = Callable[..., Coroutine[Any, Any, list[StoredEvent]]]
Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

PATIENCE = 20.0


async def _followed(streams: Streams, run_id: str, seen: list[StoredEvent]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for entry in streams.follow(run_id):
            seen.append(entry)


def _run_at(first: int, last: int, name: str = "run") -> str:
    """The id of a run whose slot is between two."""
    return next(run_id for run_id in (f"{name}_{number}" for number in range(100_000)) if first <= slot_of(run_id) <= last)


async def _begun(streams: Streams, run_id: str) -> None:
    while await streams.tail(run_id) is None:
        await asyncio.sleep(0)


def _replicated(master: ValkeyServer) -> None:
    """Block until the replica has all that its master has."""
    assert master.command("WAIT", 1, 5_000) == 1


async def test_a_run_and_its_viewer_follow_a_failover_of_sentinels(open_streams: Open, eventually: Eventually) -> None:
    with SentinelTrio.running() as trio:
        writer, viewer = open_streams(trio.url), open_streams(trio.url)
        signals: list[str] = []
        viewer.on_signal("queue", signals.append)
        seen: list[StoredEvent] = []
        writer.publish("run_1", 1, RunStarted("tell"))
        await writer.flush()
        following = asyncio.create_task(_followed(viewer, "run_1", seen))
        await eventually(lambda: len(seen) == 1)
        _replicated(trio.master)
        trio.master.pause()
        for number in range(50):
            writer.publish("run_1", 1, Data("tick", number))
        async with asyncio.timeout(PATIENCE):
            await writer.flush()
            while "after" not in signals:
                writer.signal("queue", "after")
                await writer.flush()
        writer.publish("run_1", 1, End("completed"))
        await following
        assert [entry.id.seq for entry in seen] == list(range(52))
        assert trio.master_port() == trio.replica.port


async def test_a_master_that_is_replaced_while_it_lives_is_left_at_once(open_streams: Open, collect: Collect) -> None:
    with SentinelTrio.running() as trio:
        streams = open_streams(trio.url)
        streams.publish("run_1", 1, RunStarted("tell"))
        await streams.flush()
        _replicated(trio.master)
        trio.sentinels[0].command("SENTINEL", "FAILOVER", trio.name)
        async with asyncio.timeout(PATIENCE):
            number = 0
            # For some seconds the old master takes writes yet, and all of them will be lost.
            while not (trio.replica.is_master and trio.replica.command("EXISTS", f"af:{{new_{number}}}:ev")):
                number += 1
                streams.publish(f"new_{number}", 1, RunStarted("tell"))
                await streams.flush()
        assert trio.master.is_master
        streams.publish("run_1", 1, End("completed"))
        assert [entry.type for entry in await collect(streams, "run_1")] == ["run.started", "end"]


async def test_while_a_node_is_away_the_runs_of_the_others_flow(open_streams: Open, collect: Collect, eventually: Eventually) -> None:
    with ValkeyCluster.running() as cluster:
        streams = open_streams(cluster.url)
        away, near, far = _run_at(0, 5_460), _run_at(5_461, 10_922), _run_at(10_923, 16_383)
        for run_id in (away, near, far):
            streams.publish(run_id, 1, RunStarted("tell"))
        await streams.flush()
        cluster.masters[0].pause()
        reading = [asyncio.create_task(collect(streams, run_id)) for run_id in (near, far)]
        for number in range(100):
            for run_id in (away, near, far):
                streams.publish(run_id, 1, Data("tick", number))
            await asyncio.sleep(0)
        for run_id in (near, far):
            streams.publish(run_id, 1, End("completed"))
        async with asyncio.timeout(3):
            assert [[entry.id.seq for entry in read] for read in await asyncio.gather(*reading)] == [list(range(102))] * 2
        new = [f"new_{number}" for number in range(50)]
        for run_id in new:
            streams.publish(run_id, 1, RunStarted("tell"))
        async with asyncio.timeout(3):
            await asyncio.gather(*(_begun(streams, run_id) for run_id in new if slot_of(run_id) > 5_460))
        cluster.masters[0].go_on()
        streams.publish(away, 1, End("completed"))
        assert [entry.id.seq for entry in await collect(streams, away)] == list(range(102))
        await streams.flush()
        assert all([await streams.tail(run_id) for run_id in new])


async def test_a_run_and_its_viewer_follow_a_failover_of_a_shard(open_streams: Open, eventually: Eventually) -> None:
    with ValkeyCluster.running(replica=True, password="secret") as cluster:
        url = cluster.url.replace("//", "//:secret@")
        writer, viewer = open_streams(url), open_streams(url)
        moved, stays = _run_at(0, 5_460), _run_at(5_461, 16_383)
        seen: dict[str, list[StoredEvent]] = {moved: [], stays: []}
        for run_id in seen:
            writer.publish(run_id, 1, RunStarted("tell"))
        await writer.flush()
        following = [asyncio.create_task(_followed(viewer, run_id, found)) for run_id, found in seen.items()]
        await eventually(lambda: all(seen.values()))
        _replicated(cluster.masters[0])
        cluster.masters[0].kill()
        for number in range(50):
            for run_id in seen:
                writer.publish(run_id, 1, Data("tick", number))
        writer.publish(stays, 1, End("completed"))
        async with asyncio.timeout(5):
            await following[1]
        async with asyncio.timeout(PATIENCE):
            await writer.flush()
        writer.publish(moved, 1, End("completed"))
        await asyncio.gather(*following)
        for found in seen.values():
            assert [entry.id.seq for entry in found] == list(range(52))


async def test_a_slot_that_moves_to_another_node_takes_its_runs_along(
    open_streams: Open, cluster: ValkeyCluster, eventually: Eventually
) -> None:
    writer, viewer = open_streams(cluster.url), open_streams(cluster.url)
    run_id = _run_at(5_000, 5_460, "moving")
    slot, (source, target, _) = slot_of(run_id), cluster.masters
    seen: list[StoredEvent] = []
    writer.publish(run_id, 1, RunStarted("tell"))
    await writer.flush()
    following = asyncio.create_task(_followed(viewer, run_id, seen))
    await eventually(lambda: bool(seen))
    names = [node.command("CLUSTER", "MYID").decode() for node in (source, target)]
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    assert len(keys) == 2
    source.command("MIGRATE", "127.0.0.1", target.port, keys[0].decode(), 0, 5_000)
    # One of its keys is here and the other there: no call can have both until the move is done.
    writer.publish(run_id, 1, Data("tick", 1))
    source.command("MIGRATE", "127.0.0.1", target.port, keys[1].decode(), 0, 5_000)
    # Now both are there, which the slot is not: the target is asked.
    await writer.flush()
    assert [entry.type for entry in await viewer.read(run_id)] == ["run.started", "data"]
    for node in (target, source, cluster.masters[2]):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
    writer.publish(run_id, 1, Data("tick", 2))
    await writer.flush()
    writer.publish(run_id, 1, End("completed"))
    await following
    assert [entry.id.seq for entry in seen] == list(range(4))
