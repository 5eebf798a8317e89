"""The OpenAI client in a run, on both of its APIs: real bytes, recorded once, told while they come, given back as they were."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any, cast

import openai
import pytest
import pytest_asyncio
from agentflow_openai import durable
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from agentflow.streams.events import MessageStarted, ReasoningDelta, TextDelta, ToolInput, ToolInputDelta, Usage
from tests.agents.memory import Journal, MemoryRun
from tests.traffic.answers import Answer, cassette, document, failed
from tests.traffic.fixtures import Play, Script

Make = Callable[[str], openai.AsyncOpenAI]
RESPONSES = ["openai_responses_stream", "openai_responses_thinking_part_iter", "openai_responses_thinking_with_tool_calls"]
CHAT = "openai-chat/run_stream_sync_streams_real_model"
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[Make]:
    made: list[openai.AsyncOpenAI] = []

    def make(url: str) -> openai.AsyncOpenAI:
        made.append(durable(openai.AsyncOpenAI(base_url=url, api_key="key")))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize("name", RESPONSES)
async def test_a_response_is_recorded_once_and_is_the_one_that_the_plain_client_reads(provider: Play, client: Make, name: str) -> None:
    plain = await provider(f"openai-responses/{name}")
    async with (
        openai.AsyncOpenAI(base_url=plain.openai_url, api_key="key") as one,
        one.responses.stream(model="gpt-5", input="Hi") as stream,
    ):
        wanted = unparsed((await stream.get_final_response()).to_dict())
    played, journal = await provider(f"openai-responses/{name}"), Journal()
    model = client(played.openai_url)

    async def create() -> dict[str, Any]:
        return unparsed((await model.responses.create(model="gpt-5", input="Hi")).to_dict())

    async def streamed() -> dict[str, Any]:
        async with model.responses.stream(model="gpt-5", input="Hi") as stream:
            said = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
            final = await stream.get_final_response()
        assert said == final.output_text
        return unparsed(final.to_dict())

    assert await MemoryRun(journal).drive(create) == await MemoryRun(journal).drive(create) == wanted
    assert await MemoryRun(journal).drive(streamed) == wanted
    assert list(journal.results) == ["openai.responses#0"]
    assert len(played.requests) == 1
    assert played.requests[0].streaming


def unparsed(answer: Any) -> Any:
    """What the SDK's streams add to an answer taken away: what was parsed, a call's place, fields that say nothing."""
    if isinstance(answer, dict):
        known = cast("dict[str, Any]", answer)
        added = {"parsed", "parsed_arguments", "index" if "function" in known else ""}
        return {name: unparsed(value) for name, value in known.items() if value is not None and name not in added}
    return [unparsed(one) for one in cast("list[Any]", answer)] if isinstance(answer, list) else answer


async def test_thoughts_and_text_of_a_response_are_told_piece_by_piece(provider: Play, client: Make) -> None:
    played, journal = await provider("openai-responses/openai_responses_thinking_part_iter"), Journal()
    model = client(played.openai_url)
    response = await MemoryRun(journal).drive(lambda: model.responses.create(model="o3-mini", input="Hi"))
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    assert journal.of(MessageStarted) == [MessageStarted("openai.responses#0.1", step="openai.responses#0")]
    assert "".join(event.delta for event in journal.of(ReasoningDelta)) == "".join(thoughts)
    assert "".join(event.delta for event in journal.of(TextDelta)) == response.output_text
    told = Counter(journal.kinds)
    assert told["reasoning.start"] == told["reasoning.end"] == len(thoughts)
    assert told["text.start"] == told["text.end"] == 1
    assert told["text.delta"] > 10
    [used] = journal.of(Usage)
    assert response.usage is not None
    assert (used.input, used.output) == (response.usage.input_tokens, response.usage.output_tokens)
    assert used.reasoning == response.usage.output_tokens_details.reasoning_tokens
    assert used.cost
    assert journal.kinds[-1] == "usage"


async def test_calls_of_a_response_are_told_and_its_reasoning_goes_back_as_it_came(provider: Play, client: Make) -> None:
    played, journal = await provider("openai-responses/openai_responses_thinking_with_tool_calls"), Journal()
    model = client(played.openai_url)

    async def converse() -> Any:
        response = await model.responses.create(model="gpt-5", input="Hi", include=["reasoning.encrypted_content"])
        calls = [item for item in response.output if item.type == "function_call"]
        given: Any = [*response.output, {"type": "function_call_output", "call_id": calls[0].call_id, "output": "done"}]
        await model.responses.create(model="gpt-5", input=given)
        return calls[0]

    call = await MemoryRun(journal).drive(converse)
    told = journal.of(ToolInput)[0]
    assert (told.call, told.name, told.input, told.executed) == (call.call_id, call.name, json.loads(call.arguments), "server")
    assert "".join(event.delta for event in journal.of(ToolInputDelta) if event.call == call.call_id) == call.arguments
    recorded = json.loads(b"".join(cassette("openai-responses/openai_responses_thinking_with_tool_calls")[0].chunks))
    assert played.requests[1].body["input"][:-1] == recorded["output"]
    del journal.results["openai.responses#1"]
    again = await provider("openai-responses/openai_responses_thinking_with_tool_calls")
    again.answers.pop(0)
    model = client(again.openai_url)
    await MemoryRun(journal).drive(converse)
    assert again.requests[0].body == played.requests[1].body
    assert len(set(journal.digests["openai.responses#1"])) == 1


async def test_a_chat_completion_is_recorded_once_and_told_again_as_the_plain_client_reads_it(provider: Play, client: Make) -> None:
    plain = await provider(CHAT)
    async with (
        openai.AsyncOpenAI(base_url=plain.openai_url, api_key="key") as one,
        one.chat.completions.stream(model="gpt-4o", messages=HI, stream_options={"include_usage": True}) as stream,
    ):
        wanted = unparsed((await stream.get_final_completion()).to_dict())
    played, journal = await provider(CHAT), Journal()
    model = client(played.openai_url)

    async def create() -> Any:
        return (await model.chat.completions.create(model="gpt-4o", messages=HI)).to_dict()

    async def streamed() -> Any:
        options: Any = {"include_usage": True}
        async with model.chat.completions.stream(model="gpt-4o", messages=HI, stream_options=options) as stream:
            said = [event.delta async for event in stream if event.type == "content.delta"]
            final = unparsed((await stream.get_final_completion()).to_dict())
        assert "".join(said) == final["choices"][0]["message"].get("content", "")
        return final

    live = await MemoryRun(journal).drive(create)
    assert await MemoryRun(journal).drive(create) == live
    assert await MemoryRun(journal).drive(streamed) == wanted
    assert unparsed(live) == wanted
    assert list(journal.results) == ["openai.chat#0"]
    assert len(played.requests) == 1
    assert played.requests[0].body["stream_options"] == {"include_usage": True}
    [used] = journal.of(Usage)
    assert (used.input, used.output) == (live["usage"]["prompt_tokens"], live["usage"]["completion_tokens"])


CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": ""}}


def chunks(*deltas: dict[str, Any], finish: str = "tool_calls") -> Answer:
    """A chat completion of a server that is not OpenAI's, as a stream."""
    told: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    told.append({"index": 0, "delta": {}, "finish_reason": finish})
    lines = [
        json.dumps({"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "local", "choices": [one]}) for one in told
    ]
    return Answer(
        tuple(f"data: {line}\n\n".encode() for line in [*lines, "[DONE]"]), headers={"content-type": "text/event-stream"}, stream=True
    )


async def test_thoughts_and_calls_of_a_compatible_server_are_told_and_kept(scripted_provider: Script, client: Make) -> None:
    pieces = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"order"', ': "o-1"}')]
    played = await scripted_provider(
        chunks(
            {"role": "assistant"}, {"reasoning_content": "h"}, {"reasoning_content": "m"}, {"tool_calls": [{"index": 0, **CALL}]}, *pieces
        )
    )
    model, journal = client(played.openai_url), Journal()

    async def drive() -> Any:
        answer = await model.chat.completions.create(model="local", messages=HI)
        return answer.choices[0].to_dict()

    live = await MemoryRun(journal).drive(drive)
    assert await MemoryRun(journal).drive(drive) == live
    function = {"name": "look_up", "arguments": '{"order": "o-1"}'}
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [{**CALL, "function": function}]}
    assert live == {"index": 0, "finish_reason": "tool_calls", "message": message}
    assert journal.kinds == [
        "message.started",
        "reasoning.start",
        *["reasoning.delta"] * 2,
        "tool.input.start",
        *["tool.input.delta"] * 2,
        "reasoning.end",
        "tool.input",
        "usage",
    ]
    assert journal.of(Usage)[0].cost is None


