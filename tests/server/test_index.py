"""A list of runs that stays up to date, over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from agentflow.database.statements import make_statement
from tests.server.site import PATIENCE, Frame, Site


@asynccontextmanager
async def followed(site: Site, **query: Any) -> AsyncGenerator[Listed]:
    """The list as a reader has it."""
    async with asyncio.timeout(PATIENCE), site.client.stream("GET", "/v1/index/stream", params=query) as answer:
        assert answer.status_code == 200, await answer.aread()
        async with aclosing(_data(answer.aiter_raw())) as data:
            yield Listed(data)


async def _data(parts: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any]]:
    text = b""
    async for part in parts:
        *whole, text = (text + part).split(b"\n\n")
        for one in whole:
            frame = Frame.of(one)
            assert frame.id is None
            if frame.data is not None:
                yield frame.data


class Listed:
    """Runs, newest first, as they were told."""

    def __init__(self, data: AsyncGenerator[dict[str, Any]]) -> None:
        self._data = data
        self.runs: dict[str, dict[str, Any]] = {}
        self.told: list[str] = []

    async def until(self, test: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The states, once they are so."""
        while not self.told or not test(self.states):
            self._take(await anext(self._data))
        return self.states

    @property
    def states(self) -> dict[str, str]:
        return {run_id: run["status"] for run_id, run in self.runs.items()}

    def _take(self, event: dict[str, Any]) -> None:
        self.told.append(event["type"])
        if event["type"] == "sync.snapshot":
            self.runs = {run["id"]: run for run in event["runs"]}
        elif event["type"] == "run.gone":
            del self.runs[event["id"]]
        else:
            known = event["run"]["id"] in self.runs
            self.runs = {**self.runs, event["run"]["id"]: event["run"]} if known else {event["run"]["id"]: event["run"], **self.runs}


async def test_a_list_is_told_whole_and_then_what_changes_in_it(site: Site) -> None:
    before = await site.start("greet", name="ada")
    await site.ended(before)
    async with followed(site) as listed:
        assert await listed.until(lambda states: True) == {before: "completed"}
        run_id = await site.start("publish", draft="x")
        assert list(await listed.until(lambda states: states.get(run_id) == "waiting")) == [run_id, before]
        waitpoint = await site.waiting(run_id)
        await site.client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
        await listed.until(lambda states: states[run_id] == "completed")
        assert listed.told.count("sync.snapshot") == 1
        assert [event for event in listed.told if event not in ("sync.snapshot", "run.changed")] == []


async def test_lists_are_of_a_task_a_tag_a_thread_or_a_parent(site: Site) -> None:
    async def start(task: str, payload: dict[str, Any], *tags: str) -> str:
        body = {"task": task, "payload": payload, "options": {"tags": list(tags)}}
        return (await site.client.post("/v1/runs", json=body)).json()["id"]

    vip, chat = await start("greet", {"name": "a"}, "vip"), await start("greet", {"name": "b"}, "thread:t-7")
    mother = await start("parent", {"name": "c"})
    await site.ended(mother)
    child = next(run["id"] for run in (await site.client.get("/v1/runs", params={"parent": mother})).json()["runs"])
    for query, expected in (
        ({"tag": "vip"}, {vip}),
        ({"thread": "t-7"}, {chat}),
        ({"task": "parent"}, {mother}),
        ({"parent": mother}, {child}),
        ({"status": "failed"}, set[str]()),
    ):
        async with followed(site, live="0", **query) as listed:
            await listed.until(lambda states: True)
            assert set(listed.runs) == expected
    answer = await site.client.get("/v1/index/stream", params={"tag": "a", "thread": "b"})
    assert answer.status_code == 422


async def test_a_run_that_belongs_to_a_list_no_more_goes_from_it(site: Site) -> None:
    run_id = await site.start("publish", draft="x")
    waitpoint = await site.waiting(run_id)
    async with followed(site, status="waiting") as listed:
        assert await listed.until(lambda states: bool(states)) == {run_id: "waiting"}
        await site.client.post(f"/v1/waitpoints/{waitpoint['id']}/decisions", json={"approved": True})
        assert await listed.until(lambda states: not states) == {}
        assert listed.told[-1] == "run.gone"


async def test_nobody_looks_for_a_list_that_nobody_follows(site: Site) -> None:
    async with followed(site) as one, followed(site) as two:
        await one.until(lambda states: True)
        await two.until(lambda states: True)
        assert [task.get_name() for task in asyncio.all_tasks()].count("agentflow-feed") == 1
    async with asyncio.timeout(PATIENCE):
        while "agentflow-feed" in [task.get_name() for task in asyncio.all_tasks()]:
            await asyncio.sleep(0)


async def test_a_row_that_cannot_be_read_ends_no_list(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    text = "UPDATE runs SET metadata = :metadata WHERE id = :id RETURNING key"
    write = make_statement("tests/odd_metadata", {"sqlite": text, "postgres": text})
    first = await site.start("publish", draft="x")
    await site.waiting(first)
    async with followed(site) as listed:
        await listed.until(bool)
        await site.app.database.execute(write(id=first, metadata="{"))
        while "cannot be told" not in caplog.text:
            await site.start("greet", name="ada")
        await site.app.database.execute(write(id=first, metadata="{}"))
        last = await site.start("greet", name="bob")
        assert (await listed.until(lambda states: last in states))[first] == "waiting"
