"""Redis away or emptied while runs go on and end: S13. Every reader gets the whole of a run, and each stream its one `end`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from agentflow import Agentflow
from agentflow.app.rebuild import load
from agentflow.streams.courier import stream_key
from agentflow.streams.events import RunStarted
from agentflow.streams.writer import Settings
from tests.server.site import PATIENCE, Frame, Site, site_of
from tests.server.tasks import TASKS
from tests.servers.proxy import Proxy
from tests.servers.valkey import ValkeyServer


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer.running() as server:
        yield server


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[Proxy]:
    async with Proxy.running(valkey.port) as proxy:
        yield proxy


@asynccontextmanager
async def opened(directory: Path, redis: str, *, worker: bool = True) -> AsyncGenerator[Site]:
    async with Agentflow(TASKS, directory=directory, redis=redis, worker=worker) as app, site_of(app) as site:
        yield site


def told(frames: list[Frame]) -> list[str]:
    return [frame.type for frame in frames if frame.data is not None]


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await happened():
            await asyncio.sleep(0)


async def asked(site: Site) -> tuple[str, str]:
    """A run that waits for an approval, all of it streamed; and the approval."""
    run_id = await site.start("publish", draft="text")
    waiting = await site.waiting(run_id)
    await site.app.streams.flush()
    return run_id, waiting["id"]


async def approve(site: Site, waitpoint: str) -> None:
    await site.client.post(f"/v1/waitpoints/{waitpoint}/decisions", json={"approved": True})


def part(proxy: Proxy) -> None:
    """Let nothing through any more."""
    proxy.refuse()
    proxy.cut()


async def test_a_run_that_ends_while_redis_is_away_is_told_when_it_is_back(tmp_path: Path, valkey: ValkeyServer, proxy: Proxy) -> None:
    async with opened(tmp_path, f"redis://127.0.0.1:{proxy.port}") as site:
        run_id, waitpoint = await asked(site)
        reader = asyncio.create_task(site.read(run_id))
        part(proxy)
        await approve(site, waitpoint)
        await site.app.runs.ended(run_id, timeout=PATIENCE)
        proxy.accept()
        await site.app.streams.flush()
        assert (await site.app.streams.ends([run_id]))[0][1]
        frames = told(await reader)
        assert (frames.count("end"), frames[-1]) == (1, "end")
        stream = [entry.type for entry in await site.app.streams.read(run_id)]
        assert stream[-2:] == ["run.completed", "end"]
        assert "approval.resolved" in stream


async def test_runs_start_wait_and_end_without_redis_and_are_not_held_up_by_it(tmp_path: Path, valkey: ValkeyServer, proxy: Proxy) -> None:
    """38"""
    async with opened(tmp_path, f"redis://127.0.0.1:{proxy.port}") as site:
        part(proxy)
        async with asyncio.timeout(PATIENCE):
            runs = [await site.start("greet", name="ada", loud=True) for _ in range(20)]
            for run_id in runs:
                run = await site.app.runs.ended(run_id, timeout=PATIENCE)
                assert run.state == "completed"
        proxy.accept()
        await site.app.streams.flush()
        for run_id in runs:
            assert told(await site.read(run_id))[-1] == "end"


async def test_the_end_of_a_run_whose_worker_is_gone_too_comes_from_the_database(
    tmp_path: Path, valkey: ValkeyServer, proxy: Proxy
) -> None:
    """The worker ended the run and itself while it could not reach Redis: nobody is left who would say `end`."""
    async with opened(tmp_path, f"redis://127.0.0.1:{proxy.port}") as site:
        run_id, waitpoint = await asked(site)
        part(proxy)
        await approve(site, waitpoint)
        await site.app.runs.ended(run_id, timeout=PATIENCE)
    async with opened(tmp_path, valkey.url, worker=False) as site:
        assert await site.app.streams.ends([run_id]) != []
        assert not (await site.app.streams.ends([run_id]))[0][1]
        frames = told(await site.read(run_id))
        assert (frames.count("end"), frames[-1]) == (1, "end")
        followed = [event.type async for event in site.app.runs.events(run_id)]
        assert (followed.count("end"), followed[-1]) == (1, "end")


async def test_a_stream_that_lost_its_end_is_refilled_by_the_next_worker(tmp_path: Path, valkey: ValkeyServer, proxy: Proxy) -> None:
    async with opened(tmp_path, f"redis://127.0.0.1:{proxy.port}") as site:
        run_id, waitpoint = await asked(site)
        cursors = [entry.id for entry in await site.app.streams.read(run_id)]
        part(proxy)
        await approve(site, waitpoint)
        await site.app.runs.ended(run_id, timeout=PATIENCE)
    async with opened(tmp_path, valkey.url) as site:

        async def ended() -> bool:
            return (await site.app.streams.ends([run_id]))[0][1]

        await until(ended)
        rebuilt = await site.app.database.read(load(run_id))
        assert await site.app.streams.read(run_id) == rebuilt.events
        numbers = [entry.id.seq for entry in rebuilt.events]
        assert numbers == list(range(1, len(numbers) + 1))
        types = [event.type for event in rebuilt.events]
        assert told(await site.read(run_id)) == types
        for cursor in cursors:
            assert told(await site.read(run_id, last=str(cursor))) == ["sync.snapshot", *types]
        for at, event in enumerate(rebuilt.events[:-1]):
            assert told(await site.read(run_id, last=str(event.id))) == types[at + 1 :]
        # Whoever still had something to say is refused: the `end` stays the last.
        site.app.streams.publish(run_id, rebuilt.run.epoch + 1, rebuilt.events[-1].event)
        await site.app.streams.flush()
        assert site.app.streams.counters["refused"] == 1
        assert not await site.app.streams.refill(run_id, rebuilt.events)


async def test_a_stream_whose_last_words_were_dropped_is_refilled_when_redis_is_back(
    tmp_path: Path, valkey: ValkeyServer, proxy: Proxy
) -> None:
    """Redis was away for so long that the process that ended the run had to give up what it had to say."""
    async with opened(tmp_path, f"redis://127.0.0.1:{proxy.port}") as other, opened(tmp_path, valkey.url, worker=False) as site:
        run_id, waitpoint = await asked(other)
        seen: list[Frame] = []
        reading = asyncio.create_task(_read(site, run_id, seen))
        await until(lambda: _has(seen, "approval.requested"))
        part(proxy)
        await approve(other, waitpoint)
        await other.app.runs.ended(run_id, timeout=PATIENCE)
        for number in range(Settings().limits.events + 1):
            other.app.streams.publish(f"noise_{number}", 1, RunStarted("tell"))
        assert other.app.streams.counters["dropped"] > 0
        proxy.accept()
        await reading
        assert (told(seen).count("end"), told(seen)[-1]) == (1, "end")

        async def ended() -> bool:
            return (await site.app.streams.ends([run_id]))[0][1]

        await until(ended)
        assert told(await site.read(run_id))[-1] == "end"


async def _read(site: Site, run_id: str, seen: list[Frame]) -> None:
    async with aclosing(site.frames(run_id)) as frames:
        async for frame in frames:
            seen.append(frame)


async def _has(seen: list[Frame], type: str) -> bool:
    return type in told(seen)


async def test_a_viewer_of_a_run_that_goes_on_after_a_flush_gets_its_state_then_the_tail_then_one_end(
    tmp_path: Path, valkey: ValkeyServer
) -> None:
    async with opened(tmp_path, valkey.url) as site:
        run_id, waitpoint = await asked(site)
        seen: list[Frame] = []
        reading = asyncio.create_task(_read(site, run_id, seen))
        await until(lambda: _has(seen, "approval.requested"))
        valkey.command("FLUSHALL")
        await approve(site, waitpoint)
        await reading
        types = told(seen)
        reset = types.index("sync.snapshot")
        assert types[reset : reset + 3] == ["sync.snapshot", "run.started", "approval.requested"]
        assert types.count("end") == types.count("run.completed") == 1
        assert types[-1] == "end"
        assert "approval.resolved" in types[reset:]


async def test_readers_of_ended_runs_do_not_notice_that_redis_was_emptied(tmp_path: Path, valkey: ValkeyServer) -> None:
    async with opened(tmp_path, valkey.url) as site:
        runs = [await site.start("greet", name="ada", loud=True) for _ in range(3)]
        for run_id in runs:
            await site.ended(run_id)
        valkey.restart()
        for run_id in runs:
            types = told(await site.read(run_id))
            assert types == ["sync.snapshot", "run.started", "step.completed", "run.progress", "run.completed", "end"]


async def test_a_stream_that_lacks_only_its_last_words_keeps_its_text(tmp_path: Path, valkey: ValkeyServer) -> None:
    """The worker was killed between the end of the run and saying so."""
    async with opened(tmp_path, valkey.url) as site:
        run_id = await site.start("talk")
        await site.ended(run_id)
        said = list(await site.app.streams.read(run_id))
        for entry in said[-2:]:
            valkey.command("XDEL", stream_key(run_id), str(entry.id))
    async with opened(tmp_path, valkey.url) as site:

        async def ended() -> bool:
            return (await site.app.streams.ends([run_id]))[0][1]

        await until(ended)
        types = [entry.type for entry in said]
        assert "text.delta" in types
        assert [entry.type for entry in await site.app.streams.read(run_id)] == types
        for at, entry in enumerate(said[:-2]):
            assert told(await site.read(run_id, last=str(entry.id))) == types[at + 1 :]
