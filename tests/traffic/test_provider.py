"""The real clients read what was recorded, and the test holds the clock."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.traffic.answers import failed, streamed
from tests.traffic.fixtures import Play, Script

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-6",
            "content": [],
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
HELLO = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
ASK: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Hi"}]


def client(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key="key", max_retries=0)


async def test_the_anthropic_client_reads_recorded_thoughts_and_their_signature(provider: Play) -> None:
    played = await provider("anthropic/anthropic_model_thinking_part_stream")
    async with client(played.url) as model, model.messages.stream(model="claude", max_tokens=9, messages=ASK) as stream:
        message = await stream.get_final_message()
    assert message.content[0].type == "thinking"
    assert message.content[0].signature
    assert message.content[1].type == "text"
    assert played.requests[0].body["messages"] == ASK


async def test_a_recorded_whole_message_is_told_as_a_stream_when_a_stream_is_asked_for(provider: Play) -> None:
    played = await provider("anthropic/anthropic_tool_with_thinking")
    async with client(played.url) as model:
        async with model.messages.stream(model="claude", max_tokens=9, messages=ASK) as stream:
            message = await stream.get_final_message()
        second = await model.messages.create(model="claude", max_tokens=9, messages=ASK)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.stop_reason == "tool_use"
    assert second.stop_reason == "end_turn"
    assert len(played.requests) == 2


async def test_the_openai_client_reads_recorded_responses_and_attaches_again_after_a_cursor(provider: Play) -> None:
    played = await provider("openai-responses/background_mode_streaming_starting_after_vcr")
    async with openai.AsyncOpenAI(base_url=played.openai_url, api_key="key", max_retries=0) as model:
        first = await model.responses.create(model="gpt-4o", input="2+2?", stream=True, background=True)
        async with first:
            created = await anext(aiter(first))
        assert created.type == "response.created"
        again = await model.responses.retrieve(created.response.id, stream=True, starting_after=0)
        assert [event async for event in again][-1].type == "response.completed"
    assert "starting_after=0" in played.requests[1].query


async def test_the_openai_client_reads_recorded_chat_completions(provider: Play) -> None:
    played = await provider("openai-chat/run_stream_sync_streams_real_model")
    async with openai.AsyncOpenAI(base_url=played.openai_url, api_key="key", max_retries=0) as model:
        stream = await model.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stream=True)
        assert [chunk async for chunk in stream]


async def test_a_recorded_response_is_told_as_a_stream_with_its_tool_calls(provider: Play) -> None:
    played = await provider("openai-responses/openai_responses_thinking_with_tool_calls")
    async with (
        openai.AsyncOpenAI(base_url=played.openai_url, api_key="key", max_retries=0) as model,
        model.responses.stream(model="gpt-5", input="Hi") as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds
    assert [item.type for item in final.output].count("function_call") == 1


async def test_a_held_gate_lets_so_many_chunks_pass_and_no_more(scripted_provider: Script) -> None:
    played = await scripted_provider(streamed(HELLO))
    played.gate.hold(after=3)
    async with client(played.url) as model, model.messages.stream(model="claude", max_tokens=9, messages=ASK) as stream:
        texts = stream.text_stream
        assert await anext(texts) == "Hel"
        assert played.gate.passed == 3
        await played.gate.release()
        assert await anext(texts) == "lo"
        await played.gate.open()
        assert (await stream.get_final_message()).stop_reason == "end_turn"


async def test_a_cut_stream_breaks_in_the_client(scripted_provider: Script) -> None:
    played = await scripted_provider(streamed(HELLO, cut_after=3))
    async with client(played.url) as model:
        with pytest.raises((anthropic.APIConnectionError, httpx2.TransportError)):
            async with model.messages.stream(model="claude", max_tokens=9, messages=ASK) as stream:
                await stream.get_final_message()


async def test_a_refusal_carries_its_headers(scripted_provider: Script) -> None:
    played = await scripted_provider(failed(429, kind="rate_limit_error", retry_after="7"), failed(500))
    async with client(played.url) as model:
        with pytest.raises(anthropic.RateLimitError) as refused:
            await model.messages.create(model="claude", max_tokens=9, messages=ASK)
        assert refused.value.response.headers["retry-after"] == "7"
        with pytest.raises(anthropic.InternalServerError):
            await model.messages.create(model="claude", max_tokens=9, messages=ASK)
        with pytest.raises(anthropic.NotFoundError, match="no answer is left"):
            await model.messages.create(model="claude", max_tokens=9, messages=ASK)
