"""Agents on the real SDKs and real bytes: what is sent back to the provider, what is tried again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from pydantic_ai.exceptions import ModelHTTPError

from agentflow import ai
from agentflow.agents.agent import Agent
from agentflow.agents.models import named
from agentflow.engine.task import task
from agentflow.errors import ConfigurationError, NotInRun
from agentflow.streams.events import ReasoningEnd, ReasoningStart, Usage
from tests.agents.memory import Journal, MemoryRun
from tests.traffic.answers import Answer, cassette, failed, streamed
from tests.traffic.fixtures import Play, Script
from tests.traffic.test_provider import ASK, HELLO

CLAUDE = "anthropic:claude-sonnet-4-6"
THINKING = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}}
Make = Callable[..., Agent[str]]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "key")


@pytest_asyncio.fixture
async def support() -> AsyncGenerator[Make]:
    made: list[Agent[str]] = []

    def make(model: str, url: str, **options: Any) -> Agent[str]:
        made.append(Agent("support", model=model, base_url=url, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def get_user_country() -> str:
    return "Mexico"


def get_capital(country: str) -> str:
    return "Paris"


def update_plan(plan: str) -> str:
    return "plan updated"


async def test_thoughts_go_back_to_anthropic_with_the_signature_it_gave_after_a_crash_too(provider: Play, support: Make) -> None:
    first = await provider("anthropic/anthropic_tool_with_thinking")
    journal = Journal()
    asked = support(CLAUDE, first.url, tools=[get_user_country], settings=THINKING)
    output = await MemoryRun(journal).drive(lambda: asked.plain("What is the largest city?"))
    sent = first.requests[1].body
    recorded = json.loads(b"".join(cassette("anthropic/anthropic_tool_with_thinking")[0].chunks))
    assert sent["messages"][1]["content"] == recorded["content"]
    assert "Mexico City" in output
    assert journal.of(ReasoningEnd)[0].signature == recorded["content"][0]["signature"]

    del journal.results["support#0/turn:2"]
    second = await provider("anthropic/anthropic_tool_with_thinking")
    second.answers.pop(0)
    resumed = support(CLAUDE, second.url, tools=[get_user_country], settings=THINKING)
    await MemoryRun(journal).drive(lambda: resumed.plain("What is the largest city?"))
    assert [request.body for request in second.requests] == [sent]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("anthropic_model_thinking_part_redacted_stream", ["redacted_thinking", "redacted_thinking", "text"]),
        ("anthropic_mcp_servers_stream", ["thinking", "mcp_tool_use", "mcp_tool_result", "text"]),
        ("anthropic_web_search_tool_stream", ["web_search_tool_result"]),
    ],
)
async def test_what_a_provider_must_get_back_survives_the_journal(provider: Play, support: Make, name: str, kinds: list[str]) -> None:
    played = await provider(f"anthropic/{name}")
    played.then(streamed(HELLO), streamed(HELLO))
    one, journal = support(CLAUDE, played.url).pydantic, Journal()
    live = await MemoryRun(journal).drive(lambda: one.run("hi"))
    replayed = await MemoryRun(Journal(results=journal.results)).drive(lambda: one.run("hi"))
    await one.run("more", message_history=live.new_messages())
    await one.run("more", message_history=replayed.new_messages())
    assert played.requests[1].body == played.requests[2].body
    sent = [block["type"] for block in played.requests[1].body["messages"][1]["content"]]
    assert sent == kinds or set(kinds) <= set(sent)


async def test_redacted_thoughts_are_told_as_redacted(provider: Play, support: Make) -> None:
    played = await provider("anthropic/anthropic_model_thinking_part_redacted_stream")
    journal = Journal()
    await MemoryRun(journal).drive(lambda: support(CLAUDE, played.url).plain("hi"))
    assert [event.redacted for event in journal.of(ReasoningStart)] == [True, True]


async def test_tools_of_the_provider_are_told_with_their_results(provider: Play, support: Make) -> None:
    played = await provider("anthropic/anthropic_mcp_servers_stream")
    journal = Journal()
    await MemoryRun(journal).drive(lambda: support(CLAUDE, played.url).plain("hi"))
    told = Counter(journal.kinds)
    assert (told["tool.input.start"], told["tool.input"], told["tool.output"]) == (1, 1, 1)


@pytest.mark.parametrize(
    "name", ["openai_responses_stream", "openai_responses_thinking_part_iter", "openai_responses_thinking_with_tool_calls"]
)
async def test_an_agent_on_the_responses_api_streams_and_replays(provider: Play, support: Make, name: str) -> None:
    played = await provider(f"openai-responses/{name}")
    asked, journal = support("openai:gpt-5", played.openai_url, tools=[get_capital, update_plan]), Journal()
    count = len(cassette(f"openai-responses/{name}"))
    live = await MemoryRun(journal).drive(lambda: asked.plain("hi"))
    again = MemoryRun(journal)
    assert await again.drive(lambda: asked.plain("hi")) == live
    assert again.executed == []
    assert len(played.requests) == count
    assert Counter(journal.kinds)["text.delta"] > 1
    assert all(event.input and event.output and event.cost for event in journal.of(Usage))


async def test_only_agentflow_tries_again_and_it_waits_as_long_as_it_is_told(scripted_provider: Script, support: Make) -> None:
    refusals: list[Answer] = [
        failed(429, kind="rate_limit_error", retry_after="7"),
        failed(500),
        streamed(HELLO, cut_after=3),
        failed(529, kind="overloaded_error"),
    ]
    played = await scripted_provider(*refusals, streamed(HELLO))
    run = MemoryRun(Journal())
    assert await run.drive(lambda: support(CLAUDE, played.url).plain("hi")) == "Hello"
    assert len(played.requests) == 5
    assert len(run.delays) == 4
    assert run.delays[0] >= 7_000_000


async def test_what_the_provider_calls_hopeless_is_not_tried_again(scripted_provider: Script, support: Make) -> None:
    played = await scripted_provider(failed(500, x_should_retry="false"), streamed(HELLO))
    with pytest.raises(ModelHTTPError, match="500"):
        await MemoryRun(Journal()).drive(lambda: support(CLAUDE, played.url).plain("hi"))
    assert len(played.requests) == 1


async def test_a_stream_that_ends_politely_but_early_is_no_answer(scripted_provider: Script, support: Make) -> None:
    whole = streamed(HELLO)
    played = await scripted_provider(replace(whole, chunks=whole.chunks[:4]), whole)
    run = MemoryRun(Journal())
    assert await run.drive(lambda: support(CLAUDE, played.url).plain("hi")) == "Hello"
    assert len(run.delays) == 1


@pytest.mark.parametrize("name", ["openai-responses/openai_responses_stream", "openai-chat/run_stream_sync_streams_real_model"])
async def test_a_stream_of_openai_that_ends_early_is_no_answer_either(
    provider: Play, scripted_provider: Script, support: Make, name: str
) -> None:
    await provider(name)
    whole = cassette(name)[1]
    played = await scripted_provider(replace(whole, chunks=whole.chunks[:6]), whole)
    run = MemoryRun(Journal())
    model = "openai:gpt-4o" if "responses" in name else "openai-chat:gpt-4o"
    await run.drive(lambda: support(model, played.openai_url).plain("hi"))
    assert len(run.delays) == 1


def test_a_model_that_does_not_exist_is_an_error_that_says_how_to_write_one() -> None:
    for wrong in ("claude", "nobody:claude"):
        with pytest.raises(ConfigurationError, match="provider:model"):
            named(wrong)


@task
async def look_up(order: str) -> str:
    """Find an order."""
    return order


async def test_the_calls_of_a_raw_anthropic_response_are_child_runs_and_steps(provider: Play) -> None:
    played = await provider("anthropic/anthropic_tool_with_thinking")
    async with anthropic.AsyncAnthropic(base_url=played.url, api_key="key", max_retries=0) as client:
        response = await client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ASK)
        journal = Journal()
        results = await MemoryRun(journal).drive(lambda: ai.run_tools(response, [get_user_country, look_up]))
        ended = await client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ASK)
        assert await MemoryRun(Journal()).drive(lambda: ai.run_tools(ended, [get_user_country])) == []
    call = response.content[2]
    assert call.type == "tool_use"
    assert results == [{"type": "tool_result", "tool_use_id": call.id, "content": "Mexico", "is_error": False}]
    assert list(journal.results) == [f"{response.id}/get_user_country:{call.id}"]
    with pytest.raises(NotInRun):
        await ai.run_tools(response, [get_user_country])


async def test_the_calls_of_a_raw_openai_response_that_cannot_be_made_are_told_to_the_model(provider: Play) -> None:
    played = await provider("openai-responses/openai_responses_thinking_with_tool_calls")
    async with openai.AsyncOpenAI(base_url=played.openai_url, api_key="key", max_retries=0) as client:
        response = await client.responses.create(model="gpt-5", input="hi")
    results = await MemoryRun(Journal()).drive(lambda: ai.run_tools(response, [look_up]))
    assert [one["type"] for one in results] == ["function_call_output"]
    assert "no tool 'update_plan'" in results[0]["output"]
    known = await MemoryRun(Journal()).drive(lambda: ai.run_tools(response, [update_plan]))
    assert known[0]["output"] == "plan updated"
