"""What is live is moved by people, without a deploy: once each, with a name, and back again."""

from __future__ import annotations

import asyncio
from functools import partial
from time import perf_counter
from typing import Any

import pytest

from agentflow import approve, prompt, task
from agentflow.database.port import DIALECTS
from agentflow.database.statements import make_statement
from agentflow.engine.context import context
from agentflow.errors import (
    BindingConflict,
    BindingProtected,
    ContractError,
    PromptError,
    PromptNotFound,
    RunFailed,
    VersionNotFound,
    VersionRevoked,
)
from agentflow.prompts.prompt import Prompt
from agentflow.records import RunState
from agentflow.serde import decode_failure, loads
from agentflow.storage.policy import NotEligible
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

LEFT = make_statement("left", dict.fromkeys(DIALECTS, "SELECT run FROM requesters"))
title: Prompt[Any] = prompt("title", vars=Topic, text="A title about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "better"}


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global title
    title = prompt("title", vars=Topic, text="A title about {{topic}}.")


saved = partial(save, "title")


async def said() -> str:
    return (await title.get(topic="owls")).text


async def test_the_same_content_is_the_same_version(engine: Engine) -> None:
    first = await saved(engine, "Owls: {{topic}}")
    assert await saved(engine, "Owls: {{topic}}") == first == 2
    record = await engine.app.prompts.version("title", 2)
    assert (await engine.app.prompts.version("title", record.hash)).number == 2
    assert [one.number for one in await engine.app.prompts.versions("title")] == [2, 1]
    assert record.note == "try"
    with pytest.raises(VersionNotFound):
        await engine.app.prompts.version("title", 7)
    with pytest.raises(PromptNotFound):
        await engine.app.prompts.get("nothing")


async def test_a_body_that_uses_what_code_does_not_give_is_not_saved(engine: Engine) -> None:
    with pytest.raises(ContractError, match="no variable tpoic"):
        await saved(engine, "{{tpoic}}")
    assert len(await engine.app.prompts.versions("title")) == 1


async def test_release_rollback_and_following_the_code_again(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("title", to=two, **MARIA)
    await prompts.release("title", to=three, **MARIA)
    assert await said() == "Three owls"
    await prompts.rollback("title", **MARIA)
    assert await said() == "Two owls"
    await prompts.rollback("title", **MARIA)
    assert await said() == "A title about owls."
    with pytest.raises(PromptError, match="no earlier state"):
        await prompts.rollback("title", **MARIA)
    await prompts.release("title", to=two, **MARIA)
    live = await prompts.follow_code("title", **MARIA)
    assert (live.mode, live.number) == ("code", 1)
    assert await said() == "A title about owls."


async def test_a_release_ends_by_itself(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.release("title", to=two, expires="2h", **MARIA)
    assert await said() == "Two owls"
    await engine.clock.advance("2h")
    assert await said() == "A title about owls."
    [record] = [one for one in await engine.app.prompts.list() if one.name == "title"]
    assert record.live is not None
    assert record.live.mode == "code"


async def test_going_back_after_a_release_has_ended_by_itself_goes_back_or_says_that_it_does_not(engine: Engine) -> None:
    global title
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("title", to=two, expires="2h", **MARIA)
    await prompts.release("title", to=three, expires="4h", **MARIA)
    await engine.clock.advance("3h")
    with pytest.raises(PromptError, match="v2 of title has ended by itself"):
        await prompts.rollback("title", **MARIA)
    assert await said() == "Three owls"
    await engine.clock.advance("3h")
    rev = (await prompts.release("title", to=two, expires="2h", **MARIA)).rev
    await engine.clock.advance("3h")
    with pytest.raises(PromptError, match="v2 of title has ended by itself"):
        await prompts.rollback("title", **MARIA)
    live = (await prompts.get("title")).live
    assert live is not None
    assert live.rev == rev
    title = prompt("title", vars=Topic, text="Code has {{topic}} now.")
    await prompts.deploy("ci")
    assert await said() == "Code has owls now."
    assert (await prompts.rollback("title", **MARIA)).number == 1
    assert await said() == "A title about owls."


async def test_going_back_from_a_release_that_has_ended_by_itself_restores_what_was_released_before(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("title", to=two, **MARIA)
    await prompts.release("title", to=three, expires="2h", **MARIA)
    await engine.clock.advance("3h")
    assert await said() == "A title about owls."
    await prompts.rollback("title", **MARIA)
    assert await said() == "Two owls"


async def test_who_moves_what_was_moved_meanwhile_is_told_how_it_is_now(engine: Engine) -> None:
    prompts = engine.app.prompts
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    rev = (await prompts.release("title", to=two, **MARIA)).rev
    moves = [prompts.release("title", to=number, expect_rev=rev, **MARIA) for number in (two, three)]
    ended = await asyncio.gather(*moves, return_exceptions=True)
    [lost] = [one for one in ended if isinstance(one, BaseException)]
    assert isinstance(lost, BindingConflict)
    assert lost.details["binding"]["rev"] == rev + 1


async def test_every_move_says_who_from_what_to_what_and_why(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("title", to=two, actor="maria", reason="cites the policy")
    await prompts.rollback("title", actor="jo", reason="complaints")
    events = await prompts.events("title")
    assert [one.type for one in events] == ["version.created", "deployed", "version.created", "released", "rolled.back"]
    released = events[3]
    assert (released.actor, released.reason, released.env, released.label) == ("maria", "cites the policy", "prod", "live")
    assert (loads(released.before or "")["number"], loads(released.after or "")["number"]) == (1, 2)
    assert [one.seq for one in await prompts.events("title", after=4)] == [5]
    assert await prompts.events("title", "dev") == []


async def test_environments_and_labels_are_apart(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("title", to=two, env="dev", **MARIA)
    await prompts.release("title", to=two, label="canary", **MARIA)
    assert await said() == "A title about owls."
    assert (await title.get(topic="owls", label="canary")).text == "Two owls"
    assert (await title.get(topic="owls", label="unbound")).text == "A title about owls."
    assert {(one.env, one.label) for one in (await prompts.get("title")).bindings} == {
        ("prod", "live"),
        ("prod", "canary"),
        ("dev", "live"),
    }


async def test_a_rollout_gives_each_key_one_version_by_the_weights(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.rollout("title", weights={1: 0.5, two: 0.5}, sticky="key", **MARIA)

    async def given(key: str) -> str | None:
        return (await title.get(topic="owls", sticky=key)).variant

    chosen = [await given(f"tenant-{count}") for count in range(40)]
    assert chosen == [await given(f"tenant-{count}") for count in range(40)]
    assert 8 <= chosen.count("v1") <= 32
    assert set(chosen) == {"v1", "v2"}
    with pytest.raises(PromptError, match="no weights"):
        await prompts.rollout("title", weights={1: -1.0}, **MARIA)
    with pytest.raises(VersionNotFound):
        await prompts.rollout("title", weights={9: 1.0}, **MARIA)


async def test_a_protected_binding_is_moved_by_those_who_may(engine: Engine) -> None:
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.protect("title", **MARIA)
    with pytest.raises(BindingProtected):
        await prompts.release("title", to=two, allowed=False, **MARIA)
    await prompts.release("title", to=two, **MARIA)
    assert await said() == "Two owls"


async def test_a_snapshot_changes_its_tag_when_something_is_moved(engine: Engine) -> None:
    prompts = engine.app.prompts
    before = await prompts.snapshot()
    assert (await prompts.snapshot()).etag == before.etag
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("title", to=two, **MARIA)
    after = await prompts.snapshot()
    assert after.etag != before.etag
    assert two in [one.number for one in after.versions if one.prompt == "title"]


@task(name="release_waits")
async def waits() -> list[str]:
    first = await said()
    await approve(title="Go on?", expires=None)
    return [first, await said()]


async def test_the_runs_of_a_thread_hold_one_version_until_it_is_upgraded(engine: Engine) -> None:
    from agentflow.prompts.pinning import Choosing, version_for

    @task(name="release_thread")
    async def turn() -> str:
        assert context().thread is not None
        values = {"topic": "owls"}
        return (await version_for(title.wanted(values, None, Choosing(pin="thread")))).fill(values).text

    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")

    async def next_turn() -> str:
        return await (await engine.start(turn.using(thread="t-pins"))).result()

    assert await next_turn() == "A title about owls."
    await prompts.release("title", to=two, **MARIA)
    assert await next_turn() == "A title about owls."
    assert await prompts.upgrade("t-pins", "title", actor="maria")
    assert await next_turn() == "Two owls"
    assert not await prompts.upgrade("t-other", "title", actor="maria")


async def test_runs_that_hold_a_version_are_found_and_moved_by_hand(engine: Engine) -> None:
    prompts = engine.app.prompts
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    assert [(one.run_id, one.number, one.state) for one in await prompts.pins("title")] == [(run.id, 1, "waiting")]
    assert await prompts.pins("title", 2) == []
    await prompts.repin(run.id, "title", to=two, actor="maria", reason="v1 is rude")
    await asked.approve(by="maria")
    assert await run.result() == ["A title about owls.", "Two owls"]
    entries = [one for one in await engine.app.runs.journal(run.id) if one.key.startswith("prompt:")]
    assert [loads(one.value or "")["number"] for one in entries] == [1, 2]
    assert loads(entries[1].value or "")["reason"] == "moved by maria"
    assert await prompts.pins("title") == []


async def test_a_run_that_was_moved_by_hand_stays_moved_through_a_crash(engine: Engine) -> None:
    @task(name="release_waits_twice")
    async def twice() -> list[str]:
        found = [await said()]
        for _ in range(2):
            await approve(title="Go on?", expires=None)
            found.append(await said())
        return found

    run = await engine.start(twice)
    [asked] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.repin(run.id, "title", to=two, actor="maria")
    await asked.approve(by="maria")
    [asked] = await engine.waiting(run)
    await engine.crash()
    await asked.approve(by="maria")
    assert (await run.result())[2] == "Two owls"


async def test_a_sleeping_run_goes_on_with_the_version_that_a_revoked_one_names(engine: Engine) -> None:
    prompts = engine.app.prompts
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    await prompts.revoke("title", 1, policy=f"repin:{two}", actor="maria", reason="leaks")
    await asked.approve(by="maria")
    assert await run.result() == ["A title about owls.", "Two owls"]
    assert (await title.get(topic="owls")).text == "Two owls"
    with pytest.raises(PromptError, match="is revoked"):
        await prompts.release("title", to=1, **MARIA)


async def test_a_revoked_version_pauses_a_run_until_it_is_moved(engine: Engine) -> None:
    prompts = engine.app.prompts
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    two = await saved(engine, "Two {{topic}}")
    await prompts.revoke("title", 1, policy="pause", actor="maria")
    await asked.approve(by="maria")
    paused = await engine.until(run, RunState.PAUSED)
    assert decode_failure(paused.error or "").code == "version_revoked"
    await prompts.repin(run.id, "title", to=two, actor="maria")
    await engine.app.runs.resume(run.id)
    assert (await run.result())[1] == "Two owls"


async def test_a_revoked_version_fails_a_run(engine: Engine) -> None:
    prompts = engine.app.prompts
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    with pytest.raises(PromptError, match="no policy"):
        await prompts.revoke("title", 1, policy="perhaps", actor="maria")
    await prompts.revoke("title", 1, policy="fail", actor="maria")
    await asked.approve(by="maria")
    with pytest.raises((VersionRevoked, RunFailed), match="revoked"):
        await run.result()


async def test_what_was_deleted_with_a_run_holds_nothing(engine: Engine) -> None:
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    await asked.approve(by="maria")
    await run.result()
    await engine.app.runs.delete(run.id)
    assert await engine.app.prompts.pins("title") == []


async def test_a_run_is_tried_again_by_the_versions_that_it_held_by_others_or_by_what_is_live(engine: Engine) -> None:
    @task(name="release_replayed")
    async def written(topic: str) -> str:
        return (await title.get(topic=topic)).text

    prompts = engine.app.prompts
    run = await engine.start(written, "owls")
    assert await run.result() == "A title about owls."
    two, three = await saved(engine, "Two {{topic}}"), await saved(engine, "Three {{topic}}")
    await prompts.release("title", to=three, **MARIA)
    assert await (await prompts.replay(run.id)).result() == "A title about owls."
    assert await (await prompts.replay(run.id, prompts={"title": two})).result() == "Two owls"
    assert await (await prompts.replay(run.id, prompts="current")).result() == "Three owls"
    with pytest.raises(VersionNotFound):
        await prompts.replay(run.id, prompts={"title": 9})


async def test_who_asked_for_a_run_does_not_decide_about_what_its_repetition_asks(engine: Engine) -> None:
    @task(name="release_approved")
    async def approved() -> str | None:
        return (await approve("Pay?", exclude_requester=True)).by

    run = await engine.start(approved.using(started_by="maria"))
    [asked] = await engine.waiting(run)
    await asked.approve(by="otto")
    assert await run.result() == "otto"
    again = await engine.app.prompts.replay(run.id, by="ana")
    # Nobody says who: what was known stays known, also of one that repeats a repetition.
    last = await engine.app.prompts.replay(again.id)
    for one, barred in ((again, ("maria", "ana")), (last, ("maria", "ana"))):
        [asked] = await engine.waiting(one)
        for name in barred:
            with pytest.raises(NotEligible):
                await asked.approve(by=name)
        await asked.approve(by="otto")
        assert await one.result() == "otto"
        await engine.app.runs.delete(one.id)
    assert await engine.app.database.execute(LEFT()) == []


async def test_after_the_first_time_a_run_gets_its_prompt_without_asking_anybody(engine: Engine) -> None:
    @task(name="release_often")
    async def often() -> float:
        await title.get(topic="owls")
        began = perf_counter()
        for _ in range(200):
            await title.get(topic="owls")
        return (perf_counter() - began) / 200

    took = [await (await engine.start(often)).result() for _ in range(3)]
    # Rendered each time, on a machine that may be busy; the database would take ten times as long.
    assert min(took) < 0.0005
