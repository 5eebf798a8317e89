"""People are not tired out: equal questions are one, and no family of runs asks more than so many at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, approve, task
from agentflow.app.batch import Choice
from agentflow.app.doctor import checkup
from agentflow.channels import Notice
from agentflow.channels.notice import EVENTS
from agentflow.database.port import DIALECTS
from agentflow.database.statements import make_statement
from agentflow.engine.waits import ask_approval, within_run
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import WaitpointAlreadyAnswered
from agentflow.records import RunState, WaitpointRecord, WaitState
from agentflow.serde import loads
from agentflow.storage import outbox
from agentflow.storage.inbox import Inbox
from agentflow.testing import Engine, call, scripted_model, text

deleted: list[str] = []
LEFT = make_statement("left", dict.fromkeys(DIALECTS, "SELECT waitpoint FROM asking UNION ALL SELECT id FROM families"))


async def delete(path: str) -> str:
    """Delete a file."""
    deleted.append(path)
    return f"deleted {path}"


def cleaner(*calls: tuple[str, str], name: str = "fatigue-cleaner", **approval: Any) -> Agent[str]:
    turn = [one for id, path in calls for one in [call("delete", {"path": path}, id=id)]]
    return Agent(name, model=scripted_model(turn, [text("done")]), tools=[ai.tool(delete, approval=Approval(**approval))])


@task(name="fatigue-asks")
async def asks(titles: list[str], policy: dict[str, Any]) -> list[bool]:
    return [one.approved for one in await asyncio.gather(*(approve(title, **policy) for title in titles))]


class Quiet:
    """A channel that takes every message."""

    name = "fatigue"
    reaches_people = True
    events = EVENTS

    def owner(self, address: str) -> str | None:
        return None

    async def send(self, notice: Notice) -> str | None:
        return None


@pytest.fixture
async def engine(tmp_path: Path, stream_server: str, engine_database: str | None, worker_settings: WorkerSettings) -> AsyncIterator[Engine]:
    made = Engine(tmp_path, stream_server, worker_settings, database=engine_database, channels=[Quiet()])
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def nothing_deleted() -> None:
    deleted.clear()


async def shown(engine: Engine) -> dict[str, int]:
    """What people see, by title or argument, and how often it is asked."""
    page = await engine.app.waitpoints.inbox(Inbox(kind="approval"))
    return {_about(one): one.times for one in reversed(page.waitpoints)}


def _about(one: WaitpointRecord) -> str:
    subject = loads(one.subject)
    return subject["body"]["path"] if subject.get("tool") else subject["title"]


async def open_ones(engine: Engine, many: int) -> list[WaitpointRecord]:
    """All that is open, held back or not, oldest first."""
    async with asyncio.timeout(30):
        while len(found := await engine.app.waitpoints.list(kind="approval")) < many:
            await asyncio.sleep(0)
    return found[::-1]


async def told(engine: Engine, one: WaitpointRecord) -> list[str]:
    return [row.event for row in await engine.app.database.read(outbox.of_waitpoint(one.id))]


async def test_equal_calls_are_one_question_and_one_decision_ends_each_of_them_once(engine: Engine) -> None:
    run = await engine.start(cleaner(("c1", "/a"), ("c2", "/a"), ("c3", "/b")), "clean")
    found = await open_ones(engine, 3)
    assert await shown(engine) == {"/a": 2, "/b": 1}
    first, second, other = sorted(found, key=lambda one: (_about(one), one.created_at, one.id))
    done = await engine.app.waitpoints.decide(first.id, {"approved": True, "reason": "old"}, by="maria", idempotency_key="k")
    assert [one.waitpoint.id for one in done.others] == [second.id]
    again = await engine.app.waitpoints.decide(first.id, {"approved": True, "reason": "old"}, by="maria", idempotency_key="k")
    assert (again.resolved, again.others) == (True, ())
    for one in (first, second):
        now = await engine.app.waitpoints.get(one.id)
        assert (now.state, now.answered_by, loads(now.answer or "")) == (WaitState.ANSWERED, "maria", {"approved": True, "reason": "old"})
        assert [(vote.actor, vote.choice, vote.counted) for vote in await engine.app.waitpoints.votes(one.id)] == [
            ("maria", "approve", True)
        ]
        with pytest.raises(WaitpointAlreadyAnswered):
            await engine.app.waitpoints.deny(one.id, by="otto")
    entries = {one["waitpoint"]: one["detail"] for one in await engine.app.audit.entries() if one["detail"].get("counted")}
    assert (entries[first.id]["covers"], entries[second.id]["follows"]) == ([second.id], first.id)
    assert await shown(engine) == {"/b": 1}
    await engine.app.waitpoints.deny(other.id, by="maria")
    assert await run.result() == "done"
    # Each yes was used, once.
    assert deleted == ["/a", "/a"]


async def test_what_stands_for_equal_ones_and_goes_leaves_its_place_to_the_next(engine: Engine) -> None:
    @task(name="fatigue-parent")
    async def parent() -> list[str]:
        made = cleaner(("c1", "/x"), name="fatigue-below", notify=["fatigue:ops"], remind=["1d"])
        return [str(one) for one in await asyncio.gather(*(made("clean") for _ in range(3)), return_exceptions=True)]

    run = await engine.start(parent)
    found = await open_ones(engine, 3)
    for left in (3, 2):
        [first] = (await engine.app.waitpoints.inbox(Inbox(kind="approval"))).waitpoints
        assert await shown(engine) == {"/x": left}
        # It is told of from now on, and only it.
        assert [len(await told(engine, one)) for one in found if one.id != first.id] == [0] * (left - 1)
        assert await told(engine, first) == ["requested"]
        found = [one for one in found if one.id != first.id]
        if left == 3:
            await engine.app.runs.cancel(first.run_id or "", "enough")
            await engine.app.runs.ended(first.run_id or "")
        else:
            await engine.app.waitpoints.cancel(first.id, by="maria")
    assert await told(engine, found[0]) == ["requested"]
    await engine.clock.advance("1d")
    # Its reminders are counted from when people were asked.
    assert (await told(engine, found[0]), await shown(engine)) == (["requested", "reminded"], {"/x": 1})
    await engine.clock.advance("6d")
    assert await shown(engine) == {}
    await engine.app.runs.ended(run.id)
    assert deleted == []


async def test_what_must_be_asked_each_time_is_and_what_only_its_run_tells_apart_is_no_equal(engine: Engine) -> None:
    twice = ("c1", "/a"), ("c2", "/a")
    grave = [await engine.start(cleaner(*twice, name="fatigue-grave", risk="high"), "clean")]
    grave += [await engine.start(cleaner(*twice, name="fatigue-two", need=2), "clean")]
    # One family each: what they ask is none of the other's business.
    single = cleaner(("c1", "/b"), name="fatigue-single")
    apart = [await engine.start(single, "clean") for _ in range(2)]
    plain = await engine.start(asks, ["Well?", "Well?", "Other?"], {})
    differing = await engine.start(asks, ["Low?"], {"risk": "low"})

    @task(name="fatigue-orders")
    async def orders() -> list[list[bool]]:
        return list(await asyncio.gather(*(asks(["Ship?"], {}) for _ in range(2))))

    both = await engine.start(orders)
    found = await open_ones(engine, 12)
    times = {(_about(one), one.times) for one in found}
    assert times == {("/a", 1), ("/b", 1), ("Well?", 2), ("Other?", 1), ("Low?", 1), ("Ship?", 1)}
    held = [(_about(one), one.held) for one in found if one.held is not None]
    assert held == [("Well?", "same")]
    # A no to one of them that stops its run is a plain no to its equals, and the run is stopped once.
    for run in (*grave, *apart, both, differing):
        await engine.app.runs.cancel(run.id, "enough")
        await engine.app.runs.ended(run.id)
    await engine.app.waitpoints.deny(next(one.id for one in found if _about(one) == "Well?"), by="maria")
    await engine.app.waitpoints.approve(next(one.id for one in found if _about(one) == "Other?"), by="maria")
    assert await plain.result() == [False, False, True]


async def test_a_no_with_a_stop_ends_the_run_that_asked_and_is_a_plain_no_to_its_equals(engine: Engine) -> None:
    @task(name="fatigue-stopped")
    async def parent() -> list[str]:
        made = cleaner(("c1", "/x"), ("c2", "/x"), name="fatigue-stopping")
        return [str(one) for one in await asyncio.gather(*(made("clean") for _ in range(2)), return_exceptions=True)]

    run = await engine.start(parent)
    first, *others = await open_ones(engine, 4)
    done = await engine.app.waitpoints.decide(first.id, {"approved": False, "stop": True}, by="maria")
    assert sorted(one.waitpoint.id for one in done.others) == sorted(one.id for one in others)
    assert {one.waitpoint.state for one in done.others} == {WaitState.ANSWERED}
    ended = await run.result()
    assert (sum("maria stopped it" in one for one in ended), ended.count("done"), deleted) == (1, 1, [])


@pytest.mark.worker(max_open_questions=3)
async def test_no_more_than_so_many_are_open_at_once_and_nobody_hears_of_the_others_before(engine: Engine) -> None:
    titles = [f"q{n}" for n in range(6)]
    run = await engine.start(asks, titles, {})
    found = {_about(one): one for one in await open_ones(engine, 6)}
    await engine.waiting(run, 6)
    first = list(await shown(engine))
    rest = [title for title in found if title not in first]
    assert (len(first), len(rest)) == (3, 3)
    [finding] = [one for one in await checkup(engine.app) if one.code == "questions_held"]
    assert (finding.details["held"], finding.details["family"]) == (3, run.id)
    await engine.app.waitpoints.approve(found[first[1]].id, by="maria")
    # The oldest of those that were held back.
    assert set(await shown(engine)) == {first[0], first[2], rest[0]}
    # One that is held back can be decided by whoever knows of it, and gives nobody room.
    await engine.app.waitpoints.approve(found[rest[2]].id, by="maria")
    assert set(await shown(engine)) == {first[0], first[2], rest[0]}
    for title in (first[0], first[2], rest[0]):
        await engine.app.waitpoints.deny(found[title].id, by="maria")
    assert list(await shown(engine)) == [rest[1]]
    assert not [one for one in await checkup(engine.app) if one.code == "questions_held"]
    await engine.app.waitpoints.deny(found[rest[1]].id, by="maria")
    assert await run.result() == [title in (first[1], rest[2]) for title in titles]
    assert await engine.app.database.execute(LEFT()) == []


async def test_several_decided_at_once_each_end_their_equals_but_not_one_another(engine: Engine) -> None:
    run = await engine.start(cleaner(("c1", "/a"), ("c2", "/a"), ("c3", "/a"), ("c4", "/b"), name="fatigue-batch"), "clean")
    found = await open_ones(engine, 4)
    first, second, third = (one.id for one in found if _about(one) == "/a")
    [other] = (one.id for one in found if _about(one) == "/b")
    said = {first: True, second: False, other: False}
    done = await engine.app.waitpoints.decide_many(
        [Choice(waitpoint_id=id, value={"approved": yes}) for id, yes in said.items()], by="maria"
    )
    assert [[one.waitpoint.id for one in each.others] for each in done] == [[third], [], []]
    assert await run.result() == "done"
    assert deleted == ["/a", "/a"]


async def test_who_is_brought_in_decides_about_the_equals_too(engine: Engine) -> None:
    run = await engine.start(asks, ["same?", "same?"], {"users": ["maria"], "escalate": [("1h", "user:ops")], "notify": ["fatigue:ops"]})
    await open_ones(engine, 2)
    await engine.waiting(run, 2)
    await engine.clock.advance("1h")
    [one] = (await engine.app.waitpoints.inbox(Inbox(kind="approval"))).waitpoints
    assert len((await engine.app.waitpoints.decide(one.id, {"approved": True}, by="ops")).others) == 1
    assert await run.result() == [True, True]


async def test_what_is_asked_after_an_equal_went_to_others_is_asked_by_itself(engine: Engine) -> None:
    @task(name="fatigue-later")
    async def later() -> list[bool]:
        async def second() -> bool:
            await approve("Go?")
            return (await approve("Q?", users=["maria"])).approved

        first = approve("Q?", users=["maria"])
        return [
            one is True or getattr(one, "approved", False) for one in await asyncio.gather(first, approve("Q?", users=["maria"]), second())
        ]

    run = await engine.start(later)
    found = await open_ones(engine, 3)
    assert await shown(engine) == {"Q?": 2, "Go?": 1}
    given = next(one.id for one in found if _about(one) == "Q?")
    await engine.app.waitpoints.reassign(given, by="boss", users=["otto"])
    await engine.app.waitpoints.approve(next(one.id for one in found if _about(one) == "Go?"), by="maria")
    await open_ones(engine, 3)
    pages = [(await engine.app.waitpoints.inbox(Inbox(), name)).waitpoints for name in ("otto", "maria")]
    assert [[one.times for one in page] for page in pages] == [[2], [1]]
    for name, [one] in zip(("otto", "maria"), pages, strict=True):
        await engine.app.waitpoints.approve(one.id, by=name)
    assert await run.result() == [True] * 3


@pytest.mark.worker(max_open_questions=1)
async def test_silence_about_what_nobody_was_shown_means_nothing(engine: Engine) -> None:
    run = await engine.start(asks, ["a", "b", "b"], {"expires": "1h", "on_timeout": "approve"})
    await open_ones(engine, 3)
    await engine.waiting(run, 3)
    [first], most = await shown(engine), {"a": 1, "b": 2}
    later = [one for one in await engine.app.waitpoints.list() if _about(one) != first]
    # Nor is it too late for them.
    assert {one.due_at for one in later} == {None}
    await engine.clock.advance("1h")
    [second] = {"a", "b"} - {first}
    assert await shown(engine) == {second: most[second]}
    await engine.clock.advance("59m")
    assert await shown(engine) == {second: most[second]}
    await engine.app.waitpoints.deny(next(one.id for one in later), by="maria")
    assert await run.result() == [title == first for title in ("a", "b", "b")]


@task(name="fatigue-step")
async def one_of(digest: str) -> bool:
    run = within_run("fatigue")
    subject = {"kind": "tool", "title": digest, "tool": "t", "call": run.run_id, "body": {"path": digest}, "digest": digest}
    return (await ask_approval(run, run.key("approve"), subject, "3d")).approved


@task(name="fatigue-crowd")
async def crowd(many: int) -> list[Any]:
    return [str(one) for one in await asyncio.gather(*(one_of(f"d{n % 4}") for n in range(many)), return_exceptions=True)]


@pytest.mark.worker(max_open_questions=2)
@pytest.mark.parametrize("seed", range(2))
async def test_whatever_ends_at_once_somebody_is_asked_about_the_rest(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    run = await engine.start(crowd, 16)
    await open_ones(engine, 16)
    while open := await engine.app.waitpoints.list(kind="approval"):
        seen, kinds = await shown(engine), {_about(one) for one in open}
        assert (len(seen), set(seen) <= kinds) == (min(2, len(kinds)), True), (seen, kinds)
        assert all(seen[one] == sum(_about(other) == one for other in open) for one in seen)
        chosen = chance.sample(open, min(len(open), 3))
        verbs = [engine.app.waitpoints.cancel(one.id, by="maria") for one in chosen[:1]]
        verbs += [engine.app.waitpoints.deny(one.id, by="maria") for one in chosen[:2] if chance.random() < 0.4]
        ended = [engine.app.runs.cancel(one.run_id or "", "enough") for one in chosen[2:]]
        await asyncio.gather(*verbs, *ended, return_exceptions=True)
        for one in chosen[2:]:
            await engine.app.runs.ended(one.run_id or "")
    assert (await engine.app.runs.ended(run.id)).state is RunState.COMPLETED
    assert await engine.app.database.execute(LEFT()) == []
    votes = [await engine.app.waitpoints.votes(one.id) for one in await engine.app.waitpoints.list(kind="approval", state=None)]
    assert {sum(vote.counted for vote in said) for said in votes} <= {0, 1}
