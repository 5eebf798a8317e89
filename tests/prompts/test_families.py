"""Which versions the runs of a family hold where some of them are not to hold what those above them do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import approve, prompt, task
from agentflow.errors import DefinitionError
from agentflow.prompts.prompt import Prompt
from agentflow.testing import Engine
from tests.prompts.saving import save


class Named(BaseModel):
    name: str


@pytest.fixture(autouse=True)
def hello() -> Prompt[Any]:
    """It is there before the engine opens, and lives as long as the test."""
    return prompt("family_greeting", vars=Named, text="Hello {{name}}.")


async def test_a_child_may_hold_what_is_live_and_so_do_the_runs_below_it(engine: Engine, hello: Prompt[Any]) -> None:
    @task(name="family_grandchild")
    async def grandchild() -> str:
        return (await hello.get(name="grandchild")).text

    @task(name="family_child")
    async def child() -> list[str]:
        return [await grandchild(), (await hello.get(name="child")).text]

    @task(name="family_parent")
    async def parent() -> list[str]:
        mine = (await hello.get(name="parent")).text
        await approve(title="Go on?", expires=None)
        return [mine, *await child.using(inherit_prompts=False)(), *await child(), (await hello.get(name="parent")).text]

    run = await engine.start(parent)
    [asked] = await engine.waiting(run)
    two = await save("family_greeting", engine, "Hi {{name}}!")
    await engine.app.prompts.release("family_greeting", to=two, actor="maria")
    await asked.approve(by="maria")
    apart, below = ["Hi grandchild!", "Hi child!"], ["Hello grandchild.", "Hello child."]
    assert await run.result() == ["Hello parent.", *apart, *below, "Hello parent."]
    [_, parted] = await engine.app.runs.list(task="family_child")
    await engine.app.prompts.rollback("family_greeting", actor="maria")
    assert await (await engine.app.prompts.replay(parted.id)).result() == apart
    with pytest.raises(DefinitionError, match="inherit_prompts='no'"):
        child.using(inherit_prompts="no")
