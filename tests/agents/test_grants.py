"""Grants: a yes that stands for others, counted, scoped, expiring, and recorded each time that it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, step
from agentflow.app.grants import Always, InvalidGrant
from agentflow.errors import IdempotencyConflict
from agentflow.records import GrantRecord, WaitKind
from agentflow.serde import loads
from agentflow.storage import waitpoints
from agentflow.storage.granting import GrantNotFound
from agentflow.testing import Engine, Waiting, call, scripted_model, text

YES = {"approved": True}


@pytest.fixture(params=["sqlite", "postgres"])
def engine_database(request: pytest.FixtureRequest) -> str | None:
    """Where the engine under test keeps what is true."""
    return None if request.param == "sqlite" else request.getfixturevalue("migrated_url")


made: list[str] = []


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


@step(name="grants-write")
async def write_file(path: str, size: int = 1) -> str:
    """Write a file."""
    made.append(f"{path} {size}")
    return "written"


@step(name="grants-shell")
async def shell(cmd: str) -> str:
    """Run a command."""
    made.append(cmd)
    return "ran"


def writer(*calls: dict[str, Any], tool: Any = write_file, name: str = "grants-writer", **approval: Any) -> Agent[str]:
    asked = [[call(tool.name, one, id=f"c{n}")] for n, one in enumerate(calls)]
    # Twice: in a thread the model knows what it said before.
    model = scripted_model(*asked, [text("done")], *asked, [text("done")])
    return Agent(name, model=model, tools=[ai.tool(tool, approval=Approval(**approval))])


async def questions(engine: Engine, run: Any) -> list[Any]:
    """The approvals of a run, and by whom they were decided."""
    found = await engine.app.database.read(waitpoints.of_run((await engine.get(run)).key))
    return [one.answered_by for one in found if one.kind is WaitKind.APPROVAL]


async def always(engine: Engine, question: Waiting, by: str = "maria", **wish: Any) -> GrantRecord:
    done = await engine.app.waitpoints.decide(question.id, YES, by=by, always=Always(**wish))
    return await engine.app.grants.get(done.grant or "")


async def ended(engine: Engine, agent: Agent[str], **options: Any) -> Sequence[str]:
    """What was made by a run that nobody was asked about."""
    made.clear()
    assert await (await engine.start(agent.using(**options), "go")).result() == "done"
    return list(made)


async def is_asked(engine: Engine, agent: Agent[str], **options: Any) -> bool:
    """Whether a run has somebody asked; it is told no then."""
    run = await engine.start(agent.using(**options), "go")
    [question] = await engine.waiting(run)
    await question.deny(by="zoe")
    return await run.result() == "done"


async def test_always_stands_for_the_same_call_in_the_run_and_each_use_is_a_vote(engine: Engine) -> None:
    same, other = {"path": "/tmp/a"}, {"path": "/tmp/b"}
    run = await engine.start(writer(same, {"size": 1, **same}, other), "go")
    [question] = await engine.waiting(run)
    grant = await always(engine, question)
    [last] = await engine.waiting(run)
    assert loads(last.record.subject)["body"]["path"] == other["path"]
    await last.deny(by="maria")
    assert await run.result() == "done"
    assert made == ["/tmp/a 1"] * 2
    assert sorted(await questions(engine, run)) == [f"grant:{grant.id}", "maria", "maria"]
    used = await engine.app.grants.get(grant.id)
    assert (used.uses, used.scope, used.scope_id, used.granted_by, used.waitpoint) == (1, "run", run.id, "maria", question.id)
    [born] = [
        one
        for one in await engine.app.waitpoints.list(kind="approval", state="answered", run_id=run.id)
        if one.id not in (question.id, last.id)
    ]
    [vote] = await engine.app.waitpoints.votes(born.id)
    assert (vote.actor, vote.choice, vote.counted, vote.said["granted_by"]) == (f"grant:{grant.id}", "approve", True, "maria")
    told = [one.event for one in await engine.events(run) if one.event.type.startswith("approval.")]
    assert [one.type for one in told].count("approval.resolved") == 3
    assert await is_asked(engine, writer(same))


async def test_a_use_that_a_crash_repeats_counts_once(engine: Engine) -> None:
    grant = await engine.app.grants.create(
        "grants-write", by="zoe", match={"args": {"path": {"prefix": "/tmp/"}}}, always=Always(scope="all", max_uses=2)
    )
    run = await engine.start(writer({"path": "/tmp/a"}, {"path": "/etc/a"}), "go")
    [question] = await engine.waiting(run)
    await engine.crash()
    await engine.crash()
    await question.deny(by="maria")
    assert await run.result() == "done"
    assert (await engine.app.grants.get(grant.id)).uses == 1
    assert await ended(engine, writer({"path": "/tmp/b"})) == ["/tmp/b 1"]
    assert await is_asked(engine, writer({"path": "/tmp/b"}))


async def test_a_grant_ends_with_its_time_and_when_it_is_taken_back(engine: Engine) -> None:
    run = await engine.start(writer({"path": "/tmp/a"}), "go")
    [question] = await engine.waiting(run)
    grant = await always(engine, question, scope="agent", expires="2h")
    await run.result()
    assert await ended(engine, writer({"path": "/tmp/a"})) == ["/tmp/a 1"]
    assert await is_asked(engine, writer({"path": "/tmp/a"}, name="grants-other"))
    await engine.clock.advance("2h")
    assert await is_asked(engine, writer({"path": "/tmp/a"}))
    again = await engine.app.grants.create(question.id, by="maria", always=Always(scope="all"))
    assert await ended(engine, writer({"path": "/tmp/a"}, name="grants-other")) == ["/tmp/a 1"]
    gone = await engine.app.grants.revoke(again.id, by="boss")
    assert (gone.revoked_by, (await engine.app.grants.revoke(again.id, by="zoe")).revoked_by) == ("boss", "boss")
    assert await is_asked(engine, writer({"path": "/tmp/a"}, name="grants-other"))
    assert await engine.app.grants.list() == []
    assert {one.id for one in await engine.app.grants.list(every=True)} == {grant.id, again.id}


async def test_a_grant_of_a_thread_counts_in_that_thread(engine: Engine) -> None:
    run = await engine.start(writer({"path": "/tmp/a"}).using(thread="t-1"), "go")
    [question] = await engine.waiting(run)
    await always(engine, question, scope="thread")
    await run.result()
    assert await ended(engine, writer({"path": "/tmp/a"}), thread="t-1") == ["/tmp/a 1"]
    assert await is_asked(engine, writer({"path": "/tmp/a"}), thread="t-2")


async def test_deny_and_always_ask_win_over_a_grant(engine: Engine) -> None:
    await engine.app.grants.create("grants-write", by="zoe", match={"args": {"size": {"max": 9}}}, always=Always(scope="all"))
    engine.policy.deny("grants-write", args={"path": "/etc/a"}).always_ask("grants-write", args={"path": "/etc/b"})
    assert await ended(engine, writer({"path": "/tmp/a"})) == ["/tmp/a 1"]
    assert await ended(engine, writer({"path": "/etc/a"})) == []
    assert await is_asked(engine, writer({"path": "/etc/b"}))


async def test_a_grant_stands_neither_for_two_people_nor_for_whoever_gave_it(engine: Engine) -> None:
    everything = {"args": {"size": {"min": 0}}}
    await engine.app.grants.create("grants-write", by="otto", match=everything, always=Always(scope="all"))
    assert await is_asked(engine, writer({"path": "a"}, need=2))
    assert await is_asked(engine, writer({"path": "a"}, exclude_requester=True), started_by="otto")
    assert await ended(engine, writer({"path": "a"}, exclude_requester=True), started_by="maria") == ["a 1"]


@pytest.mark.parametrize("path", ["/tmp/../etc/passwd", "/tmp/a; rm -rf /", "/tmp/a /etc/b", "/tmp/$(id)", "/tmp/a\n/etc/b"])
async def test_nothing_slips_through_behind_a_prefix(engine: Engine, path: str) -> None:
    await engine.app.grants.create("grants-write", by="zoe", match={"args": {"path": {"prefix": "/tmp/"}}}, always=Always(scope="all"))
    assert await is_asked(engine, writer({"path": path}))


async def test_of_commands_and_where_the_risk_is_high_only_the_very_same_call_is_granted(engine: Engine) -> None:
    """Shell metacharacters."""
    with pytest.raises(InvalidGrant, match="exact"):
        await engine.app.grants.create("grants-shell", by="zoe", match={"args": {"cmd": {"prefix": "git "}}}, always=Always(scope="all"))
    run = await engine.start(writer({"cmd": "git status"}, tool=shell), "go")
    [question] = await engine.waiting(run)
    with pytest.raises(InvalidGrant):
        await engine.app.grants.create(question.id, by="maria", match={"args": {"cmd": {"regex": "git .*"}}})
    await always(engine, question, scope="agent")
    await run.result()
    assert await ended(engine, writer({"cmd": "git status"}, tool=shell)) == ["git status"]
    assert await is_asked(engine, writer({"cmd": "git status; rm -rf /"}, tool=shell))
    await engine.app.grants.create("grants-write", by="zoe", match={"args": {"size": {"max": 9}}}, always=Always(scope="all"))
    assert await is_asked(engine, writer({"path": "a"}, risk="high"))


async def test_a_pattern_that_could_freeze_a_worker_is_no_part_of_a_grant(engine: Engine) -> None:
    slow: list[dict[str, Any]] = [{"regex": "(a+)+$"}, {"prefix": "a", "regex": "a+"}]
    for one in slow:
        with pytest.raises(InvalidGrant, match="regex"):
            await engine.app.grants.create("grants-write", by="zoe", match={"args": {"path": one}}, always=Always(scope="all"))
    assert await engine.app.grants.list(every=True) == []


async def test_always_goes_with_one_persons_yes_to_a_tool_call_and_with_nothing_else(engine: Engine) -> None:
    run = await engine.start(writer({"path": "a"}, need=2), "go")
    [question] = await engine.waiting(run)
    decide = engine.app.waitpoints.decide
    with pytest.raises(InvalidGrant, match="needs 2"):
        await decide(question.id, YES, by="maria", always=Always())
    with pytest.raises(InvalidGrant, match="Only a yes"):
        await decide(question.id, {"approved": False}, by="maria", always=Always())
    for wish in (Always(expires="31d"), Always(expires=0), Always(max_uses=0), Always(scope="thread")):
        with pytest.raises(InvalidGrant):
            await engine.app.grants.create("grants-write", by="maria", match={"args": {"size": {"is": 1}}}, always=wish)
    wrong: list[dict[str, Any]] = [{}, {"args": {}}, {"args": {"a": {}}}, {"all": True}, {"digest": "x", "args": {"a": {"is": 1}}}]
    for match in wrong:
        with pytest.raises(InvalidGrant):
            await engine.app.grants.create("grants-write", by="maria", match=match, always=Always(scope="all"))
    with pytest.raises(InvalidGrant):
        await engine.app.grants.create("grants-write", by="agent:support", match={"args": {"a": {"is": 1}}}, always=Always(scope="all"))
    with pytest.raises(GrantNotFound):
        await engine.app.grants.revoke("grant_0", by="maria")
    assert await engine.app.grants.list(every=True) == []
    assert await engine.app.waitpoints.votes(question.id) == []


async def test_the_same_click_is_the_same_grant(engine: Engine) -> None:
    run = await engine.start(writer({"path": "a"}), "go")
    [question] = await engine.waiting(run)
    decide = engine.app.waitpoints.decide
    clicks = [await decide(question.id, YES, by="maria", idempotency_key="c1", always=Always()) for _ in range(2)]
    assert clicks[0].grant is not None
    assert clicks[0].grant == clicks[1].grant
    with pytest.raises(IdempotencyConflict):
        await decide(question.id, YES, by="maria", idempotency_key="c1", always=Always(scope="all"))
    assert len(await engine.app.grants.list()) == 1
    assert await run.result() == "done"
