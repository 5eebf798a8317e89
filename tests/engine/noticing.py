"""What tests wait for in a run's record."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow.handle import RunHandle
from agentflow.records import RunRecord
from agentflow.testing import Engine


async def noted(engine: Engine, run: RunHandle[Any]) -> RunRecord:
    """The run once it says what it waits for."""
    async with asyncio.timeout(10):
        while (record := await engine.get(run)).note is None:
            await asyncio.sleep(0)
    return record
