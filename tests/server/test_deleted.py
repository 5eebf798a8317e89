"""Readers of a run that is deleted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agentflow import Agentflow
from agentflow.errors import RunNotFound
from agentflow.storage import transitions
from agentflow.storage.statements import SQL
from tests.server.site import PATIENCE, Frame, Site


async def test_a_reader_at_the_tail_of_a_deleted_run_is_told_so(site: Site) -> None:
    """T56"""
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    seen: list[Frame] = []
    asked = asyncio.Event()

    async def read() -> None:
        async with aclosing(site.frames(run_id)) as frames:
            async for frame in frames:
                seen.append(frame)
                if frame.type == "approval.requested":
                    asked.set()

    reading = asyncio.create_task(read())
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await delete(site.app, run_id)
    await asyncio.wait_for(reading, 1.0)
    assert (seen[-1].id, seen[-1].data) == (None, {"type": "end", "status": "deleted"})
    assert (await site.client.get(f"/v1/runs/{run_id}/stream")).status_code == 404


async def test_a_follower_of_a_deleted_run_is_told_so(site: Site) -> None:
    """T56"""
    run_id = await site.start("publish", draft="text")
    await site.waiting(run_id)
    asked = asyncio.Event()

    async def follow() -> None:
        async for event in site.app.runs.events(run_id):
            if event.type == "approval.requested":
                asked.set()

    following = asyncio.create_task(follow())
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await delete(site.app, run_id)
    with pytest.raises(RunNotFound):
        await asyncio.wait_for(following, 1.0)


async def delete(app: Agentflow, run_id: str) -> None:
    """Delete a run that was cancelled by a process which died before it could tell the readers."""
    now = app.clock.now()
    await app.database.transact(transitions.ask_cancel(run_id, "no", now, now))
    await app.database.transact(transitions.force_cancel(run_id, now))
    await app.database.execute(SQL.runs.children_told(run=(await app.runs.get(run_id)).key))
    await app.runs.delete(run_id)
