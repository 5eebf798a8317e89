"""The contract of integrations, kept by all of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import anthropic
import openai
import pydantic_ai
import pytest
from agentflow_anthropic import durable as durable_anthropic
from agentflow_openai import durable as durable_openai
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, ToolReturnPart

from agentflow import Agent, Durability, task
from agentflow.testing import ScriptedModel, scripted_model
from agentflow.testing.contracts import REFUSED, TOOLS, Conversation, IntegrationContract, Pace, Turn
from tests.integrations.loops import on_anthropic, on_chat, on_responses
from tests.integrations.scripted import ANTHROPIC, CHAT, RESPONSES, scripted

pytestmark = pytest.mark.both_databases


def played(turns: Sequence[Turn], pace: Pace | None) -> ScriptedModel:
    """A model in this process that says these turns."""

    async def paced(kind: str) -> None:
        if pace is not None:
            await pace()

    refusal = ModelHTTPError(503, "scripted")
    return scripted_model(*(refusal if turn is REFUSED else turn for turn in turns), pace=paced)


def results(model: ScriptedModel) -> Mapping[str, str]:
    """What the model was told last about its calls."""
    parts = [part for one in model.requests[-1].messages if isinstance(one, ModelRequest) for part in one.parts]
    return {part.tool_call_id: part.model_response_str() for part in parts if isinstance(part, ToolReturnPart)}


class TestAgent(IntegrationContract):
    @asynccontextmanager
    async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
        model = played(turns, pace)
        agent = Agent("contract_agent", model=model, tools=TOOLS)
        yield Conversation(agent, lambda: len(model.requests), lambda: results(model))


class TestDurability(IntegrationContract):
    @asynccontextmanager
    async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
        model = played(turns, pace)
        tools = [tool.to_pydantic_ai() for tool in TOOLS]
        existing = pydantic_ai.Agent(model, name="contract_existing", tools=tools, capabilities=[Durability()])

        @task(name="contract_durability")
        async def converse(prompt: str) -> str:
            return (await existing.run(prompt)).output

        yield Conversation(converse, lambda: len(model.requests), lambda: results(model))


class TestAnthropic(IntegrationContract):
    @asynccontextmanager
    async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
        async with scripted(ANTHROPIC, turns, pace) as model, anthropic.AsyncAnthropic(base_url=model.url, api_key="key") as plain:
            yield Conversation(on_anthropic(durable_anthropic(plain), TOOLS, "contract_anthropic"), model.asked, model.results)


class TestResponses(IntegrationContract):
    background = False

    @asynccontextmanager
    async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
        async with scripted(RESPONSES, turns, pace) as model, openai.AsyncOpenAI(base_url=model.openai_url, api_key="key") as plain:
            loop = on_responses(durable_openai(plain), TOOLS, "contract_responses", background=self.background)
            yield Conversation(loop, model.asked, model.results)


class TestBackgroundResponses(TestResponses):
    background = True


class TestChatCompletions(IntegrationContract):
    @asynccontextmanager
    async def conversing(self, *turns: Turn, pace: Pace | None = None) -> AsyncGenerator[Conversation]:
        async with scripted(CHAT, turns, pace) as model, openai.AsyncOpenAI(base_url=model.openai_url, api_key="key") as plain:
            yield Conversation(on_chat(durable_openai(plain), TOOLS, "contract_chat"), model.asked, model.results)