async def test_agentflow_tries_again_and_the_sdk_does_not(provider: Play, scripted_provider: Script, client: Make) -> None:
    await provider(CHAT)
    whole = cassette(CHAT)[0]
    refusals = [failed(429, retry_after="7"), failed(500), replace(whole, cut_after=3), replace(whole, chunks=whole.chunks[:4])]
    played, run = await scripted_provider(*refusals, whole), MemoryRun(Journal())
    model = client(played.openai_url)
    await run.drive(lambda: model.chat.completions.create(model="gpt-4o", messages=HI))
    assert len(played.requests) == 5
    assert len(run.delays) == 4
    assert run.delays[0] >= 7_000_000


@pytest.mark.parametrize("refusal", [failed(400), failed(429, kind="insufficient_quota"), failed(500, x_should_retry="false")])
async def test_what_no_other_try_can_cure_is_not_tried_again(scripted_provider: Script, client: Make, refusal: Answer) -> None:
    played = await scripted_provider(refusal)
    model = client(played.openai_url)
    with pytest.raises(openai.APIStatusError):
        await MemoryRun(Journal()).drive(lambda: model.responses.create(model="gpt-5", input="Hi"))
    assert len(played.requests) == 1


def told(*events: dict[str, Any]) -> Answer:
    """A stream of the Responses API."""
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    lines = tuple(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in numbered)
    return Answer(lines, headers={"content-type": "text/event-stream"}, stream=True)


