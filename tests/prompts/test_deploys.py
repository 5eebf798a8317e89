"""Code that is deployed: what it moves, what it leaves alone, and in which environment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import Agentflow, approve, prompt, system, task
from agentflow.app.prompts import Prompts
from agentflow.cli.dev import as_development
from agentflow.cli.loading import Loaded
from agentflow.errors import ContractError
from agentflow.prompts.contract import Untrusted
from agentflow.prompts.prompt import Prompt
from agentflow.prompts.registry import known
from agentflow.settings import Settings
from agentflow.testing import Engine
from tests.prompts.saving import Topic, save

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


@task(name="deploy_waits")
async def waits() -> list[str]:
    first = await said()
    await approve(title="Go on?", expires=None)
    return [first, await said()]


async def test_a_deploy_moves_what_follows_the_code_and_leaves_what_was_released(engine: Engine) -> None:
    global title
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("title", to=two, **MARIA)
    title = prompt("title", vars=Topic, text="Code has {{topic}} now.")
    [behind] = [one for one in await prompts.deploy("ci") if one.prompt == "title"]
    assert (behind.number, behind.code) == (two, 3)
    record = await prompts.get("title")
    assert record.code_ahead
    assert record.code_hash == title.body.hash
    assert await said() == "Two owls"
    await prompts.follow_code("title", **MARIA)
    assert await said() == "Code has owls now."
    title = prompt("title", vars=Topic, text="And now {{topic}}.")
    await prompts.deploy("ci")
    await prompts.rollback("title", **MARIA)
    assert await said() == "Code has owls now."


async def test_a_deploy_moves_every_label_that_follows_the_code(engine: Engine) -> None:
    global title
    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    for label in ("canary", "beta"):
        await prompts.release("title", to=two, label=label, **MARIA)
    await prompts.follow_code("title", label="canary", **MARIA)
    title = prompt("title", vars=Topic, text="Code has {{topic}} now.")
    assert [one.prompt for one in await prompts.deploy("ci")] == [], "what is live follows the code"
    held = {one.label: (one.number, one.code) for one in (await prompts.get("title")).bindings}
    assert held == {"live": (3, 3), "canary": (3, 3), "beta": (two, 3)}
    told = [(one.type, one.label) for one in (await prompts.events("title"))[-3:]]
    assert sorted(told) == [("code.ahead", "beta"), ("deployed", "canary"), ("deployed", "live")]


async def test_a_deploy_tells_of_what_is_live_and_its_code_cannot_fill(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    global title

    class Subject(BaseModel):
        subject: str

    prompts = engine.app.prompts
    two = await saved(engine, "Two {{topic}}")
    await prompts.release("title", to=two, **MARIA)
    assert await prompts.conflicts() == []
    title = prompt("title", vars=Subject, text="About {{subject}}.")
    await prompts.deploy("ci")
    [(name, number, problem)] = await prompts.conflicts()
    assert (name, number) == ("title", two)
    assert "no variable topic" in problem
    assert "the code cannot fill v2" in caplog.text
    assert (await title.get(subject="owls")).text == "About owls."
    with pytest.raises(ContractError, match="v2 of title"):
        await prompts.release("title", to=two, **MARIA)


async def started(*_: Any) -> Any:
    raise AssertionError("nothing is started")


async def test_each_environment_has_the_contract_of_the_code_deployed_there(engine: Engine) -> None:
    global title

    class Outside(BaseModel):
        quote: Untrusted[str]

    app, prod = engine.app, engine.app.prompts
    dev = Prompts(app.database, app.clock, "dev", started, app.runs.ended)
    title = prompt("title", vars=Outside, messages=[system("Cite {{quote}}")], trusting=True)
    await dev.deploy("ci")
    two = await saved(engine, "Two {{topic}}")
    with pytest.raises(ContractError, match="no variable quote"):
        await prod.release("title", to=title.body.hash, **MARIA)
    # What code has says whether it trusts, not the process that is asked: this one has no code for the prompt.
    del known["title"]
    assert (await prod.release("title", to=title.body.hash, env="dev", **MARIA)).env == "dev"
    with pytest.raises(ContractError, match="no variable topic"):
        await prod.release("title", to=two, env="dev", **MARIA)
    shown = {env: await prod.get("title", env) for env in ("prod", "dev", "staging")}
    assert {env: list(one.contract["properties"]) for env, one in shown.items()} == {
        "prod": ["topic"],
        "dev": ["quote"],
        "staging": ["quote"],
    }
    assert {env: one.trusting for env, one in shown.items()} == {"prod": False, "dev": True, "staging": True}
    assert [one.contract for one in await prod.list("prod") if one.name == "title"] == [shown["prod"].contract]


async def test_the_environment_is_what_the_app_or_its_surroundings_say(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Agentflow().environment == "prod"
    assert Agentflow().configure(environment="staging").environment == "staging"
    monkeypatch.setenv("AGENTFLOW_ENVIRONMENT", "dev")
    assert Agentflow().environment == "dev"
    two = await saved(engine, "Two {{topic}}")
    await engine.app.prompts.release("title", to=two, env="dev", **MARIA)
    run = await engine.start(waits)
    [asked] = await engine.waiting(run)
    await engine.stop()
    await engine.go_on()
    assert engine.app.environment == "dev"
    assert await said() == "Two owls"
    await engine.app.waitpoints.approve(asked.id, by="maria")
    assert (await run.result())[1] == "A title about owls."


def test_agentflow_dev_is_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for environment, expected in ((None, "dev"), ("staging", "staging")):
        loaded = Loaded(Agentflow().configure(environment=environment), "app.py", made=True)
        as_development(Settings(environment=environment), loaded)
        assert loaded.app.environment == expected


async def test_a_start_that_changes_nothing_writes_nothing(engine: Engine) -> None:
    prompts = engine.app.prompts
    before = await prompts.events("title")
    await engine.crash()
    assert await engine.app.prompts.events("title") == before
