"""A prompt that two people release, and one that grows by itself."""

from __future__ import annotations

from agentflow.testing import Engine
from cookbook.prompt_rollout import ask_for, evaluate_thanks, govern, ramp_up, shorter, thank, warmer

OLD, NEW, SHORT = "Thank for tea.", "Thank for tea, warmly, in one line.", "Thank for tea in five words."


async def said(engine: Engine, *tags: str) -> str:
    return await (await engine.start(thank.using(tags=tags), "tea")).result()


async def test_two_people_release_it_and_the_next_version_grows_among_beta_customers(engine: Engine) -> None:
    await govern(engine.app)
    waitpoint = await ask_for(engine.app, warmer)
    await engine.settle()
    assert await said(engine) == OLD
    assert engine.calls(evaluate_thanks) == 1
    for name in ("ann", "tom"):
        await engine.app.waitpoints.approve(waitpoint, by=name)
    await engine.settle()
    assert await said(engine) == NEW
    await engine.app.prompts.policies.set("thanks", actor="ops")
    await ramp_up(engine.app, shorter, baseline=2)
    await engine.clock.advance("1d")
    assert [await said(engine), await said(engine, "beta")] == [NEW, SHORT]
