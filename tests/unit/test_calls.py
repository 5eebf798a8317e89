"""Work that goes on though whoever asked for it is gone."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from agentflow.control import LeaseLost
from agentflow.engine.calls import finishing


async def test_work_goes_on_when_its_caller_is_cancelled_and_its_error_is_then_nobodys() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()
        raise LeaseLost("run_1")

    caller = asyncio.create_task(finishing(work()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    gate.set()
    await done.wait()
    await asyncio.sleep(0)
    del caller
    gc.collect()
    assert complaints == []


async def test_a_caller_that_stays_hears_of_it() -> None:
    async def work() -> None:
        raise LeaseLost("run_1")

    with pytest.raises(LeaseLost):
        await finishing(work())
