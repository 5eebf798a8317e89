"""Rollouts for some only, and rollouts that grow by themselves: by the clock alone, and nobody is moved back."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from agentflow import prompt, sleep, task
from agentflow.errors import ContractError, PromptError
from agentflow.prompts.prompt import Prompt
from agentflow.storage.rollouts import Guard, Plan
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

slogan: Prompt[Any] = prompt("slogan", vars=Topic, text="A slogan about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "better"}
KEYS = [f"tenant-{number}" for number in range(60)]
HOUR = 3_600_000_000
saved = partial(save, "slogan")


@pytest.fixture(autouse=True)
def deployed() -> None:
    global slogan
    slogan = prompt("slogan", vars=Topic, text="A slogan about {{topic}}.")


async def holding(sticky: str, topic: str = "owls") -> int | None:
    return (await slogan.get(topic=topic, sticky=sticky)).number


@task(name="ramp_asks")
async def asks(topic: str) -> str:
    return (await slogan.get(topic=topic)).ref.partition("#")[0]


@task(name="ramp_sleeps")
async def sleeps() -> list[int | None]:
    first = await slogan.get(topic="owls")
    await sleep("2d")
    return [first.number, (await slogan.get(topic="owls")).number]


async def test_a_ramp_grows_by_the_clock_moves_nobody_back_and_leaves_pins_alone(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    ramp: Any = [("0h", 0.05), ("1h", 0.25), ("1d", 1)]
    begun = await engine.app.prompts.rollout("slogan", weights={two: 1}, baseline=1, ramp=ramp, sticky="key", **MARIA)
    assert (begun.number, begun.weights) == (1, {1: 0.95, 2: 0.05})
    before = await engine.app.prompts.snapshot()
    assert {one.number for one in before.versions if one.prompt == "slogan"} == {1, two}
    run = await engine.start(sleeps.using(concurrency_key=KEYS[0]))
    held = await holding(KEYS[0])
    shares, moved = list[float](), set[str]()
    for step in ("0s", "59m", "2m", "22h", "2h"):
        await engine.clock.advance(step)
        now = {key for key in KEYS if await holding(key) == two}
        assert moved <= now
        moved = now
        live = (await engine.app.prompts.get("slogan")).live
        assert live is not None
        shares.append(live.weights[two])
    assert (await engine.app.prompts.snapshot()).etag != before.etag
    assert (shares, len(moved)) == ([0.05, 0.05, 0.25, 0.25, 1.0], 60)
    await engine.clock.advance("2d")
    assert await run.result() == [held, held] == [1, 1]


async def test_going_back_to_a_ramp_begins_it_anew_for_the_same_keys(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    ramp: Any = [("0h", 0.25), ("1d", 1)]
    begun = await engine.app.prompts.rollout("slogan", weights={two: 1}, baseline=1, ramp=ramp, sticky="key", **MARIA)
    first = {key for key in KEYS if await holding(key) == two}
    await engine.app.prompts.release("slogan", to=1, **MARIA)
    await engine.clock.advance("3d")
    again = await engine.app.prompts.rollback("slogan", **MARIA)
    assert (again.mode, again.weights, again.rollout != begun.rollout) == ("rollout", {1: 0.75, two: 0.25}, True)
    assert {key for key in KEYS if await holding(key) == two} == first
    await engine.clock.advance("1d")
    assert {await holding(key) for key in KEYS} == {two}


async def test_only_those_who_meet_the_conditions_take_part(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    only: Any = {"tags": ["beta", "staff"], "tasks": ["ramp_asks"], "variables": {"topic": ["owls", "cats"]}}
    await engine.app.prompts.rollout("slogan", weights={two: 1}, baseline=1, conditions=only, **MARIA)
    said = [
        await (await engine.start(asks.using(tags=tags), topic)).result()
        for tags, topic in ((["beta", "vip"], "owls"), (["beta"], "dogs"), (["vip"], "owls"), ([], "cats"), (["staff"], "cats"))
    ]
    assert said == ["slogan@v2", "slogan@v1", "slogan@v1", "slogan@v1", "slogan@v2"]
    outside = await slogan.get(topic="owls")
    assert (outside.number, outside.variant) == (1, None)
    keys: Any = {"keys": ["tenant-7"]}
    await engine.app.prompts.rollout("slogan", weights={1: 0, two: 1}, baseline=1, conditions=keys, **MARIA)
    assert [await holding("tenant-7"), await holding("tenant-8")] == [2, 1]


async def test_rollouts_that_cannot_be_are_refused_and_change_nothing(engine: Engine) -> None:
    two = await saved(engine, "Two {{topic}}")
    rollout = partial(engine.app.prompts.rollout, "slogan", weights={two: 1}, **MARIA)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("no baseline", {"ramp": [("0h", 1)]}),
        ("no weight", {"weights": {1: 1, two: 1}, "baseline": 1, "ramp": [("0h", 1)]}),
        ("no ramp", {"baseline": 1, "ramp": [("0h", 0.5), ("1h", 0.2)]}),
        ("no ramp", {"baseline": 1, "ramp": [("2h", 0.5), ("1h", 0.7)]}),
        ("no condition 'colour'", {"baseline": 1, "conditions": {"colour": ["red"]}}),
        ("names nothing", {"baseline": 1, "conditions": {"tags": "beta"}}),
        ("names nothing", {"baseline": 1, "conditions": {"tags": []}}),
        ("names nothing", {"baseline": 1, "conditions": {"tags": [5]}}),
        ("names nothing", {"baseline": 1, "conditions": {"keys": 5}}),
        ("names nothing", {"baseline": 1, "conditions": {"variables": {"topic": True}}}),
        ("names nothing", {"baseline": 1, "conditions": {"variables": ["topic"]}}),
        ("can never speak", {"baseline": 1, "guard": Guard("cost")}),
        ("can never speak", {"baseline": 1, "guard": Guard("cost"), "conditions": {"tags": ["beta"]}}),
        ("can never speak", {"baseline": 1, "guard": Guard("cost"), "ramp": [("0h", 1)]}),
        ("can never speak", {"weights": {1: 0, two: 1}, "baseline": 1, "guard": Guard("cost")}),
        ("is no version", {"weights": {10**30: 1}}),
        ("is no version", {"baseline": -1}),
        ("is no version", {"baseline": 10**9}),
    ]
    for message, options in wrong:
        with pytest.raises(PromptError, match=message):
            await rollout(**options)
    with pytest.raises(ContractError, match="no variable plan"):
        await rollout(baseline=1, conditions={"variables": {"plan": ["pro"]}})
    with pytest.raises(PromptError, match="no version v9"):
        await rollout(baseline=9)
    live = (await engine.app.prompts.get("slogan")).live
    assert live is not None
    assert (live.mode, live.rev) == ("code", 1)


def test_two_versions_share_what_the_ramp_gives_them() -> None:
    plan = Plan(weights={5: 3, 6: 1}, baseline=3, ramp=((HOUR, 0.4),))
    assert plan.at(0) == {3: 1, 5: 0, 6: 0}
    assert {number: round(share, 9) for number, share in plan.at(HOUR).items()} == {3: 0.6, 5: 0.3, 6: 0.1}
    assert Plan.read(plan.told) == plan