def response(status: str = "completed", text: str = '{"word": "hi"}', **more: Any) -> dict[str, Any]:
    """A response as OpenAI writes it."""
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    said: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    used = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-5",
        "status": status,
        "output": [said],
        "usage": used,
        **more,
    }


async def test_a_response_that_failed_in_its_stream_is_tried_again(scripted_provider: Script, client: Make) -> None:
    broken = response("failed", error={"code": "server_error", "message": "sorry"}, output=[], usage=None)
    errors = [
        told({"type": "response.failed", "response": broken}),
        told({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}),
    ]
    played = await scripted_provider(*errors, document(response()))
    model = client(played.openai_url)
    answer = await MemoryRun(Journal()).drive(lambda: model.responses.create(model="gpt-5", input="Hi"))
    assert answer.status == "completed"
    assert len(played.requests) == 3


class Word(BaseModel):
    word: str


async def test_parsed_and_raw_answers_are_steps_too_and_copies_stay_durable(scripted_provider: Script, client: Make) -> None:
    chat = chunks({"role": "assistant", "content": '{"word": "hi"}'}, finish="stop")
    played, journal = await scripted_provider(document(response()), chat, document(response())), Journal()
    model = client(played.openai_url)

    async def drive() -> list[Any]:
        first = await model.responses.parse(model="gpt-5", input="Hi", text_format=Word)
        second = await model.chat.completions.parse(model="gpt-5", messages=HI, response_format=Word)
        raw = await model.with_options(timeout=5).responses.with_raw_response.create(model="gpt-5", input="Hi")
        return [first.output_parsed, second.choices[0].message.parsed, raw.parse().to_dict()]

    live = await MemoryRun(journal).drive(drive)
    assert await MemoryRun(journal).drive(drive) == live == [Word(word="hi"), Word(word="hi"), response()]
    assert list(journal.results) == ["openai.responses#0", "openai.chat#0", "openai.responses#1"]
    assert len(played.requests) == 3


async def test_outside_of_a_run_it_is_the_plain_client_with_the_retries_of_the_sdk(scripted_provider: Script, client: Make) -> None:
    chat = chunks({"role": "assistant", "content": "hi"}, finish="stop")
    played = await scripted_provider(failed(500, retry_after_ms="1"), chat)
    stream = await client(played.openai_url).chat.completions.create(model="local", messages=HI, stream=True)
    assert [chunk.choices[0].delta.content async for chunk in stream] == ["hi", None]
    assert len(played.requests) == 2
