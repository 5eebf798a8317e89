"""Recorded conversations on the real engine: a person is asked between the turns, and the worker dies there."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anthropic
import openai
import pydantic_ai
import pytest
from agentflow_anthropic import durable as durable_anthropic
from agentflow_openai import durable as durable_openai

from agentflow import Agent, Durability, ai, task
from agentflow.agents.models import named
from agentflow.records import RunState
from agentflow.streams.events import RunAttempt, Usage
from agentflow.testing import Engine
from tests.integrations.loops import Loop, on_anthropic, on_chat, on_responses
from tests.traffic.answers import cassette
from tests.traffic.fixtures import Play
from tests.traffic.provider import Provider

Api = Literal["anthropic", "openai", "openai-chat"]
CASSETTES: dict[Api, str] = {
    "anthropic": "anthropic/anthropic_tool_with_thinking",
    "openai": "openai-responses/openai_responses_thinking_with_tool_calls",
    "openai-chat": "openai-chat/run_stream_sync_streams_real_model",
}
MODELS: dict[Api, str] = {"anthropic": "claude-sonnet-4-6", "openai": "gpt-5", "openai-chat": "gpt-4o"}


pytestmark = pytest.mark.both_databases


def get_user_country() -> str:
    return "Mexico"


def update_plan(plan: str) -> str:
    return "plan updated"


def get_capital(country: str) -> str:
    return "London"


TOOLS = [ai.tool(function, approval=True) for function in (get_user_country, update_plan, get_capital)]


@asynccontextmanager
async def raw(api: Api, played: Provider) -> AsyncGenerator[Loop]:
    """A loop of one's own."""
    if api == "anthropic":
        async with anthropic.AsyncAnthropic(base_url=played.url, api_key="key") as claude:
            yield on_anthropic(durable_anthropic(claude), TOOLS, "recorded_anthropic")
        return
    async with openai.AsyncOpenAI(base_url=played.openai_url, api_key="key") as gpt:
        yield (on_responses if api == "openai" else on_chat)(durable_openai(gpt), TOOLS, f"recorded_{api}")


@asynccontextmanager
async def agent(api: Api, played: Provider) -> AsyncGenerator[Loop]:
    """Our loop."""
    url = played.url if api == "anthropic" else played.openai_url
    made = Agent(f"recorded_agent_{api}", model=f"{api}:{MODELS[api]}", base_url=url, tools=TOOLS)
    yield made
    await made.close()


@asynccontextmanager
async def existing(api: Api, played: Provider) -> AsyncGenerator[Loop]:
    """The loop of an agent of pydantic-ai."""
    model: Any = named(f"{api}:{MODELS[api]}", played.url if api == "anthropic" else played.openai_url)
    one = pydantic_ai.Agent(model, name="recorded", tools=[tool.to_pydantic_ai() for tool in TOOLS], capabilities=[Durability()])

    @task(name=f"recorded_durability_{api}")
    async def converse(prompt: str) -> str:
        return (await one.run(prompt)).output

    yield converse
    await model.client.close()


@pytest.mark.parametrize("loop", [raw, agent, existing])
@pytest.mark.parametrize("api", CASSETTES)
async def test_a_recorded_conversation_goes_on_after_a_crash_and_asks_nothing_twice(
    engine: Engine, provider: Play, monkeypatch: pytest.MonkeyPatch, loop: Any, api: Api
) -> None:
    for key in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "key")
    played = await provider(CASSETTES[api])
    async with loop(api, played) as asked:
        run = await engine.start(asked, "go")
        [question] = await engine.waiting(run)
        await engine.crash()
        await question.approve(by="maria")
        assert await run.result()
    assert len(played.requests) == 2
    assert said(api, played.requests[1].body) == recorded(api)
    events = [stored.event for stored in await engine.events(run)]
    assert all(event.input and event.output and event.cost for event in events if isinstance(event, Usage))
    assert len([event for event in events if isinstance(event, Usage)]) == 2
    assert [event.reason for event in events if isinstance(event, RunAttempt)] in ([], ["resume"])
    assert (await engine.get(run)).state is RunState.COMPLETED


def said(api: Api, body: Any) -> Any:
    """What the second request says that the model said in the first turn."""
    if api == "anthropic":
        return body["messages"][1]["content"]
    if api == "openai-chat":
        return body["messages"][1]["tool_calls"]
    return demanded(item for item in body["input"] if item.get("type") in ("reasoning", "function_call"))


def demanded(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the Responses API wants back of its items."""
    names = ("id", "type", "summary", "encrypted_content", "call_id", "name", "arguments")
    return [{name: item[name] for name in names if name in item} for item in items]


def recorded(api: Api) -> Any:
    """What the model said in the first turn."""
    answer = cassette(CASSETTES[api])[0]
    if api == "openai-chat":
        deltas = [json.loads(chunk[6:])["choices"][0]["delta"] for chunk in answer.chunks if b'"tool_calls":' in chunk]
        calls = [call for delta in deltas for call in delta["tool_calls"]]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        return [{"id": calls[0]["id"], "type": "function", "function": {"name": "get_capital", "arguments": arguments}}]
    body = json.loads(b"".join(answer.chunks))
    return body["content"] if api == "anthropic" else demanded(body["output"])
