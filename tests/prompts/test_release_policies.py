"""With a policy nothing is moved before people, or an evaluation, have agreed: by our own waitpoints, for days if it must be."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import pytest

from agentflow import prompt, task
from agentflow.database.port import Database, T, Transaction
from agentflow.errors import (
    BindingConflict,
    BindingProtected,
    DefinitionError,
    PromptError,
    PromptNotFound,
    ReleaseRequested,
    UnknownTask,
)
from agentflow.prompts.prompt import Prompt
from agentflow.records import RunState, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage import requests
from agentflow.storage.policy import NotEligible
from agentflow.storage.requests import RequestRecord
from agentflow.testing import Engine
from agentflow.testing.faults import CrashingDatabase
from tests.prompts.saving import Topic, save

headline: Prompt[Any] = prompt("headline", vars=Topic, text="A headline about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "better"}
OPS: Any = {"actor": "ops"}
saved = partial(save, "headline")


@pytest.fixture(autouse=True)
def deployed() -> None:
    global headline
    headline = prompt("headline", vars=Topic, text="A headline about {{topic}}.")


@task(name="policy_sleeper")
async def sleeper() -> str:
    from agentflow import sleep

    said = await headline.get(topic="owls")
    await sleep("30d")
    return said.text


@task(name="policy_gate")
async def evaluate(prompt: str, version: int, env: str) -> dict[str, Any]:
    """Lets v2 pass."""
    return {"passed": version == 2, "score": version / 10, "of": f"{prompt} in {env}"}


async def asked(engine: Engine, to: int, **move: Any) -> RequestRecord:
    """Ask for a release under a policy."""
    with pytest.raises(ReleaseRequested) as caught:
        await engine.app.prompts.release("headline", to=to, **{**MARIA, **move})
    return await engine.app.prompts.requests.get(caught.value.details["request"])


async def question(engine: Engine, one: RequestRecord) -> WaitpointRecord:
    """What people are asked, once they are."""
    await engine.settle()
    assert one.waitpoint is not None
    return await engine.app.waitpoints.get(one.waitpoint)


async def approve(engine: Engine, one: RequestRecord, *people: str) -> RequestRecord:
    for who in people:
        await engine.app.waitpoints.approve((await question(engine, one)).id, by=who)
    await engine.settle()
    return await engine.app.prompts.requests.get(one.id)


async def live(engine: Engine) -> tuple[str, int | None]:
    found = (await engine.app.prompts.get("headline")).live
    assert found is not None
    return found.mode, found.number


async def told(engine: Engine) -> list[str]:
    return [one.type for one in await engine.app.prompts.events("headline")]


async def test_two_people_agree_to_a_release_and_whoever_asks_is_none_of_them(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    run = await engine.start(sleeper)
    await engine.until(run, RunState.WAITING)
    await prompts.policies.set("headline", people=2, **OPS)
    one = await asked(engine, two)
    assert (await live(engine), one.state, one.rev) == (("code", 1), "asked", 1)
    shown = await question(engine, one)
    subject = loads(shown.subject)
    assert subject["title"] == "Release v2 of headline in prod?"
    for part in (
        "maria asks for it: better",
        "1 run keeps v1, 1 asleep.",
        "[-A headline about-]{+Two+}",
        "the code deployed in prod can fill it",
    ):
        assert part in subject["body"]
    with pytest.raises(NotEligible):
        await engine.app.waitpoints.approve(shown.id, by="maria")
    assert (await approve(engine, one, "user:tom")).state == "asked"
    await engine.crash()
    done = await approve(engine, one, "ann")
    assert (done.state, done.outcome["people"], await live(engine)) == ("released", ["ann", "user:tom"], ("pinned", 2))
    assert (await headline.get(topic="owls")).text == "Two owls"
    assert (await told(engine))[-4:] == ["policy.changed", "release.requested", "release.approved", "released"]
    [*_, released] = await engine.app.prompts.events("headline")
    assert (released.actor, loads(released.after or "")["request"]) == ("maria", one.id)


async def test_of_two_requests_for_one_binding_one_wins_and_the_other_says_so(engine: Engine) -> None:
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await engine.app.prompts.policies.set("headline", people=1, **OPS)
    first, second = await asked(engine, two), await asked(engine, three, actor="tom")
    assert (await approve(engine, second, "ann")).state == "released"
    lost = await approve(engine, first, "ann")
    assert (lost.state, lost.outcome["code"], await live(engine)) == ("conflict", "version_conflict", ("pinned", 3))
    ended = await engine.app.runs.get(first.run_id)
    assert (ended.state, loads(ended.output or "")["state"]) == (RunState.COMPLETED, "conflict")
    assert (await told(engine))[-1] == "release.conflict"
    with pytest.raises(BindingConflict):
        await engine.app.prompts.release("headline", to=two, expect_rev=1, **MARIA)


async def test_a_no_silence_a_withdrawal_and_a_cancelled_run_leave_things_as_they_are(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.policies.set("headline", people=1, expires="2d", **OPS)
    denied, forgotten, withdrawn, cancelled = [await asked(engine, two) for _ in range(4)]
    await engine.app.waitpoints.deny((await question(engine, denied)).id, by="ann", reason="too short")
    await engine.app.waitpoints.cancel((await question(engine, withdrawn)).id, by="maria")
    await engine.app.runs.cancel(cancelled.run_id, "no longer wanted")
    await engine.clock.advance("2d")
    await engine.settle()
    found = {one.id: one for one in await prompts.requests.of("headline")}
    assert {one.state for one in found.values()} == {"denied"}
    assert (found[denied.id].outcome["by"], found[denied.id].outcome["why"]) == ("ann", "too short")
    assert found[forgotten.id].outcome["why"] == "expired"
    assert found[cancelled.id].outcome["why"] == "Its run is cancelled."
    assert await live(engine) == ("code", 1)
    await prompts.policies.set("headline", people=1, notify=["slack:#ops"], **OPS)
    nowhere = await asked(engine, two)
    await engine.settle()
    assert (await prompts.requests.get(nowhere.id)).outcome["why"] == "This app has no channel 'slack'."


async def test_an_evaluation_lets_pass_or_not_before_people_are_asked_and_is_told_in_the_event(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.policies.set("headline", gate="policy_gate", **OPS)
    one = await asked(engine, two)
    await engine.settle()
    assert (one.waitpoint, await live(engine)) == (None, ("pinned", 2))
    event = [one for one in await prompts.events("headline") if one.type == "release.approved"][-1]
    assert loads(event.after or "")["evaluations"] == {"v2": {"passed": True, "score": 0.2, "of": "headline in prod"}}
    await prompts.policies.set("headline", gate="policy_gate", people=1, **OPS)
    refused = await asked(engine, three)
    await engine.settle()
    refused = await prompts.requests.get(refused.id)
    assert (refused.state, refused.outcome["by"], refused.outcome["evaluations"]["v3"]["passed"]) == ("denied", "task:policy_gate", False)
    with pytest.raises(ReleaseRequested):
        await prompts.rollout("headline", weights={two: 0.9, three: 0.1}, **MARIA)
    with pytest.raises(ReleaseRequested) as both:
        await prompts.follow_code("headline", **MARIA)
    await engine.settle()
    code = await prompts.requests.get(both.value.details["request"])
    assert code.state == "denied"
    with pytest.raises(UnknownTask):
        await prompts.policies.set("headline", gate="nobody_knows", **OPS)


async def test_a_policy_of_all_holds_where_a_prompt_has_none_of_its_own(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.policies.set(people=1, users=["ann", "tom"], **OPS)
    assert await told(engine) == ["version.created", "deployed", "version.created", "policy.changed"]
    one = await asked(engine, two)
    with pytest.raises(NotEligible):
        await approve(engine, one, "zoe")
    with pytest.raises(ReleaseRequested):
        await prompts.rollout("headline", weights={1: 1, two: 1}, **MARIA)
    await prompts.policies.set("headline", **OPS)
    assert (await prompts.release("headline", to=two, **MARIA)).number == 2
    assert [(one.prompt, one.people) for one in await prompts.policies.list()] == [("*", 1), ("headline", 0)]
    with pytest.raises(PromptNotFound):
        await prompts.policies.set("nothing", people=1, **OPS)
    with pytest.raises(DefinitionError):
        await prompts.policies.set("headline", people=2, users=["ann"], **OPS)


async def test_what_was_asked_for_under_another_policy_is_asked_for_in_vain(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.policies.set("headline", people=1, **OPS)
    one = await asked(engine, two)
    await prompts.policies.set("headline", people=2, **OPS)
    done = await approve(engine, one, "ann")
    assert (done.state, "policy of headline in prod was changed" in done.outcome["why"]) == ("conflict", True)


async def test_protection_revocation_and_rollback_under_a_policy(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("headline", to=two, **MARIA)
    await prompts.protect("headline", **OPS)
    await prompts.policies.set("headline", people=1, **OPS)
    with pytest.raises(BindingProtected):
        await prompts.release("headline", to=three, allowed=False, **MARIA)
    one = await asked(engine, three)
    with pytest.raises(PromptError, match="v3 of headline was never live in prod"):
        await prompts.revoke("headline", two, policy=f"repin:{three}", actor="ops")
    await prompts.revoke("headline", three, policy="fail", actor="ops")
    done = await approve(engine, one, "ann")
    assert (done.state, done.outcome["why"], await live(engine)) == ("conflict", "v3 of headline is revoked.", ("pinned", 2))
    with pytest.raises(PromptError, match="revoked"):
        await prompts.release("headline", to=three, **MARIA)
    # The way back is open: it leads only to what held before.
    assert (await prompts.rollback("headline", **MARIA)).number == 1
    await prompts.revoke("headline", 1, policy=f"repin:{two}", actor="ops")
    assert (await headline.get(topic="owls")).text == "Two owls"
    # What stands for a revoked version is live, too: no chain of revocations leads around the policy.
    four = await saved(engine, "Four {{topic}}")
    with pytest.raises(PromptError, match="v4 of headline was never live in prod"):
        await prompts.revoke("headline", two, policy=f"repin:{four}", actor="ops")
    assert (await headline.get(topic="owls")).text == "Two owls"


async def test_no_revocation_leads_around_a_policy_to_what_holds_once_a_release_has_ended(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("headline", to=two, expires="1h", **MARIA)
    await prompts.policies.set("headline", people=1, **OPS)
    with pytest.raises(PromptError, match="v3 of headline was never live in prod"):
        await prompts.revoke("headline", 1, policy=f"repin:{three}", actor="ops")


async def test_going_back_to_the_code_asks_no_policy_and_holds_the_version_that_held_then(engine: Engine) -> None:
    global headline
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("headline", to=two, **MARIA)
    await prompts.policies.set("headline", people=1, **OPS)
    headline = prompt("headline", vars=Topic, text="New code has {{topic}}.")
    await prompts.deploy("ci")
    assert (await prompts.rollback("headline", **MARIA)).number == 1
    assert await live(engine) == ("pinned", 1)
    assert (await headline.get(topic="owls")).text == "A headline about owls."


async def test_only_the_run_of_a_request_carries_it_out(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.policies.set("headline", people=1, **OPS)
    one = await asked(engine, two)
    other = await engine.app.start("agentflow.release", request=one.id, policy={})
    with pytest.raises(PromptError, match="is not the run of"):
        await engine.app.database.transact(requests.carry_out(one.id, other.id, {}, engine.clock.now()))
    assert await live(engine) == ("code", 1)


class Dying(CrashingDatabase):
    """A database whose user dies at the move that was agreed to."""

    async def transact(self, transaction: Transaction[T]) -> T:
        if getattr(transaction, "__name__", "") == "carry_out":
            self.arm(1)
        return await super().transact(transaction)


@pytest.mark.parametrize("mode", ["before", "after"])
async def test_a_worker_that_is_killed_between_the_yes_and_the_end_moves_once(engine: Engine, mode: Literal["before", "after"]) -> None:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.policies.set("headline", people=1, **OPS)
    one = await asked(engine, two)
    shown = await question(engine, one)
    dying: list[Dying] = []

    def wrap(database: Database) -> Database:
        dying.append(Dying(database, mode=mode))
        return dying[-1]

    await engine.stop()
    engine.wrap = wrap
    await engine.go_on()
    await engine.app.waitpoints.approve(shown.id, by="ann")
    await dying[0].crashed.wait()
    engine.wrap = lambda database: database
    await engine.crash()
    await engine.settle()
    done = await engine.app.prompts.requests.get(one.id)
    assert (done.state, await live(engine), (await told(engine)).count("released")) == ("released", ("pinned", 2), 1)
    assert loads((await engine.app.runs.get(one.run_id)).output or "")["rev"] == 2
