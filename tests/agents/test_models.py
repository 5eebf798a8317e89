"""Models of an agent: several of which one answers, switched by name, limited, set, and told of what was said in other words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.capabilities import ModelFallback, ProcessHistory
from pydantic_ai.exceptions import ModelHTTPError, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from agentflow import Agent, Retry, task
from agentflow.agents.durability import Durability
from agentflow.errors import RunFailed
from agentflow.streams.events import TextDelta, Usage
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text
from tests.agents.crashing import survived
from tests.agents.memory import Journal, MemoryRun

ONCE = Retry(attempts=1)


def refusing() -> ScriptedModel:
    return Named("refusing", ModelHTTPError(503, "refusing"), ModelHTTPError(503, "refusing"), [text("never")])


class Named(ScriptedModel):
    """A scripted model with a name of its own."""

    def __init__(self, name: str, *turns: Any) -> None:
        super().__init__(turns, None, 8)
        self._model_name = name

    @property
    def model_id(self) -> str:
        return f"scripted:{self._model_name}"


async def test_the_model_that_answered_is_in_the_usage_and_in_the_record(engine: Engine) -> None:
    first, second = refusing(), Named("second", [text("hello")])
    run = await engine.start(Agent("falling", model=[first, second], model_retry=ONCE), "go")
    assert await run.result() == "hello"
    events = [stored.event for stored in await engine.events(run)]
    assert [event.model for event in events if isinstance(event, Usage)] == ["second"]
    assert "".join(event.delta for event in events if isinstance(event, TextDelta)) == "hello"
    [record] = await engine.app.runs.journal(run.id)
    assert '"model_name":"second"' in (record.value or "")
    assert not (await engine.replay(run)).diverges


async def test_models_that_all_fail_are_tried_again_together() -> None:
    first, second = refusing(), Named("second", ModelHTTPError(503, "second"), [text("hello")])
    run = MemoryRun(Journal())
    assert await run.drive(lambda: Agent("stubborn", model=[first, second]).plain("go")) == "hello"
    assert len(run.delays) == 1


async def test_a_capability_that_falls_back_sees_the_error_of_the_model_live_and_on_replay(engine: Engine) -> None:
    first, second = refusing(), Named("second", [call("look", id="c1")], [text("hello")])

    async def look() -> str:
        return "seen"

    # What a run may switch to is known to the capability by a name.
    durability = Durability(models={"second": second}, retry=ONCE)
    existing = PydanticAgent(first, name="falling_back", tools=[look], capabilities=[durability, ModelFallback(second, sticky=True)])

    @task
    async def falls_back() -> str:
        return (await existing.run("go")).output

    run = await engine.start(falls_back)
    assert await run.result() == "hello"
    assert (len(first.requests), len(second.requests)) == (1, 2)
    assert not (await engine.replay(run)).diverges


async def test_what_is_tried_again_is_decided_by_the_error_of_the_model() -> None:
    retry = Retry(attempts=3, initial="10ms", on=ModelHTTPError)
    run = MemoryRun(Journal())
    one = Agent("by_type", model=Named("by_type", ModelHTTPError(400, "by_type"), [text("hello")]), model_retry=retry)
    assert await run.drive(lambda: one.plain("go")) == "hello"
    assert len(run.delays) == 1


async def test_a_run_switches_its_model_by_name() -> None:
    usual, strong = Named("usual", [text("usual")]), Named("strong", [text("strong")])
    existing = PydanticAgent(usual, name="switching", capabilities=[Durability(models={"strong": strong})])

    async def asked() -> str:
        return f"{(await existing.run('go')).output} {(await existing.run('go', model='strong')).output}"

    assert (await survived(asked, usual, strong))[0] == "usual strong"


async def test_the_limits_of_pydantic_ai_hold_on_replay_too() -> None:
    model = scripted_model([call("look", id="c1")], [call("look", id="c2")], [text("done")])

    async def look() -> str:
        return "seen"

    existing = PydanticAgent(model, name="limited", tools=[look], capabilities=[Durability()])
    journal = Journal()
    for _ in range(2):
        with pytest.raises(UsageLimitExceeded, match="request_limit of 2"):
            await MemoryRun(journal).drive(lambda: existing.run("go", usage_limits=UsageLimits(request_limit=2)))
    assert len(model.requests) == 2


async def test_an_agent_has_no_more_turns_than_it_may(engine: Engine) -> None:
    async def look() -> str:
        return "seen"

    model = scripted_model(*([call("look", id=f"c{turn}")] for turn in range(5)), [text("done")])
    run = await engine.start(Agent("short", model=model, tools=[look], turns=3), "go")
    with pytest.raises(RunFailed, match="used 3 of 3 model calls"):
        await run.result()
    assert len(model.requests) == 3


class Heard(WrapperModel):
    """A model that notes with which settings it is asked."""

    def __init__(self, wrapped: Model) -> None:
        super().__init__(wrapped)
        self.heard: list[ModelSettings | None] = []

    def request_stream(self, messages: Any, model_settings: Any, *rest: Any, **options: Any) -> Any:
        self.heard.append(model_settings)
        return super().request_stream(messages, model_settings, *rest, **options)


async def test_settings_and_instructions_reach_the_model_in_each_turn() -> None:
    async def look() -> str:
        return "seen"

    scripted = scripted_model([call("look", id="c1")], [text("done")])
    model = Heard(scripted)
    one = Agent("set", model=model, tools=[look], settings={"temperature": 0.2}, instructions=["Be brief.", lambda: "Be kind."])
    await MemoryRun(Journal()).drive(lambda: one.plain("go"))
    assert [(given or {}).get("temperature") for given in model.heard] == [0.2, 0.2]
    assert {request.instructions for request in scripted.requests} == {"Be brief.\n\nBe kind."}


async def test_a_history_processor_shortens_what_the_model_hears_and_records_stay_as_they_are() -> None:
    calls: list[int] = []

    def recent(messages: list[ModelMessage]) -> list[ModelMessage]:
        calls.append(len(messages))
        return messages[-1:]

    async def look() -> str:
        return "seen"

    model = Named("short of memory", [text("one")], [text("one")])
    existing = PydanticAgent(model, name="forgetful", tools=[look], capabilities=[ProcessHistory(recent), Durability()])
    history: list[ModelMessage] = [ModelRequest([UserPromptPart("before")]), ModelResponse([TextPart("then")])]

    async def asked() -> str:
        return (await existing.run("now", message_history=history)).output

    output, _ = await survived(asked, model)
    assert output == "one"
    assert len(model.requests[0].messages) == 1
    assert calls[0] == 3


async def test_metadata_of_a_run_is_pydantic_ai_s_own() -> None:
    existing = PydanticAgent(scripted_model([text("hi")]), name="labelled", metadata={"tenant": "acme"}, capabilities=[Durability()])
    result = await MemoryRun(Journal()).drive(lambda: existing.run("go"))
    assert result.metadata == {"tenant": "acme"}


async def test_an_agent_of_names_is_an_agent_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "key")
    several = Agent("several", model=["anthropic:claude-sonnet-4-6", "openai:gpt-5"])
    models: Any = several.pydantic.model
    assert [one.client.max_retries for one in models.models] == [0, 0]
    await several.close()


async def test_an_agent_of_one_model_that_falls_back_by_itself_is_closed() -> None:
    falling = FallbackModel(scripted_model([text("a")]), scripted_model([text("b")]))
    for given in (falling, [falling], [falling, scripted_model([text("c")])]):
        one = Agent("falling", model=given)
        one.warm()
        await one.close()
