from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentflow.errors import StreamUnavailable
from agentflow.streams import Streams

on_both = pytest.mark.parametrize("redis_url", ["server", "cluster"], indirect=True)
Open = Callable[..., Streams]
MINUTE = 60_000_000


@on_both
async def test_a_note_is_for_the_first_of_all_processes_that_takes_it(open_streams: Open) -> None:
    processes = [open_streams() for _ in range(4)]
    for number in range(20):
        run_id = f"run_{number}"
        await processes[number % 4].put_note(run_id, "ticket", b"value", MINUTE)
        assert await processes[0].take_note(f"run_{number}0", "ticket") is None
        assert await processes[0].take_note(run_id, "other") is None
        taken = await asyncio.gather(*(one.take_note(run_id, "ticket") for one in processes))
        assert sorted(taken, key=bool) == [None, None, None, b"value"]


@on_both
async def test_a_note_leaves_with_its_time(streams: Streams, wire: Any) -> None:
    await streams.put_note("run_1", "ticket", b"value", MINUTE)
    left = await wire.call("PTTL", "af:{run_1}:note:ticket")
    assert 0 < left <= 60_000
    await wire.call("PEXPIRE", "af:{run_1}:note:ticket", 0)
    assert await streams.take_note("run_1", "ticket") is None


async def test_a_note_that_cannot_be_kept_is_an_error(open_streams: Open) -> None:
    away = open_streams("unix:///nobody.sock")
    for asked in (away.put_note("run_1", "ticket", b"value", MINUTE), away.take_note("run_1", "ticket")):
        with pytest.raises(StreamUnavailable):
            await asked
