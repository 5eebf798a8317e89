"""What recipes share that ask somebody: the terminal in which they run."""

from __future__ import annotations

import asyncio
import sys
from typing import TypeVar

from agentflow import Agentflow, RunHandle
from agentflow.streams.events import ApprovalRequested

R = TypeVar("R")


async def attended(app: Agentflow, run: RunHandle[R]) -> R:
    """The result of a run whose questions are asked at this terminal; where there is none, the answer is yes."""
    async for told in run.events():
        if isinstance(told.event, ApprovalRequested):
            print(f"{told.event.title}\n{told.event.input}")
            typed = await asyncio.to_thread(input, "[y/n] ") if sys.stdin.isatty() else "y"
            if typed.strip().lower().startswith("y"):
                await app.waitpoints.approve(told.event.approval, by="you")
            else:
                await app.waitpoints.deny(told.event.approval, by="you")
    return await run.result()
