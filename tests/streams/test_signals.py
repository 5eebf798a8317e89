from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentflow.streams import Streams

on_both = pytest.mark.parametrize("redis_url", ["server", "cluster"], indirect=True)
Open = Callable[..., Streams]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@on_both
async def test_a_signal_reaches_other_processes_and_comes_home_only_once(open_streams: Open, eventually: Eventually) -> None:
    here, there = open_streams(), open_streams()
    heard_here: list[str] = []
    heard_there: list[str] = []
    here.on_signal("queue", heard_here.append)
    there.on_signal("queue", heard_there.append)
    async with asyncio.timeout(10):
        while "warm" not in heard_there:
            here.signal("queue", "warm")
            await here.flush()
        while "warm" not in heard_here:
            there.signal("queue", "warm")
            await there.flush()
    heard_here.clear()
    here.signal("queue", "one")
    there.signal("queue", "two")
    await eventually(lambda: {"one", "two"} <= set(heard_there) and {"one", "two"} <= set(heard_here))
    assert heard_here.count("one") == 1
    assert heard_there.count("two") == 1


async def test_a_signal_is_heard_in_its_own_process_whether_redis_is_there_or_not(tmp_path: Path) -> None:
    streams = Streams.connect(f"unix://{tmp_path}/nobody.sock", tmp_path)
    heard: list[str] = []
    stop = streams.on_signal("run", heard.append)
    streams.on_signal("other", heard.append)
    streams.signal("run", "run_1")
    await asyncio.sleep(0)
    assert heard == ["run_1"]
    stop()
    streams.signal("run", "run_2")
    await asyncio.sleep(0)
    assert heard == ["run_1"]
    await streams.close(timeout=0)
