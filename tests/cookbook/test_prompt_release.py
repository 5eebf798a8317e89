"""A prompt that is released while a run sleeps, and taken back."""

from __future__ import annotations

from agentflow.testing import Engine
from cookbook.prompt_release import greet, release, warmer, welcome

OLD, NEW = "Welcome Ada.", "Welcome Ada, warmly, and name the time of breakfast."


async def test_who_began_with_a_version_ends_with_it_and_a_rollback_restores(engine: Engine) -> None:
    first = await engine.start(greet, "Ada", "14d")
    await engine.waiting(first)
    number = await release(engine.app)
    assert (await engine.app.prompts.version("welcome", number)).hash == warmer.hash
    second = await engine.start(greet, "Ada", "14d")
    await engine.waiting(second)
    await engine.crash()
    await engine.app.prompts.rollback("welcome", actor="maria")
    third = await engine.start(greet, "Ada", "14d")
    await engine.waiting(third)
    await engine.clock.advance("14d")
    assert [await one.result() for one in (first, second, third)] == [[OLD, OLD], [NEW, NEW], [OLD, OLD]]
    told = await engine.app.prompts.events("welcome")
    assert [one.reason for one in told if one.type == "released"] == ["guests asked for breakfast"]


def test_the_prompt_is_tested_without_a_run() -> None:
    assert welcome.fill(name="{{name}}").conversation == [{"role": "user", "content": "Welcome {{name}}."}]
