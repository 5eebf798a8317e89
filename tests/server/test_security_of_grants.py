"""Security rule 7, tried to be broken: a yes that stands for others is for less than it may seem, ends, and tells of each use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, mint_token, step, task
from agentflow.app.grants import Always, InvalidGrant
from agentflow.errors import WaitpointAlreadyAnswered
from agentflow.records import GrantedCall
from agentflow.storage.granting import stands_for
from agentflow.storage.policy import NotEligible, Voter
from agentflow.testing import Engine
from agentflow.testing.models import call, scripted_model, text
from tests.server.site import Site, site_of

KEY = "k" * 32
ran: list[str] = []


@step(name="guarded-shell")
async def shell(cmd: str) -> str:
    """Run a command."""
    ran.append(cmd)
    return "ran"


@step(name="guarded-write")
async def write(path: str) -> str:
    """Write a file."""
    ran.append(path)
    return "written"


@pytest.fixture
async def site(engine: Engine) -> AsyncIterator[Site]:
    ran.clear()
    async with site_of(engine.app, api_key=KEY) as opened:
        opened.client.headers["authorization"] = f"Bearer {KEY}"
        yield opened


async def started(engine: Engine, tool: Any, argument: str, **asked: Any) -> Any:
    """A run that makes one call."""
    name = {"guarded-shell": "cmd", "guarded-write": "path"}[tool.name]
    model = scripted_model([call(tool.name, {name: argument}, id="c")], [text("done")])
    return await engine.start(Agent("guarded-maker", model=model, tools=[ai.tool(tool, approval=Approval(**asked))]), "go")


async def is_asked(engine: Engine, tool: Any, argument: str, **asked: Any) -> bool:
    """Whether people are asked about a call; then it is denied."""
    before = len(ran)
    run = await started(engine, tool, argument, **asked)
    [question] = await engine.waiting(run)
    assert len(ran) == before
    await question.deny(by=asked["users"][0] if "users" in asked else "zoe")
    return await run.result() == "done"


async def is_let_through(engine: Engine, tool: Any, argument: str, **asked: Any) -> bool:
    """Whether a call is made without anybody being asked."""
    ran.clear()
    await (await started(engine, tool, argument, **asked)).result()
    return ran == [argument]


async def given(site: Site, **body: Any) -> str:
    made = await site.client.post("/v1/grants", json={"scope": "all", "by": "maria", **body})
    assert made.status_code == 201, made.text
    return made.json()["id"]


TMP = {"args": {"path": {"prefix": "/tmp/"}}}


async def test_7_a_grant_ends_with_its_time_and_when_it_is_revoked(engine: Engine, site: Site) -> None:
    short = await given(site, tool="guarded-write", match=TMP)
    assert await is_let_through(engine, write, "/tmp/a")
    await engine.clock.advance("1h")
    assert await is_asked(engine, write, "/tmp/a"), "an hour is what it lives unless more is asked for"
    assert not (await site.client.get(f"/v1/grants/{short}")).json().get("counts")
    revoked = await given(site, tool="guarded-write", match=TMP, expires="30d")
    assert (await site.client.delete(f"/v1/grants/{revoked}")).status_code == 200
    assert await is_asked(engine, write, "/tmp/a")
    for life in ("31d", "0s", "-1s"):
        refused = await site.client.post("/v1/grants", json={"scope": "all", "tool": "guarded-write", "match": TMP, "expires": life})
        assert refused.status_code == 422, life


async def test_7_deny_and_always_ask_win_over_every_grant(engine: Engine, site: Site) -> None:
    await given(site, tool="guarded-write", match={"args": {"path": {"prefix": "/"}}})
    engine.policy.deny("guarded-write", args={"path": "/etc/a"}).always_ask("guarded-write", args={"path": "/etc/b"})
    assert await is_let_through(engine, write, "/tmp/a")
    assert not await is_let_through(engine, write, "/etc/a")
    assert await is_asked(engine, write, "/etc/b")


@pytest.mark.parametrize("tail", ["; rm -rf /", " && id", " | sh", "`id`", "$(id)", "\nid", " > /etc/passwd", "*", " "])
async def test_7_what_a_button_grants_is_the_very_same_command(engine: Engine, site: Site, tail: str) -> None:
    run = await started(engine, shell, "git status")
    [question] = await engine.waiting(run)
    path = f"/v1/waitpoints/{question.id}/decisions"
    wide: list[Any] = [{"match": {"args": {"cmd": {"prefix": "git"}}}}, {"tool": "*"}, {"scope": "everything"}]
    for wish in wide:
        refused = await site.client.post(path, json={"approved": True, "by": "maria", "always": wish})
        assert refused.status_code in (400, 422), wish
    done = await site.client.post(path, json={"approved": True, "by": "maria", "always": {"scope": "agent"}})
    assert done.json()["grant"].startswith("grant_")
    await run.result()
    assert await is_let_through(engine, shell, "git status")
    assert await is_asked(engine, shell, f"git status{tail}")


async def test_7_no_matcher_lets_a_command_through_and_no_star_stands_for_tools(engine: Engine, site: Site) -> None:
    wide: list[dict[str, Any]] = [
        {"tool": "guarded-shell", "match": {"args": {"cmd": {"prefix": "git "}}}},
        {"tool": "guarded-shell", "match": {"args": {"cmd": {"regex": "git .*"}}}},
        {"tool": "guarded-shell", "match": {"args": {}}},
        {"tool": "guarded-*", "match": TMP},
        {"tool": "*", "match": TMP},
    ]
    for body in wide:
        await site.client.post("/v1/grants", json={"scope": "all", "by": "maria", **body})
    assert await is_asked(engine, shell, "git status")
    assert await is_asked(engine, write, "/tmp/a")


async def test_7_a_grant_stands_only_where_those_would_be_asked_who_were_when_it_was_given(engine: Engine) -> None:
    ran.clear()
    support: dict[str, Any] = {"groups": ["support"]}
    first = await started(engine, write, "/tmp/a", **support)
    [question] = await engine.waiting(first)
    sam, yes = Voter("sam", frozenset({"support"})), {"approved": True}
    await engine.app.waitpoints.decide(question.id, yes, by=sam, always=Always(scope="all"))
    await first.result()
    assert await is_let_through(engine, write, "/tmp/a", **support)
    assert await is_asked(engine, write, "/tmp/a", groups=["finance"])
    [grant] = await engine.app.grants.list()
    call = GrantedCall(tool="guarded-write", arguments={"path": "/tmp/a"}, agent="a", groups=["support"])
    assert stands_for(grant, call)
    elsewhere: list[dict[str, Any]] = [
        {"groups": []},
        {"groups": ["support", "finance"]},
        {"groups": [], "users": ["maria"]},
        {"users": ["maria"]},
    ]
    for others in elsewhere:
        assert not stands_for(grant, replace(call, **others)), others
    unnamed = replace(grant, who=None)
    assert stands_for(unnamed, replace(call, groups=()))
    assert not stands_for(unnamed, call), "a tool's name does not say who would be asked"


async def test_7_only_who_may_decide_gives_a_grant_with_a_question_and_with_no_answer_but_a_yes(engine: Engine) -> None:
    [question] = await engine.waiting(await started(engine, write, "/tmp/a", users=["maria"]))
    for giver in ("eve", Voter("sam", frozenset({"support"}))):
        with pytest.raises(NotEligible):
            await engine.app.grants.create(question.id, by=giver, always=Always(scope="all"))
    await engine.app.grants.create(question.id, by="user:maria", always=Always(scope="all"))
    assert await is_let_through(engine, write, "/tmp/a", users=["maria"])
    await question.deny(by="maria")
    with pytest.raises(WaitpointAlreadyAnswered):
        await engine.app.grants.create(question.id, by="maria", always=Always(scope="all"))
    assert len(await engine.app.grants.list()) == 1


async def test_7_the_groups_that_are_known_of_somebody_count_when_they_give_a_grant(engine: Engine) -> None:
    engine.app.waitpoints.groups = lambda name: ["support"] if name == "sam" else []
    [question] = await engine.waiting(await started(engine, write, "/tmp/a", groups=["support"]))
    with pytest.raises(NotEligible):
        await engine.app.grants.create(question.id, by="eve")
    assert (await engine.app.grants.create(question.id, by="sam")).granted_by == "sam"


async def test_7_a_token_gives_a_grant_only_with_a_question_that_it_may_answer(engine: Engine, site: Site) -> None:
    [question] = await engine.waiting(await started(engine, write, "/tmp/a", users=["maria"]))
    asked, answers = {"from_waitpoint": question.id}, f"waitpoint:answer:{question.id}"

    async def given_by(subject: str, body: dict[str, Any], *scopes: str) -> int:
        token = mint_token(KEY, scopes=["grants:write", *scopes], subject=subject, clock=engine.clock)
        return (await site.client.post("/v1/grants", json=body, headers={"authorization": f"Bearer {token}"})).status_code

    anything = {"tool": "guarded-write", "scope": "all", "match": TMP}
    assert [await given_by("maria", anything), await given_by("maria", anything, answers)] == [403, 403]
    assert [await given_by("maria", asked), await given_by("maria", asked, "waitpoint:answer:wp_0")] == [403, 404]
    assert [await given_by("eve", asked, answers), await given_by("maria", asked, answers)] == [403, 201]


async def test_7_code_inside_of_a_run_gives_no_grant_in_anybodys_name(engine: Engine) -> None:
    @task(name="guarded-giver")
    async def giver() -> str:
        with pytest.raises(InvalidGrant, match="run:"):
            await engine.app.grants.create("guarded-write", by="maria", match=TMP, always=Always(scope="all"))
        return "refused"

    assert await (await engine.start(giver)).result() == "refused"
    assert list(await engine.app.grants.list(every=True)) == []


@pytest.mark.both_databases
async def test_7_each_use_of_a_grant_is_in_the_audit_and_so_are_who_gave_it_and_who_took_it_back(engine: Engine, site: Site) -> None:
    grant = await given(site, tool="guarded-write", match=TMP, reason="It is a scratch folder.")
    runs: list[Any] = []
    for path in ("/tmp/a", "/tmp/b"):
        runs.append(await started(engine, write, path))
        assert await runs[-1].result() == "done"
    for _ in range(2):
        await site.client.delete(f"/v1/grants/{grant}", headers={"x-agentflow-by": "boss"})
    entries = await engine.app.waitpoints.audit.entries(type="grant")
    told = [(one["detail"]["choice"], one["actor"], one["via"], one["run"]) for one in entries]
    uses = [("use", f"grant:{grant}", "grant", run.id) for run in runs]
    assert told == [("give", "maria", "http", None), *uses, ("revoke", "boss", "http", None)]
    first, use = entries[0]["detail"], entries[1]["detail"]
    assert (first["match"], first["reason"], first["grant"]) == (TMP, "It is a scratch folder.", grant)
    assert (use["grant"], use["granted_by"], use["asked"]["tool"]) == (grant, "maria", "guarded-write")
    assert use["call"] != entries[2]["detail"]["call"], "which call it was can be proved"
    assert all(one["waitpoint"] for one in entries[1:3])
    assert (await engine.app.waitpoints.audit.verify()).broken is None
