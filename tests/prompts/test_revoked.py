"""A version that was taken back is given to nobody any more, and who held it gets out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import prompt, task
from agentflow.errors import RunFailed, VersionRevoked
from agentflow.prompts.body import Body, Message
from agentflow.prompts.prompt import Prompt
from agentflow.testing import Engine


class Topic(BaseModel):
    topic: str


class Subject(BaseModel):
    subject: str


title: Prompt[Any] = prompt("revoked", vars=Topic, text="A title about {{topic}}.")
MARIA: Any = {"actor": "maria", "reason": "leaks"}


@pytest.fixture(autouse=True)
def deployed() -> None:
    """The code's version is v1: it is there before the engine opens."""
    global title
    title = prompt("revoked", vars=Topic, text="A title about {{topic}}.")


async def saved(engine: Engine, text: str) -> int:
    return (await engine.app.prompts.save("revoked", Body((Message("user", text),)), actor="maria")).number


async def said() -> str:
    return (await title.get(topic="owls")).text


@pytest.mark.parametrize("policy", ["pause", "fail"])
async def test_outside_of_runs_the_code_s_own_version_is_refused_once_it_is_revoked(engine: Engine, policy: str) -> None:
    await engine.app.prompts.revoke("revoked", 1, policy=policy, **MARIA)
    with pytest.raises(VersionRevoked, match="v1 of revoked is revoked"):
        await said()


async def test_code_that_cannot_fill_what_is_live_does_not_fall_back_to_a_revoked_version(engine: Engine) -> None:
    global title
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("revoked", to=two, **MARIA)
    title = prompt("revoked", vars=Subject, text="About {{subject}}.")
    await prompts.deploy("ci")
    four = (await prompts.save("revoked", Body((Message("user", "On {{subject}}."),)), actor="maria")).number

    @task(name="revoked_own")
    async def own() -> str:
        return (await title.get(subject="owls")).text

    assert await (await engine.start(own)).result() == "About owls."
    await prompts.revoke("revoked", 3, policy="fail", **MARIA)
    with pytest.raises(RunFailed, match="v3 of revoked is revoked"):
        await (await engine.start(own)).result()
    await prompts.revoke("revoked", 3, policy=f"repin:{four}", **MARIA)
    assert await (await engine.start(own)).result() == "On owls."
