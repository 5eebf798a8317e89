"""Who decides: named people, groups, several of them, never who asked; and what silence means. Every word is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentflow import Agent, Approval, ai, approve, race, sleep, task
from agentflow.app.batch import Choice
from agentflow.engine.waits import ask_approval, within_run
from agentflow.engine.worker import WorkerSettings
from agentflow.errors import (
    DefinitionError,
    IdempotencyConflict,
    InvalidAnswer,
    WaitpointAlreadyAnswered,
    WaitpointTimedOut,
)
from agentflow.records import RunState, WaitState
from agentflow.serde import loads
from agentflow.storage import audit
from agentflow.storage.policy import NotEligible, Policy, Said, SubjectChanged, Voter
from agentflow.streams.events import ApprovalResolved
from agentflow.testing import Engine, Waiting, call, scripted_model, text

YES, NO = {"approved": True}, {"approved": False, "reason": "no"}


@pytest.fixture
def worker_settings() -> WorkerSettings:
    return WorkerSettings(hot_window=365 * 86_400_000_000)


@task
async def publish_under(policy: dict[str, Any], expires: str = "3d") -> str:
    decision = await approve("Publish?", expires=expires, **policy)
    return f"{'yes' if decision.approved else 'no'} by {decision.by}"


async def asked(engine: Engine, **policy: Any) -> tuple[Any, Waiting]:
    run = await engine.start(publish_under, policy)
    [question] = await engine.waiting(run)
    return run, question


async def kept(engine: Engine, question: Waiting) -> list[tuple[str, str, bool, str | None]]:
    return [(one.actor, one.choice, one.counted, one.why) for one in await engine.app.waitpoints.votes(question.id)]


async def test_two_distinct_people_are_needed_and_the_same_one_twice_is_one(engine: Engine) -> None:
    run, question = await asked(engine, need=2)
    first = await engine.app.waitpoints.decide(question.id, YES, by="maria")
    again = await engine.app.waitpoints.decide(question.id, YES, by="maria")
    assert [(one.resolved, one.need, one.have) for one in (first, again)] == [(False, 2, 1)] * 2
    assert (await engine.get(run)).state is RunState.WAITING
    await engine.crash()
    second = await engine.app.waitpoints.decide(question.id, YES, by="otto")
    assert (second.resolved, second.have) == (True, 2)
    assert await run.result() == "yes by maria, otto"


async def test_one_no_is_enough_and_the_vote_after_it_is_kept_and_told_so(engine: Engine) -> None:
    run, question = await asked(engine, need=2)
    await question.approve(by="maria")
    await question.deny(by="otto", reason="no")
    with pytest.raises(WaitpointAlreadyAnswered):
        await question.approve(by="zoe")
    assert await run.result() == "no by otto"
    assert await kept(engine, question) == [
        ("maria", "approve", True, None),
        ("otto", "deny", True, None),
        ("zoe", "approve", False, "waitpoint_answered"),
    ]


async def test_with_a_majority_a_single_no_does_not_decide(engine: Engine) -> None:
    run, question = await asked(engine, need=2, deny="majority")
    await question.deny(by="otto")
    await question.approve(by="maria")
    assert (await engine.get(run)).state is RunState.WAITING
    await question.approve(by="zoe")
    assert await run.result() == "yes by maria, zoe"


async def test_who_changes_their_mind_counts_as_they_think_now(engine: Engine) -> None:
    run, question = await asked(engine, need=2, deny="majority")
    await question.deny(by="otto")
    await question.approve(by="otto")
    await question.approve(by="maria")
    assert (await run.result()).startswith("yes by")


async def test_people_agree_only_when_they_agree_to_the_same_arguments(engine: Engine) -> None:
    run, question = await asked(engine, need=2)
    await question.approve(by="maria", edits={"cents": 5})
    apart = await engine.app.waitpoints.decide(question.id, YES, by="otto")
    assert (apart.resolved, apart.have) == (False, 1)
    await question.approve(by="zoe", edits={"cents": 5})
    assert await run.result() == "yes by maria, zoe"


async def test_only_who_is_named_may_decide_and_the_vote_of_others_is_kept_and_does_not_count(engine: Engine) -> None:
    run, question = await asked(engine, users=["maria"])
    with pytest.raises(NotEligible) as refused:
        await question.approve(by="mallory")
    assert (refused.value.http_status, refused.value.details["reason"]) == (403, "not_eligible")
    assert await kept(engine, question) == [("mallory", "approve", False, "not_eligible")]
    assert (await engine.get(run)).state is RunState.WAITING
    await question.approve(by="maria")
    assert await run.result() == "yes by maria"


async def test_who_asked_may_not_decide(engine: Engine) -> None:
    run, question = await asked(engine, requester="otto")
    with pytest.raises(NotEligible, match="they asked for it"):
        await question.approve(by="otto")
    await question.approve(by="maria")
    assert await run.result() == "yes by maria"
    assert (await kept(engine, question))[0] == ("otto", "approve", False, "self_approval")


async def test_one_person_is_one_under_either_way_to_write_their_name(engine: Engine) -> None:
    run, question = await asked(engine, need=2, requester="user:otto")
    with pytest.raises(NotEligible, match="they asked for it"):
        await question.approve(by="otto")
    await question.approve(by="maria")
    same = await engine.app.waitpoints.decide(question.id, YES, by="user:maria")
    assert (same.resolved, same.have) == (False, 1)
    await question.approve(by="user:zoe")
    assert await run.result() == "yes by user:maria, user:zoe"


async def test_who_is_named_may_decide_under_either_way_to_write_their_name(engine: Engine) -> None:
    run, question = await asked(engine, users=["user:maria"])
    await question.approve(by="maria")
    assert await run.result() == "yes by maria"
    with pytest.raises(DefinitionError):
        Approval(users=["maria", "user:maria"], need=2)


async def test_a_token_that_names_nobody_is_no_person_where_it_matters_which_one_it_is(engine: Engine) -> None:
    for policy in ({"need": 2}, {"requester": "otto"}):
        _, question = await asked(engine, **policy)
        with pytest.raises(NotEligible) as refused:
            await engine.app.waitpoints.answer(question.id, YES, by=Voter("token:a1", frozenset(), "http"))
        assert refused.value.details["reason"] == "not_a_person"
    run, question = await asked(engine)
    await question.approve(by="token:a1")
    assert await run.result() == "yes by token:a1"


async def test_groups_come_from_the_resolver_and_nobody_decides_when_it_fails(engine: Engine) -> None:
    def groups_of(name: str) -> list[str]:
        if name == "zoe":
            raise ConnectionError("the directory is away")
        return ["editors"] if name == "maria" else []

    engine.app.waitpoints.groups = groups_of
    run, question = await asked(engine, groups=["editors"])
    for name in ("otto", "zoe"):
        with pytest.raises(NotEligible):
            await question.approve(by=name)
    await question.approve(by="maria")
    assert await run.result() == "yes by maria"


async def test_a_caller_whose_groups_are_known_needs_the_right_one(engine: Engine) -> None:
    run, question = await asked(engine, groups=["editors"])
    with pytest.raises(NotEligible):
        await engine.app.waitpoints.answer(question.id, YES, by=Voter("otto", frozenset()))
    await engine.app.waitpoints.answer(question.id, YES, by=Voter("maria", frozenset({"editors"})))
    assert await run.result() == "yes by maria"


async def test_the_same_key_is_the_same_decision_and_another_under_it_is_refused(engine: Engine) -> None:
    run, question = await asked(engine, need=2)
    first = await engine.app.waitpoints.decide(question.id, YES, by="maria", idempotency_key="slack:1")
    again = await engine.app.waitpoints.decide(question.id, YES, by="maria", idempotency_key="slack:1")
    assert (first.have, again.have) == (1, 1)
    with pytest.raises(IdempotencyConflict):
        await engine.app.waitpoints.decide(question.id, NO, by="maria", idempotency_key="slack:1")
    await question.approve(by="otto")
    after = await engine.app.waitpoints.decide(question.id, YES, by="maria", idempotency_key="slack:1")
    assert after.resolved
    assert await run.result() == "yes by maria, otto"
    assert len(await kept(engine, question)) == 2


async def test_who_was_refused_once_counts_under_the_same_key_as_soon_as_they_may_decide(engine: Engine) -> None:
    run, question = await asked(engine, users=["maria"])
    for _ in range(2):
        with pytest.raises(NotEligible):
            await engine.app.waitpoints.decide(question.id, YES, by="otto", idempotency_key="click")
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["otto", "maria"])
    counted = [await engine.app.waitpoints.decide(question.id, YES, by="otto", idempotency_key="click") for _ in range(2)]
    assert [one.resolved for one in counted] == [True, True]
    assert await run.result() == "yes by otto"
    assert [one[:3] for one in await kept(engine, question)] == [
        ("otto", "approve", False),
        ("boss", "reassign", True),
        ("otto", "approve", True),
    ]


async def test_a_policy_is_that_of_the_question_whatever_the_code_says_by_now(engine: Engine) -> None:
    needed = [2]

    @task
    async def under_changing_rules() -> str:
        return str((await approve("Publish?", need=needed[0])).approved)

    run = await engine.start(under_changing_rules)
    [question] = await engine.waiting(run)
    needed[0] = 1
    await engine.crash()
    await question.approve(by="maria")
    assert (await engine.get(run)).state is RunState.WAITING
    await question.approve(by="otto")
    assert await run.result() == "True"


async def test_who_asked_does_not_make_up_the_number(engine: Engine) -> None:
    _, question = await asked(engine, need=2, requester="otto")
    await question.approve(by="maria")
    with pytest.raises(NotEligible):
        await question.approve(by="otto")
    assert (await engine.app.waitpoints.get(question.id)).state is WaitState.PENDING


@pytest.mark.parametrize(("default", "end"), [("deny", "no by None"), ("approve", "yes by system:timeout"), (None, "no by None")])
async def test_what_silence_means_was_said_when_it_was_asked(engine: Engine, default: str | None, end: str) -> None:
    """T37"""
    run, question = await asked(engine, **({} if default is None else {"on_timeout": default}))
    await engine.clock.advance("3d")
    assert await run.result() == end
    ended = await engine.app.waitpoints.get(question.id)
    assert (ended.state, ended.answered_by) == (WaitState.TIMED_OUT, "system:timeout")
    with pytest.raises(WaitpointTimedOut) as late:
        await question.approve(by="maria")
    assert late.value.http_status == 410
    assert await kept(engine, question) == [("maria", "approve", False, "waitpoint_timed_out")]


async def test_silence_may_be_an_error(engine: Engine) -> None:
    run, _ = await asked(engine, on_timeout="fail")
    await engine.clock.advance("3d")
    ended = await engine.app.runs.ended(run.id)
    assert (ended.state, loads(ended.error or "{}")["type"]) == (RunState.FAILED, "WaitpointTimedOut")


async def test_a_question_can_be_taken_back_and_says_by_whom(engine: Engine) -> None:
    run, question = await asked(engine)
    await engine.app.waitpoints.cancel(question.id, by="otto", reason="not needed")
    assert await run.result() == "no by None"
    with pytest.raises(WaitpointTimedOut, match="cancelled by otto: not needed"):
        await question.approve(by="maria")
    with pytest.raises(WaitpointTimedOut):
        await engine.app.waitpoints.supersede(question.id, by="otto")
    assert [one[:3] for one in await kept(engine, question)] == [
        ("otto", "cancel", True),
        ("maria", "approve", False),
        ("otto", "supersede", False),
    ]


async def test_a_question_can_be_given_to_somebody_else(engine: Engine) -> None:
    run, question = await asked(engine, users=["maria"])
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["otto"])
    with pytest.raises(NotEligible):
        await question.approve(by="maria")
    await question.approve(by="otto")
    assert await run.result() == "yes by otto"
    assert (await engine.app.waitpoints.votes(question.id))[0].said == {"to": {"users": ["otto"]}}


async def test_what_was_said_before_a_question_went_to_others_does_not_count_any_more(engine: Engine) -> None:
    run, question = await asked(engine, need=2)
    await engine.app.waitpoints.decide(question.id, YES, by="mallory", idempotency_key="m")
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["maria", "bob"])
    alone = await engine.app.waitpoints.decide(question.id, YES, by="maria")
    assert (alone.resolved, alone.have) == (False, 1)
    with pytest.raises(NotEligible):
        await engine.app.waitpoints.decide(question.id, YES, by="mallory", idempotency_key="m")
    await question.approve(by="bob")
    assert await run.result() == "yes by maria, bob"


@pytest.mark.parametrize("to", [{"users": [], "groups": []}, {"users": ["zoe"]}, {"users": ["otto", "zoe"], "groups": []}])
async def test_a_question_is_not_given_to_whom_could_not_decide_it_nor_to_everybody(engine: Engine, to: dict[str, Any]) -> None:
    _, question = await asked(engine, users=["maria", "ana"], need=2, requester="otto")
    with pytest.raises(InvalidAnswer):
        await engine.app.waitpoints.reassign(question.id, by="boss", **to)
    assert await kept(engine, question) == []
    await engine.app.waitpoints.reassign(question.id, by="boss", users=["maria", "zoe"])


@task
async def two_calls_of_a_turn() -> list[bool]:
    run = within_run("two_calls_of_a_turn")
    subjects = [{"kind": "tool", "title": "Run?", "tool": "pay", "agent": "a", "call": f"c{n}", "body": n} for n in range(2)]
    found = await asyncio.gather(*(ask_approval(run, run.key("call"), one, "3d") for one in subjects))
    return [one.approved for one in found]


async def test_what_a_no_with_stop_takes_back_is_told_to_the_audit_and_to_who_looks_at_the_run(engine: Engine) -> None:
    run = await engine.start(two_calls_of_a_turn)
    first, second = await engine.waiting(run, 2)
    await first.deny(by="maria", stop=True)
    assert await run.result() == [False, False]
    told = await engine.app.audit.entries()
    assert [(one["type"], one["waitpoint"], one["actor"]) for one in told] == [
        ("decision", first.id, "maria"),
        ("supersede", second.id, "maria"),
    ]
    shown = [one.event for one in await engine.events(run)]
    ended = {one.approval: one.by for one in shown if isinstance(one, ApprovalResolved)}
    assert ended == {first.id: "maria", second.id: "maria"}


@task
async def ask_for_an_hour() -> bool:
    return await race(approve("Well?"), sleep("1h")) is None


async def test_what_a_run_writes_to_the_audit_is_sealed_without_anybody_who_reads_it(engine: Engine) -> None:
    run = await engine.start(ask_for_an_hour)
    await engine.waiting(run, 2)
    await engine.clock.advance("1h")
    assert await run.result()
    await engine.clock.advance("1m")
    assert (await engine.app.database.read(audit.head())).place == 1


async def test_a_no_with_stop_is_said_to_one_question_at_a_time(engine: Engine) -> None:
    run = await engine.start(two_calls_of_a_turn)
    asked = await engine.waiting(run, 2)
    choices = [Choice(waitpoint_id=one.id, value={"approved": False, "stop": True}) for one in asked]
    with pytest.raises(InvalidAnswer, match="stop"):
        await engine.app.waitpoints.decide_many(choices, by="maria")
    assert [await kept(engine, one) for one in asked] == [[], []]


async def test_a_policy_that_nobody_can_meet_is_refused_when_it_is_asked(engine: Engine) -> None:
    run = await engine.start(publish_under, {"users": ["maria", "otto"], "need": 2, "requester": "otto"})
    ended = await engine.app.runs.ended(run.id)
    assert loads(ended.error or "{}")["type"] == DefinitionError.__name__


async def test_a_tools_policy_holds_and_what_was_seen_must_be_what_is_asked(engine: Engine) -> None:
    @task
    async def wire_money(cents: int) -> str:
        return f"wired {cents}"

    model = scripted_model([call("wire_money", {"cents": 190}, id="c1")], [text("done")])
    wirer = Agent("policy-wirer", model=model, tools=[ai.tool(wire_money, approval=Approval(need=2, risk="high"))])
    run = await engine.start(wirer, "wire")
    [question] = await engine.waiting(run)
    digest = loads(question.record.subject)["digest"]
    with pytest.raises(SubjectChanged) as changed:
        await engine.app.waitpoints.decide(question.id, YES, by="maria", seen="0" * 16)
    assert (changed.value.http_status, changed.value.details["digest"]) == (412, digest)
    assert not (await engine.app.waitpoints.decide(question.id, YES, by="maria", seen=digest)).resolved
    assert engine.calls(wire_money) == 0
    assert (await engine.app.waitpoints.decide(question.id, YES, by="otto", seen=digest)).resolved
    assert await run.result() == "done"
    assert engine.calls(wire_money) == 1


@pytest.mark.parametrize(
    ("policy", "votes", "end"),
    [
        (Policy(), [], None),
        (Policy(need=2), [("a", True), ("a", True)], None),
        (Policy(need=2), [("a", True), ("b", True)], True),
        (Policy(need=2), [("a", True), ("b", False)], False),
        (Policy(need=2), [("a", False), ("a", True), ("b", True)], True),
        (Policy(need=2, deny="majority"), [("a", False), ("b", True)], None),
        (Policy(need=2, deny="majority"), [("a", False), ("b", False)], False),
        (Policy(need=3, deny="majority"), [("a", False), ("b", False), ("c", True), ("d", True), ("e", True)], True),
    ],
)
def test_a_policy_can_be_tried_without_an_engine(policy: Policy, votes: list[tuple[str, bool]], end: bool | None) -> None:
    assert policy.tally(Said(actor, approved, None) for actor, approved in votes).end is end
