"""Following a run to its end: its stream, what the database knows where that is gone, and why nothing happens where nothing does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from agentflow.app import Agentflow
from agentflow.app.doctor import stuck
from agentflow.app.rebuild import load
from agentflow.cli.screen import text
from agentflow.cli.telling import Teller
from agentflow.errors import StreamUnavailable
from agentflow.records import RunState, WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import RESET
from agentflow.streams.reader import StreamLost

_GLANCE = 1.0
"""Seconds between looks at why a run is quiet, and for which an ended run's stream may still speak."""


async def follow(app: Agentflow, run_id: str) -> bool:
    """Tell a run until it ends; True when it completed. Raises `RunNotFound`."""
    teller = Teller()
    run = await app.runs.get(run_id)
    if run.state.terminal and await _tail(app, run_id) is None:
        await _retell(app, run_id, teller)
    else:
        await _follow(app, run_id, teller)
    return teller.state == RunState.COMPLETED


async def follow_over_http(url: str, key: str | None, run_id: str) -> bool:
    """Tell a run of the server at `url` until it ends; True when it completed. Raises `RunNotFound` and `ServerUnreachable`."""
    from agentflow.client import Client

    teller = Teller()
    async with Client(url, key) as client:
        # Says at once when nobody is there: following would wait for a server that comes back.
        await client.runs.get(run_id)
        async with aclosing(client.runs.events(run_id, None)) as events:
            async for entry in events:
                if entry.type == RESET:
                    teller.note("part of this run's stream is gone; this is what it has recorded")
                    teller.again()
                teller.tell(entry)
    return teller.state == RunState.COMPLETED


async def _tail(app: Agentflow, run_id: str) -> Cursor | None:
    try:
        return await app.streams.tail(run_id)
    except StreamUnavailable:
        return None


async def _follow(app: Agentflow, run_id: str, teller: Teller) -> None:
    listening = asyncio.ensure_future(_listen(app, run_id, teller))
    watching = asyncio.ensure_future(_watch(app, run_id, teller))
    try:
        await asyncio.wait({listening, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            # The run has ended and its stream does not say so.
            await _retell(app, run_id, teller)
    finally:
        for one in (listening, watching):
            one.cancel()
        told, _ = await asyncio.gather(listening, watching, return_exceptions=True)
    if isinstance(told, Exception):
        raise told


async def _listen(app: Agentflow, run_id: str, teller: Teller) -> None:
    after: Cursor | None = None
    while True:
        try:
            async with aclosing(app.streams.follow(run_id, after)) as events:
                async for entry in events:
                    teller.tell(entry)
            return
        except StreamLost as lost:
            teller.note("part of this run's stream is gone; this is what it has recorded")
            await _retell(app, run_id, teller)
            after = Cursor.parse(lost.details["tail"]) if lost.details["tail"] else None


async def _retell(app: Agentflow, run_id: str, teller: Teller) -> None:
    """Tell the run from the database, from its start."""
    rebuilt = await app.database.read(load(run_id))
    teller.again()
    for entry in rebuilt.events:
        teller.tell(entry)
    teller.again()


async def _watch(app: Agentflow, run_id: str, teller: Teller) -> None:
    """Return once the run has ended and its stream had a moment to say so; meanwhile tell why it waits."""
    told: set[str] = set()
    while True:
        await asyncio.sleep(_GLANCE)
        teller.glance()
        run = await app.runs.get(run_id)
        if run.state.terminal:
            await asyncio.sleep(2 * _GLANCE)
            return
        if run.state is RunState.QUEUED and run_id not in told:
            for finding in await stuck(app, run_id):
                told.add(run_id)
                teller.note(finding.message, text(finding.hint))
        if run.state is RunState.WAITING:
            for one in await app.runs.waiting_for(run_id):
                if one.id not in told:
                    told.add(one.id)
                    _tell_wait(teller, one)


def _tell_wait(teller: Teller, one: WaitpointRecord) -> None:
    if one.kind is WaitKind.TIMER and one.due_at is not None:
        teller.note(f"sleeps until {datetime.fromtimestamp(one.due_at / 1_000_000, tz=UTC).astimezone():%Y-%m-%d %H:%M:%S}")
    elif one.kind is WaitKind.CALLBACK:
        teller.note(f"waits for an answer to {one.target}")
    elif one.kind is WaitKind.INPUT:
        teller.note(f"asks: {loads(one.subject).get('title', '')}", text(f"agentflow approvals answer {one.id} JSON", "cyan"))
    elif one.kind is WaitKind.SIGNAL:
        stream = loads(one.subject).get("stream", "")
        teller.note(f"waits for a message in {stream}", text(f"agentflow runs send {one.run_id} {stream} JSON", "cyan"))
    elif one.kind is WaitKind.CHILD:
        teller.note(f"waits for {loads(one.subject).get('task', 'a child')}", text(f"agentflow runs tail {one.target}", "cyan"))
