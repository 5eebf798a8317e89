"""Guards of rollouts: the baseline takes all where another version does worse, by more than chance, and once."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest

from agentflow import prompt
from agentflow.database.port import Transaction, transaction
from agentflow.database.statements import make_statement
from agentflow.errors import PromptError, ReleaseRequested
from agentflow.prompts.prompt import Prompt
from agentflow.records import EntryKind, JournalEntry
from agentflow.serde import loads
from agentflow.storage import bindings, generations, releases
from agentflow.storage.bindings import BindingRecord, Move
from agentflow.storage.generations import Generated, Spoken
from agentflow.storage.prompts import PromptEvent
from agentflow.storage.releases import Target
from agentflow.storage.rollouts import Guard, Metric, Plan
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

ballad: Prompt[Any] = prompt("ballad", vars=Topic, text="A ballad about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "better"}
MILLI = 1_000
saved = partial(save, "ballad")


@pytest.fixture(autouse=True)
def deployed() -> None:
    global ballad
    ballad = prompt("ballad", vars=Topic, text="A ballad about {{topic}}.")


@transaction
def _put(made: list[Generated], now: int) -> Transaction[None]:
    for seq, one in enumerate(made):
        entry = JournalEntry(seq, EntryKind.RESULT, "model#0", None, None, "", 1, 1, now, now, 1)
        yield from generations.put(0, entry, one)


async def calls(engine: Engine, number: int, count: int, *, failed: int = 0, took: int = 900, spread: int = 200, cost: int = 50) -> None:
    """That many model calls by a version under the rollout that holds now, the first ones failed."""
    live, now = await held(engine), engine.clock.now()
    said = {"ref": "", "label": "live", "variant": f"v{number}", "rendered": "", "variables": "{}"}
    spoken = Spoken(prompt="ballad", hash="sha256:x", number=number, rollout=live.rollout, **said)
    made = [
        Generated(
            spoken=spoken,
            used={"cost": cost + at % 3},
            env="prod",
            began=now - (took + (at * 37) % spread) * MILLI,
            first_at=now - took * MILLI // 2,
            ended="failed" if at < failed else "answered",
            error="Overloaded" if at < failed else None,
        )
        for at in range(count)
    ]
    await engine.app.database.transact(_put(made, now))


async def held(engine: Engine) -> BindingRecord:
    live = (await engine.app.prompts.get("ballad")).live
    assert live is not None
    return live


async def breaches(engine: Engine) -> list[PromptEvent]:
    return [one for one in await engine.app.prompts.events("ballad") if one.type.startswith("guard.")]


async def minutes(engine: Engine, count: int = 2) -> None:
    await engine.settle()
    await engine.clock.advance(f"{count}m")
    await engine.settle()


async def guarded(engine: Engine, *guards: Guard, **terms: Any) -> int:
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.rollout("ballad", weights={1: 0.5, two: 0.5}, baseline=1, guard=guards, **{**terms, **MARIA})
    return two


async def test_a_version_that_fails_more_often_loses_to_the_baseline_once_and_says_why(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    two = await guarded(engine, Guard("error_rate", max_increase=0.02, min_calls=200))
    await calls(engine, 1, 300, failed=6)
    await calls(engine, two, 199, failed=60)
    await minutes(engine)
    assert (await held(engine)).mode == "rollout"
    with caplog.at_level(logging.WARNING, "agentflow.prompts"):
        await calls(engine, two, 1)
        await minutes(engine, 5)
    now = await held(engine)
    assert (now.mode, now.number, now.rev) == ("pinned", 1, 3)
    [event] = await breaches(engine)
    assert (event.type, event.actor, "error_rate of v2 is 0.3 in 200 calls" in event.reason) == ("guard.paused", "system:guard", True)
    figures = loads(event.after or "")["guard"]
    told = {name: figures[name] for name in ("version", "baseline", "value", "against", "calls", "baseline_calls")}
    assert told == {"version": 2, "baseline": 1, "value": 0.3, "against": 0.02, "calls": 200, "baseline_calls": 300}
    assert figures["sure"] > 3
    assert [record.getMessage() for record in caplog.records if "v1 takes all" in record.getMessage()] != []
    # People may go back to it, if they will: it begins anew, and the guard looks anew, and takes it back again.
    assert (await engine.app.prompts.rollback("ballad", **MARIA)).mode == "rollout"
    await minutes(engine)
    assert (await held(engine)).mode == "rollout"
    await calls(engine, 1, 200)
    await calls(engine, two, 200, failed=60)
    await minutes(engine)
    assert ((await held(engine)).mode, len(await breaches(engine))) == ("pinned", 2)


async def test_what_is_larger_by_chance_or_by_what_is_allowed_is_no_breach(engine: Engine) -> None:
    two = await guarded(engine, Guard("error_rate", max_increase=0.02), Guard("latency", max_increase=0.2), Guard("cost", max_increase=0.2))
    await calls(engine, 1, 250, failed=5, cost=50)
    await calls(engine, two, 250, failed=12, took=1_000, cost=55)
    await minutes(engine)
    # 4.8 % against 2 % is 1.7 standard errors; a tenth more of time and of cost is certain, and allowed.
    assert ((await held(engine)).mode, await breaches(engine)) == ("rollout", [])


async def test_slower_dearer_and_later_first_tokens_are_breaches_and_what_held_before_holds_again(engine: Engine) -> None:
    before = await saved(engine, "Before {{topic}}")
    worse: list[tuple[Metric, dict[str, int]]] = [("latency", {"took": 1_500}), ("first_token", {"took": 1_500}), ("cost", {"cost": 80})]
    for metric, more in worse:
        await engine.app.prompts.release("ballad", to=before, **MARIA)
        two = await guarded(engine, Guard(metric, max_increase=0.2, min_calls=20, on_breach="rollback"))
        await calls(engine, 1, 60)
        await calls(engine, two, 60, **more)
        await minutes(engine)
        assert ((await held(engine)).mode, (await held(engine)).number) == ("pinned", before), metric
    assert [one.type for one in await breaches(engine)] == ["guard.rolled.back"] * 3


async def test_only_what_was_said_since_the_last_step_of_a_ramp_counts_and_other_rollouts_do_not(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    ramp: Any = [("0h", 0.05), ("1h", 0.5)]
    guard = Guard("error_rate", max_increase=0.02, min_calls=50)
    await engine.app.prompts.rollout("ballad", weights={two: 1}, baseline=1, ramp=ramp, guard=guard, **MARIA)
    await calls(engine, 1, 49)
    await calls(engine, two, 400, failed=200)
    await engine.clock.advance("1h")
    await calls(engine, 1, 60)
    await calls(engine, two, 49, failed=40)
    await minutes(engine)
    assert (await held(engine)).mode == "rollout"
    await calls(engine, two, 1, failed=1)
    await engine.crash()
    await minutes(engine)
    assert ((await held(engine)).mode, len(await breaches(engine))) == ("pinned", 1)


async def test_a_guard_asks_no_policy_and_people_who_roll_out_do(engine: Engine) -> None:
    two = await guarded(engine, Guard("cost", max_increase=0.1, min_calls=20))
    await engine.app.prompts.policies.set("ballad", people=2, actor="ops")
    await engine.app.prompts.protect("ballad", actor="ops")
    await calls(engine, 1, 30)
    await calls(engine, two, 30, cost=90)
    await minutes(engine)
    assert ((await held(engine)).mode, (await held(engine)).number) == ("pinned", 1)
    with pytest.raises(ReleaseRequested):
        await guarded(engine, Guard("cost"))


# PostgreSQL takes no row that is so odd.
@pytest.mark.parametrize("engine_database", [None], ids=["sqlite"])
async def test_a_rollout_that_cannot_be_looked_at_stops_no_guard_of_another(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    two = await guarded(engine, Guard("cost", min_calls=20))
    other = await engine.app.prompts.rollout("ballad", weights={1: 0.5, two: 0.5}, baseline=1, guard=Guard("cost"), label="beta", **MARIA)
    await calls(engine, 1, 30)
    await calls(engine, two, 30, cost=90)
    # It is looked at before that of the label live.
    damage = f"UPDATE prompt_rollouts SET created_at = 'odd' WHERE id = '{other.rollout}' RETURNING id"
    await engine.app.database.execute(make_statement("tests/odd", {"sqlite": damage, "postgres": damage})())
    await minutes(engine)
    live = next(one for one in await engine.app.database.read(bindings.of_prompt("ballad")) if one.label == "live")
    assert (live.mode, live.number) == ("pinned", 1)
    assert "The guards of ballad under beta in prod broke off" in caplog.text


async def test_a_guard_begins_within_minutes_where_no_signal_came(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    await minutes(engine)
    # Another process says that it begins, and its word is lost.
    plan = Plan(weights={1: 0.5, two: 0.5}, baseline=1, guards=(Guard("cost", min_calls=20),))
    how = Move(prompt="ballad", env="prod", actor="maria")
    await engine.app.database.transact(releases.move(how, Target(mode="rollout", plan=plan), engine.clock.now()))
    await calls(engine, 1, 30)
    await calls(engine, two, 30, cost=90)
    await minutes(engine, 6)
    assert ((await held(engine)).mode, (await held(engine)).number) == ("pinned", 1)


def test_guards_that_cannot_be_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"metric": "speed"}, {"metric": "cost", "on_breach": "cry"}, {"metric": "cost", "max_increase": -1}]
    wrong.append({"metric": "cost", "min_calls": 1})
    for one in wrong:
        with pytest.raises(PromptError):
            Guard(**one)
