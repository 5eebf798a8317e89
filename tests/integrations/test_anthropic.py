"""The Anthropic client in a run: real bytes, recorded once, told while they come, given back as they were."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from agentflow_anthropic import durable
from anthropic.types.beta import BetaMessageParam
from pydantic import BaseModel

from agentflow import ai, step
from agentflow.adapters import ModelUnreachable
from agentflow.streams.events import (
    MessageStarted,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    ToolInput,
    ToolInputDelta,
    ToolOutput,
    Usage,
)
from tests.agents.memory import Journal, MemoryRun
from tests.traffic.answers import cassette, document, failed, streamed
from tests.traffic.fixtures import Play, Script
from tests.traffic.test_provider import ASK, HELLO

Make = Callable[[str], anthropic.AsyncAnthropic]
MODEL = "claude-sonnet-4-6"
BETA: list[BetaMessageParam] = [{"role": "user", "content": "Hi"}]


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[Make]:
    made: list[anthropic.AsyncAnthropic] = []

    def make(url: str) -> anthropic.AsyncAnthropic:
        made.append(durable(anthropic.AsyncAnthropic(base_url=url, api_key="key")))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def create(model: anthropic.AsyncAnthropic) -> anthropic.types.Message:
    return await model.messages.create(model=MODEL, max_tokens=9, messages=ASK)


def recorded(name: str) -> list[Any]:
    """The messages of a cassette, as the SDK reads them."""
    return [json.loads(b"".join(one.chunks)) for one in cassette(name)]


NAMES = [
    "anthropic_tool_with_thinking",
    "anthropic_model_thinking_part_stream",
    "anthropic_model_thinking_part_redacted_stream",
    "anthropic_mcp_servers_stream",
    "anthropic_web_search_tool_stream",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_is_recorded_once_and_is_the_one_that_the_plain_client_reads(provider: Play, client: Make, name: str) -> None:
    plain = await provider(f"anthropic/{name}")
    async with (
        anthropic.AsyncAnthropic(base_url=plain.url, api_key="key") as one,
        one.beta.messages.stream(model=MODEL, max_tokens=9, messages=BETA) as stream,
    ):
        wanted = (await stream.get_final_message()).to_dict()
    # The SDK's own reading adds what the provider did not say.
    del wanted["stop_details"]
    played, journal = await provider(f"anthropic/{name}"), Journal()
    model = client(played.url)

    async def drive() -> dict[str, Any]:
        return (await model.beta.messages.create(model=MODEL, max_tokens=9, messages=BETA)).to_dict()

    assert await MemoryRun(journal).drive(drive) == await MemoryRun(journal).drive(drive) == wanted
    assert list(journal.results) == ["anthropic.messages#0"]
    assert len(played.requests) == 1
    assert played.requests[0].streaming


@pytest.mark.parametrize("name", NAMES)
async def test_a_stream_ends_in_the_recorded_message_live_and_on_a_replay(provider: Play, client: Make, name: str) -> None:
    played, journal = await provider(f"anthropic/{name}"), Journal()
    model = client(played.url)

    async def drive() -> tuple[list[str], str, dict[str, Any]]:
        async with model.messages.stream(model=MODEL, max_tokens=9, messages=ASK) as stream:
            kinds: list[str] = []
            said = ""
            async for event in stream:
                kinds.append(event.type)
                said += event.text if event.type == "text" else ""
            message = await stream.get_final_message()
            return kinds, said, message.model_dump(mode="json", exclude_unset=True, warnings=False)

    live = await MemoryRun(journal).drive(drive)
    assert await MemoryRun(journal).drive(drive) == live
    assert live[1] == "".join(block.get("text", "") for block in live[2]["content"])
    assert live[0][-1] == "message_stop"
    again = (await MemoryRun(journal).drive(lambda: create(model))).model_dump(mode="json", exclude_unset=True, warnings=False)
    assert {name: value for name, value in live[2].items() if value is not None or name in again} == again
    assert len(played.requests) == 1


async def test_thoughts_text_and_arguments_are_told_piece_by_piece(provider: Play, client: Make) -> None:
    played, journal = await provider("anthropic/anthropic_tool_with_thinking"), Journal()
    message = await MemoryRun(journal).drive(lambda: create(client(played.url)))
    thought, said, call = message.content
    assert (thought.type, said.type, call.type) == ("thinking", "text", "tool_use")
    assert journal.of(MessageStarted) == [MessageStarted("anthropic.messages#0.1", step="anthropic.messages#0")]
    assert "".join(event.delta for event in journal.of(ReasoningDelta)) == thought.thinking
    assert journal.of(ReasoningEnd) == [ReasoningEnd("anthropic.messages#0.1.0", thought.signature)]
    assert "".join(event.delta for event in journal.of(TextDelta)) == said.text
    assert len(journal.of(TextDelta)) > 1
    assert json.loads("".join(event.delta for event in journal.of(ToolInputDelta)) or "{}") == call.input
    [told] = journal.of(ToolInput)
    assert (told.call, told.name, told.input, told.executed) == (call.id, call.name, call.input, "server")
    [used] = journal.of(Usage)
    assert (used.provider, used.input, used.output) == ("anthropic", message.usage.input_tokens, message.usage.output_tokens)
    assert used.cost
    assert journal.kinds[-1] == "usage"


async def test_redacted_thoughts_and_tools_of_the_provider_are_told(provider: Play, client: Make) -> None:
    redacted, journal = await provider("anthropic/anthropic_model_thinking_part_redacted_stream"), Journal()
    await MemoryRun(journal).drive(lambda: create(client(redacted.url)))
    assert [event.redacted for event in journal.of(ReasoningStart)] == [True, True]
    served, journal = await provider("anthropic/anthropic_mcp_servers_stream"), Journal()
    await MemoryRun(journal).drive(lambda: create(client(served.url)))
    told = Counter(journal.kinds)
    assert (told["tool.input.start"], told["tool.input"], told["tool.output"]) == (1, 1, 1)
    assert journal.of(ToolInput)[0].executed == "provider"


async def test_what_was_thought_goes_back_to_the_provider_as_it_came_after_a_crash_too(provider: Play, client: Make) -> None:
    first, journal = await provider("anthropic/anthropic_tool_with_thinking"), Journal()

    async def converse(model: anthropic.AsyncAnthropic) -> None:
        message = await create(model)
        given: Any = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}]
        await model.messages.create(model=MODEL, max_tokens=9, messages=given)

    await MemoryRun(journal).drive(lambda: converse(client(first.url)))
    del journal.results["anthropic.messages#1"]
    second = await provider("anthropic/anthropic_tool_with_thinking")
    second.answers.pop(0)
    await MemoryRun(journal).drive(lambda: converse(client(second.url)))
    assert first.requests[1].body == second.requests[0].body
    assert second.requests[0].body["messages"][1]["content"] == recorded("anthropic/anthropic_tool_with_thinking")[0]["content"]
    assert journal.digests["anthropic.messages#1"][0] == journal.digests["anthropic.messages#1"][1]


@step
async def get_user_country() -> str:
    return "Mexico"


@pytest.mark.parametrize("lost", [False, True])
async def test_a_call_is_told_once_by_the_model_call_that_asked_for_it_after_a_crash_too(provider: Play, client: Make, lost: bool) -> None:
    played, journal = await provider("anthropic/anthropic_tool_with_thinking"), Journal()
    model = client(played.url)

    async def converse() -> list[dict[str, Any]]:
        return await ai.run_tools(await create(model), [get_user_country])

    # What is lost is the tool's step: the record ends with the model's, and who takes over is live when it carries the call out.
    await MemoryRun(journal).drive((lambda: create(model)) if lost else converse)
    [result] = await MemoryRun(journal).drive(converse)
    assert (result["content"], len(played.requests)) == ("Mexico", 1)
    [told] = journal.of(ToolInput)
    assert (told.call, told.step) == (result["tool_use_id"], "anthropic.messages#0")
    assert [event.call for event in journal.of(ToolOutput)] == [told.call]


async def test_a_call_of_a_plain_client_is_told_when_it_is_carried_out(provider: Play) -> None:
    played, journal = await provider("anthropic/anthropic_tool_with_thinking"), Journal()
    async with anthropic.AsyncAnthropic(base_url=played.url, api_key="key") as plain:
        message = await create(plain)
    [result] = await MemoryRun(journal).drive(lambda: ai.run_tools(message, [get_user_country]))
    assert [(event.call, event.step) for event in journal.of(ToolInput)] == [(result["tool_use_id"], None)]


async def test_agentflow_tries_again_and_the_sdk_does_not(scripted_provider: Script, client: Make) -> None:
    refusals = [failed(429, retry_after="7"), failed(500), streamed(HELLO, cut_after=3), failed(529, kind="overloaded_error")]
    played = await scripted_provider(*refusals, streamed(HELLO))
    run = MemoryRun(Journal())
    message = await run.drive(lambda: create(client(played.url)))
    assert message.content[0] == anthropic.types.TextBlock(type="text", text="Hello")
    assert len(played.requests) == 5
    assert len(run.delays) == 4
    assert run.delays[0] >= 7_000_000


async def test_an_error_in_the_middle_of_a_stream_is_tried_again_with_other_parts(scripted_provider: Script, client: Make) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    begun = HELLO.split("event: content_block_stop", maxsplit=1)[0]
    played = await scripted_provider(streamed(f"{begun}event: error\ndata: {json.dumps(error)}\n\n"), streamed(HELLO))
    journal = Journal()
    await MemoryRun(journal).drive(lambda: create(client(played.url)))
    assert len(played.requests) == 2
    assert [event.message for event in journal.of(MessageStarted)] == ["anthropic.messages#0.1", "anthropic.messages#0.2"]


async def test_a_stream_that_ends_politely_but_early_is_no_message(scripted_provider: Script, client: Make) -> None:
    whole = streamed(HELLO)
    played = await scripted_provider(*[replace(whole, chunks=whole.chunks[:4])] * 5)
    with pytest.raises(ModelUnreachable, match="ended before"):
        await engineless(lambda: create(client(played.url)))
    assert len(played.requests) == 5


async def engineless(body: Callable[[], Any]) -> Any:
    """Run in memory, with errors as the engine gives them back."""
    run = MemoryRun(Journal())
    try:
        return await run.drive(body)
    except Exception as error:
        if error.__cause__ is not None and type(error).__name__ == "StepFailed":
            raise error.__cause__ from None
        raise


class Word(BaseModel):
    word: str


async def test_a_parsed_message_a_raw_one_and_the_beta_api_are_steps_too(scripted_provider: Script, client: Make) -> None:
    body: Any = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn", "stop_sequence": None}
    body |= {"content": [{"type": "text", "text": '{"word": "hi"}'}], "usage": {"input_tokens": 1, "output_tokens": 2}}
    played, journal = await scripted_provider(*[document(body)] * 4), Journal()
    model = client(played.url)

    async def drive() -> list[Any]:
        parsed = await model.messages.parse(model=MODEL, max_tokens=9, messages=ASK, output_format=Word)
        raw = await model.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=ASK)
        beta = await model.with_options(timeout=5).beta.messages.create(model=MODEL, max_tokens=9, messages=BETA)
        events = [event.type async for event in await model.messages.create(model=MODEL, max_tokens=9, messages=ASK, stream=True)]
        return [parsed.parsed_output, (await raw.parse()).to_dict(), beta.to_dict(), type(beta).__name__, events]

    live = await MemoryRun(journal).drive(drive)
    assert await MemoryRun(journal).drive(drive) == live
    assert live[0] == Word(word="hi")
    assert live[1] == live[2] == body
    assert live[3] == "BetaMessage"
    assert live[4][-1] == "message_stop"
    assert list(journal.results) == [f"anthropic.messages#{count}" for count in range(4)]
    assert len(played.requests) == 4


async def test_outside_of_a_run_it_is_the_plain_client_with_the_retries_of_the_sdk(scripted_provider: Script, client: Make) -> None:
    played = await scripted_provider(failed(500, retry_after_ms="1"), streamed(HELLO))
    async with client(played.url).messages.stream(model=MODEL, max_tokens=9, messages=ASK) as stream:
        assert [event.text async for event in stream if event.type == "text"] == ["Hel", "lo"]
    assert len(played.requests) == 2
