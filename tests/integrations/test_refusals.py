"""What a task gets when a model does not answer: the SDK's own error, or one that says what to do, live as on a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import anthropic
import openai
import pytest
from agentflow_anthropic import durable as durable_anthropic
from agentflow_openai import durable as durable_openai

from agentflow import Retry, approve, task
from agentflow.handle import RunHandle
from agentflow.records import RunState
from agentflow.streams.events import StepFailed, StepRetrying
from agentflow.testing import Engine
from tests.traffic.answers import Answer, failed, streamed
from tests.traffic.fixtures import Script
from tests.traffic.test_provider import ASK, HELLO

PATIENCE = 10.0
Sdk = Literal["anthropic", "responses", "chat", "background"]
SDKS: tuple[Sdk, ...] = ("anthropic", "responses", "chat", "background")


@asynccontextmanager
async def asking(sdk: Sdk, url: str, **how: Any) -> AsyncGenerator[Callable[[], Awaitable[Any]]]:
    """A way to ask a model once."""
    if sdk == "anthropic":
        async with durable_anthropic(anthropic.AsyncAnthropic(base_url=url, api_key="key"), **how) as claude:
            yield lambda: claude.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=ASK)
        return
    async with durable_openai(openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="key"), **how) as gpt:
        if sdk == "chat":
            yield lambda: gpt.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        else:
            yield lambda: gpt.responses.create(model="gpt-5", input="Hi", background=sdk == "background")


@task
async def ask_and_wait(sdk: Sdk, url: str) -> str:
    """Ask a model, and a person whatever it says."""
    async with asking(sdk, url) as ask:
        try:
            await ask()
            said = "nothing was wrong"
        except (anthropic.APIStatusError, openai.APIStatusError) as error:
            said = f"{type(error).__name__} {error.status_code} {error.response.headers.get('retry-after')} {error.body}"
        await approve("Go on?")
        return said


@task
async def ask_without_patience(sdk: Sdk, url: str) -> str:
    """Ask a model that may be silent for five seconds, once."""
    async with asking(sdk, url, retry=Retry(attempts=1), idle_timeout="5s") as ask:
        return str(await ask())


async def settle(engine: Engine, run: RunHandle[Any], *states: RunState) -> None:
    """Let time pass until the run is in one of these states."""
    async with asyncio.timeout(PATIENCE):
        while (await engine.get(run)).state not in states:
            await engine.clock.advance("10s")


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize(
    ("refusals", "told"),
    [
        ([failed(400, "no such model", kind="invalid_request_error")], "BadRequestError 400 None"),
        ([failed(429, kind="insufficient_quota"), failed(500)], "RateLimitError 429 None"),
        ([failed(529, retry_after="70")] * 5, "529 70"),
    ],
)
async def test_a_refusal_is_the_error_of_the_sdk_and_the_same_after_a_crash(
    engine: Engine, scripted_provider: Script, sdk: Sdk, refusals: list[Answer], told: str
) -> None:
    played = await scripted_provider(*refusals)
    run = await engine.start(ask_and_wait, sdk, played.url)
    await settle(engine, run, RunState.WAITING)
    async with asyncio.timeout(PATIENCE):
        while not (open_ones := [one for one in await engine.waiting(run) if one.record.kind == "approval"]):
            await engine.clock.advance("80s")
    asked = len(played.requests)
    await engine.crash()
    await open_ones[0].approve(by="maria")
    said = await run.result()
    assert told in said
    assert "api_error" in said or "invalid_request_error" in said or "insufficient_quota" in said
    assert len(played.requests) == asked == (1 if len(refusals) < 5 else 5)


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_server_that_is_not_there_is_named_when_the_tries_are_used_up(engine: Engine, sdk: Sdk) -> None:
    run = await engine.start(ask_and_wait, sdk, await nobody())
    await settle(engine, run, RunState.FAILED)
    with pytest.raises(Exception, match=r"(Anthropic|OpenAI) did not answer: .*\. Look at the network"):
        await run.result()
    events = [stored.event for stored in await engine.events(run)]
    assert len([event for event in events if isinstance(event, StepRetrying)]) == 4
    assert [event.error["type"] for event in events if isinstance(event, StepFailed)] == ["ModelUnreachable"]


async def nobody() -> str:
    """The address of a server that has just gone."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_model_that_falls_silent_is_given_up_after_its_idle_timeout(engine: Engine, scripted_provider: Script, sdk: Sdk) -> None:
    played = await scripted_provider(streamed(HELLO))
    played.gate.hold(after=0)
    run = await engine.start(ask_without_patience, sdk, played.url)
    await played.wait_requests(1)
    await engine.clock.advance("4s")
    assert (await engine.get(run)).state is RunState.RUNNING
    await settle(engine, run, RunState.FAILED)
    with pytest.raises(Exception, match="was silent for 5 s"):
        await run.result()
    await played.gate.open()


async def test_azure_is_openai_with_other_addresses(scripted_provider: Script, engine: Engine) -> None:
    chunk = '{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [%s]}'
    choice = '{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}'
    played = await scripted_provider(streamed(f"data: {chunk % choice}\n\ndata: [DONE]\n\n"))
    azure = durable_openai(openai.AsyncAzureOpenAI(azure_endpoint=played.url, api_key="key", api_version="2026-01-01"))

    @task
    async def ask_azure() -> str | None:
        answer = await azure.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        return answer.choices[0].message.content

    run = await engine.start(ask_azure)
    assert await run.result() == "hi"
    assert [entry.key for entry in await engine.app.runs.journal(run.id)] == ["openai.chat#0"]
    assert played.requests[0].path == "/openai/deployments/gpt-4o/chat/completions"
    assert isinstance(azure, openai.AsyncAzureOpenAI)
    await azure.close()


def test_a_client_that_cannot_be_durable_is_refused() -> None:
    with pytest.raises(TypeError, match="AsyncAnthropic"):
        durable_anthropic(anthropic.Anthropic(api_key="key"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="AsyncOpenAI"):
        durable_openai(openai.OpenAI(api_key="key"))  # pyright: ignore[reportArgumentType]
