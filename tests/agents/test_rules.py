"""Rules for calls, in runs: judged once and recorded, edits judged anew, and who started a run does not decide about it."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow import Agent, Approval, ai, approve, ask, step, task
from agentflow.app.decision import EditDenied
from agentflow.app.grants import Always
from agentflow.errors import DefinitionError
from agentflow.handle import RunHandle
from agentflow.policy import Policy, at_least
from agentflow.records import RunState
from agentflow.serde import ANY, decode_failure, loads
from agentflow.storage.policy import NotEligible
from agentflow.streams.events import ToolDenied
from agentflow.testing import Engine, Waiting, call, scripted_model, text
from tests.agents.loops import LOOPS, Make, our_agent


@pytest.fixture(params=["sqlite", "postgres"])
def engine_database(request: pytest.FixtureRequest) -> str | None:
    """Where the engine under test keeps what is true."""
    return None if request.param == "sqlite" else request.getfixturevalue("migrated_url")


paid: list[str] = []


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    paid.clear()


@step(name="rules-pay")
async def pay(to: str, cents: int = 5) -> str:
    """Pay somebody."""
    paid.append(f"{to} {cents}")
    return f"paid {cents} to {to}"


def payer(*calls: dict[str, Any], policy: Policy | None = None, **approval: Any) -> Agent[str]:
    tool = ai.tool(pay, approval=Approval(**approval)) if approval else ai.tool(pay)
    model = scripted_model(*([call("rules-pay", one, id=f"c{n}")] for n, one in enumerate(calls)), [text("done")])
    return Agent("rules-payer", model=model, tools=[tool], policy=policy or Policy())


async def judged(engine: Engine, run: Any) -> list[dict[str, Any]]:
    return [loads(one.value or "null") for one in await engine.app.runs.journal(run.id) if one.key.endswith("/when")]


async def test_a_forbidden_call_is_told_at_once_and_nobody_is_asked(engine: Engine) -> None:
    engine.policy.deny("rules-pay", args={"to": "mallory"}, reason="Mallory is paid by nobody.")
    run = await engine.start(payer({"to": "mallory"}, when=is_dear), "pay")
    assert await run.result() == "done"
    assert paid == []
    [found] = await judged(engine, run)
    assert (found["effect"], found["required"], found["version"]) == ("deny", False, engine.policy.version)
    assert found["rule"] == 'deny rules-pay where {"to":{"is":"mallory"}}'
    denied = [event for event in await engine.events(run) if event.event.type == "tool.denied"]
    assert len(denied) == 1
    assert not (await engine.replay(run)).diverges


@pytest.mark.parametrize(
    ("reason", "told"),
    [("Nobody pays Mallory.", "The rules forbid this call: Nobody pays Mallory."), (None, "The rules forbid this call.")],
)
async def test_the_model_and_viewers_are_told_that_a_rule_forbids_a_call(engine: Engine, reason: str | None, told: str) -> None:
    engine.policy.deny("rules-pay", reason=reason)
    made = our_agent([ai.tool(pay)], [("rules-pay", {"to": "mallory"})])
    run = await engine.start(made.task, "go")
    assert await run.result() == "done"
    assert [one.text for one in made.told] == [f"{told} Do not make it again unless you are asked to."]
    assert [one.event.reason for one in await engine.events(run) if isinstance(one.event, ToolDenied)] == [told]


@pytest.mark.parametrize("loop", LOOPS, ids=lambda make: make.__name__)
async def test_the_rules_of_the_app_hold_in_every_loop(engine: Engine, loop: Make) -> None:
    engine.policy.deny("rules-pay", args={"cents": 5}, reason="Not five.")
    made = loop([ai.tool(pay)], [("rules-pay", {"to": "otto"})])
    run = await engine.start(made.task, "go")
    assert await run.result() == "done"
    assert ["Not five." in one.text for one in made.told] == [True]
    assert paid == []


async def test_a_call_that_no_rule_is_about_is_not_judged_in_the_journal(engine: Engine) -> None:
    engine.policy.deny("rules-other").allow("rules-x*")
    run = await engine.start(payer({"to": "otto"}, policy=Policy().always_ask("rules-third")), "pay")
    assert await run.result() == "done"
    assert (paid, await judged(engine, run)) == (["otto 5"], [])


async def test_the_rules_of_an_agent_are_joined_to_those_of_the_app(engine: Engine) -> None:
    engine.policy.allow("rules-pay")
    mine = Policy().always_ask("rules-pay", args={"cents": at_least(100)}, need=2)
    run = await engine.start(payer({"to": "otto"}, {"to": "otto", "cents": 100}, policy=mine, need=1, risk="low"), "pay")
    [question] = await engine.waiting(run)
    subject = loads(question.record.subject)
    assert (subject["body"], subject["need"], paid) == ({"to": "otto", "cents": 100}, 2, ["otto 5"])
    await question.approve(by="maria")
    await question.approve(by="zoe")
    assert await run.result() == "done"


async def test_a_call_is_judged_once_whatever_the_rules_are_when_its_run_goes_on(engine: Engine) -> None:
    """The policy flips between the question and its answer."""
    run = await engine.start(payer({"to": "otto"}, groups=[]), "pay")
    [question] = await engine.waiting(run)
    before = engine.policy.version
    engine.policy.deny("rules-pay")
    await engine.crash()
    await question.approve(by="maria")
    assert await run.result() == "done"
    assert paid == ["otto 5"]
    assert [(one["effect"], one["version"]) for one in await judged(engine, run)] == [("ask", before)]


async def test_what_was_forbidden_stays_so_when_the_rules_are_gone(engine: Engine) -> None:
    engine.policy.deny("rules-pay", args={"to": "mallory"}).always_ask("rules-pay")
    run = await engine.start(payer({"to": "mallory"}, {"to": "otto"}), "pay")
    [question] = await engine.waiting(run)
    engine.policy = Policy()
    await engine.crash()
    await question.approve(by="maria")
    assert await run.result() == "done"
    assert paid == ["otto 5"]


async def test_a_call_that_was_made_before_there_were_rules_is_not_judged_by_them(engine: Engine) -> None:
    @task(name="rules-idle")
    async def idle() -> bool:
        """Wait for a word."""
        return (await approve("Go on?")).approved

    model = scripted_model([call("rules-pay", {"to": "otto"}, id="c0")], [call("rules-idle", {}, id="c1")], [text("done")])
    both = Agent("rules-both", model=model, tools=[ai.tool(pay), ai.tool(idle)])
    run = await engine.start(both, "go")
    await engine.waiting(run)
    [child] = await engine.app.runs.list(parent=run.id)
    await engine.waiting(RunHandle(child.id, engine.app.runs, ANY), kind="approval")
    engine.policy.deny("*")
    await engine.crash()
    [question] = await engine.app.runs.waiting_for(child.id)
    await engine.app.waitpoints.approve(question.id, by="maria")
    assert await run.result() == "done"
    assert paid == ["otto 5"]
    assert [(one["effect"], one["rule"]) for one in await judged(engine, run)] == [("run", None)] * 2


def is_dear(arguments: Any) -> bool:
    return arguments.cents > 100


def fails(arguments: Any) -> bool:
    raise ConnectionError("the price list is away")


async def test_a_condition_that_fails_has_people_asked_and_no_grant_stands_for_them(engine: Engine) -> None:
    """T37"""
    await engine.app.grants.create("rules-pay", by="zoe", match={"args": {"to": {"is": "otto"}}}, always=Always(scope="all"))
    run = await engine.start(payer({"to": "otto"}, when=fails), "pay")
    [question] = await engine.waiting(run)
    assert paid == []
    await question.deny(by="maria")
    assert await run.result() == "done"
    assert paid == []


async def test_an_edit_that_the_rules_forbid_is_refused_and_the_question_stays_open(engine: Engine) -> None:
    engine.policy.deny("rules-pay", args={"to": "mallory"}, reason="Never.")
    run = await engine.start(payer({"to": "otto"}, risk="low"), "pay")
    [question] = await engine.waiting(run)
    with pytest.raises(EditDenied, match="Never") as refused:
        await question.approve(by="maria", edits={"to": "mallory", "cents": 5})
    assert (refused.value.http_status, refused.value.code) == (422, "edit_denied")
    assert (await engine.get(run)).state is RunState.WAITING
    await question.approve(by="maria", edits={"to": "zoe", "cents": 6})
    assert await run.result() == "done"
    assert paid == ["zoe 6"]


async def test_an_edit_that_others_have_to_decide_about_is_asked_of_them(engine: Engine) -> None:
    """An editor cannot raise the amount above what needs a second person."""
    engine.policy.always_ask("rules-pay", args={"cents": at_least(1_000)}, need=2)
    run = await engine.start(payer({"to": "otto"}, risk="low"), "pay")
    [first] = await engine.waiting(run)
    await first.approve(by="maria", edits={"to": "otto", "cents": 5_000})
    [second] = [one for one in await engine.waiting(run) if one.id != first.id]
    subject = loads(second.record.subject)
    assert (subject["need"], subject["body"], subject["instead_of"]) == (2, {"to": "otto", "cents": 5_000}, first.id)
    assert paid == []
    await engine.crash()
    await second.approve(by="maria")
    assert paid == []
    await second.approve(by="zoe")
    assert await run.result() == "done"
    assert paid == ["otto 5000"]


async def test_the_tools_own_condition_judges_edits_too(engine: Engine) -> None:
    engine.policy.always_ask("rules-pay", args={"to": "otto"})
    run = await engine.start(payer({"to": "otto"}, when=is_dear, users=["boss"]), "pay")
    [question] = await engine.waiting(run)
    await question.approve(by="boss", edits={"to": "zoe", "cents": 50})
    assert await run.result() == "done"
    assert paid == ["zoe 50"]


@task
async def wish_of(policy: dict[str, Any]) -> str:
    decision = await approve("Grant it?", **policy)
    return f"{decision.approved} by {decision.by}"


async def asked(engine: Engine, by: str | None, **policy: Any) -> tuple[Any, Waiting]:
    run = await engine.start(wish_of.using(started_by=by), policy)
    [question] = await engine.waiting(run)
    return run, question


@pytest.mark.parametrize("policy", [{"exclude_requester": True}, {"need": 2}, {"risk": "high"}, {"risk": "critical"}])
async def test_who_started_a_run_cannot_decide_where_that_is_excluded_or_much_is_at_stake(engine: Engine, policy: dict[str, Any]) -> None:
    run, question = await asked(engine, "otto", **policy)
    assert (await engine.get(run)).started_by == "otto"
    with pytest.raises(NotEligible) as refused:
        await question.approve(by="otto")
    assert refused.value.details["reason"] == "self_approval"
    [vote] = await engine.app.waitpoints.votes(question.id)
    assert (vote.counted, vote.why) == (False, "self_approval")
    for name in ("maria", "zoe"):
        await engine.app.waitpoints.approve(question.id, by=name) if (await engine.get(run)).state is RunState.WAITING else None
    assert (await run.result()).startswith("True by maria")


async def test_without_a_starter_or_where_it_is_allowed_nobody_is_excluded(engine: Engine) -> None:
    for by, policy in ((None, {"risk": "high"}), ("otto", {"risk": "high", "exclude_requester": False}), ("otto", {"risk": "low"})):
        run, question = await asked(engine, by, **policy)
        await question.approve(by="otto")
        assert await run.result() == "True by otto"


async def test_a_child_run_is_in_the_name_of_whoever_started_its_parent(engine: Engine) -> None:
    @task(name="rules-parent")
    async def parent() -> tuple[str, int]:
        detached = await wish_of.start({})
        inside = await wish_of({"exclude_requester": True})
        return f"{detached.id} {inside}", 1

    run = await engine.start(parent.using(started_by="otto"))
    await engine.waiting(run)
    children = await engine.app.runs.list(task="wish_of")
    [inside] = [one for one in children if one.parent_id == run.id][:1]
    assert {one.started_by for one in children} == {"otto"}
    for one in children:
        [question] = await engine.waiting(RunHandle(one.id, engine.app.runs, ANY))
        await engine.app.waitpoints.approve(question.id, by="maria")
    assert "True by maria" in (await run.result())[0]
    assert inside.started_by == "otto"


async def test_who_alone_could_decide_and_started_it_is_told_so_at_once(engine: Engine) -> None:
    run = await engine.start(wish_of.using(started_by="otto"), {"users": ["otto"], "risk": "high"})
    failed = decode_failure((await engine.app.runs.ended(run.id)).error or "{}")
    assert (failed.type, "otto started" in failed.message) == (DefinitionError.__name__, True)


async def test_a_form_can_exclude_who_started_the_run(engine: Engine) -> None:
    @task(name="rules-form")
    async def form() -> int:
        return await ask(int, exclude_requester=True)

    run = await engine.start(form.using(started_by="otto"))
    [question] = await engine.waiting(run)
    with pytest.raises(NotEligible):
        await question.answer(5, by="otto")
    await question.answer(6, by="maria")
    assert await run.result() == 6


async def test_a_run_decides_about_nothing_whatever_name_it_takes(engine: Engine) -> None:
    run, question = await asked(engine, None)
    refused: list[str] = []

    @task(name="rules-impostor")
    async def impostor(id: str) -> None:
        for verb in (engine.app.waitpoints.approve, engine.app.waitpoints.deny):
            try:
                await verb(id, by="maria")
            except NotEligible as error:
                refused.append(error.details["reason"])

    await (await engine.start(impostor, question.id)).result()
    for name in ("run:x", "agent:support", "system:timeout", "grant:grant_1"):
        with pytest.raises(NotEligible):
            await question.approve(by=name)
    assert refused == ["not_a_person"] * 2
    assert {one.counted for one in await engine.app.waitpoints.votes(question.id)} == {False}
    await question.approve(by="maria")
    assert await run.result() == "True by maria"


def test_no_run_starts_another_in_the_name_of_one() -> None:
    for name in ("", "run:1", "a\nb", "x" * 300, 5):
        with pytest.raises(DefinitionError):
            wish_of.using(started_by=name)
