"""Responses that OpenAI makes in the background: asked for once, whatever becomes of the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest
from agentflow_openai import durable

from agentflow import RunCancelled, RunFailed, task
from agentflow.adapters import MODEL_RETRY
from agentflow.records import RunState
from agentflow.streams.events import Event, RunAttempt, TextDelta, Usage
from agentflow.testing import Engine
from tests.integrations.test_openai import response, told
from tests.traffic.answers import Answer, cassette, document, failed
from tests.traffic.fixtures import Play, Script
from tests.traffic.provider import Provider

PATIENCE = 10.0
NAMED, SPOKEN = "openai.responses#0/created", "openai.responses#0"


pytestmark = pytest.mark.both_databases


@task
async def ask_in_background(url: str, more: dict[str, Any]) -> str:
    """Ask a model in the background; when it is silent for five minutes, look at once whether it is still there."""
    async with durable(openai.AsyncOpenAI(base_url=url, api_key="key"), retry=replace(MODEL_RETRY, attempts=3)) as client:
        answered = await client.responses.create(model="gpt-5", input="2 + 2?", background=True, extra_body=more)
        return answered.output_text or f"{answered.status}"


@task
async def ask_twice_at_once(urls: list[str]) -> list[str]:
    """Ask two models at once."""
    return list(await asyncio.gather(*(ask_plainly(url) for url in urls)))


async def ask_plainly(url: str) -> str:
    """Ask a model in the background."""
    async with durable(openai.AsyncOpenAI(base_url=url, api_key="key")) as client:
        return (await client.responses.create(model="gpt-5", input="2 + 2?", background=True)).output_text


async def until(test: Callable[[list[Event]], bool], engine: Engine, run: Any) -> list[Event]:
    """What the run has said, once it has said enough."""
    async with asyncio.timeout(PATIENCE):
        while not test(events := [stored.event for stored in await engine.events(run)]):
            await asyncio.sleep(0)
    return events


def speaks(events: list[Event]) -> bool:
    return any(isinstance(event, TextDelta) for event in events)


def answer(text: str = "four", name: str = "resp_1") -> tuple[dict[str, Any], ...]:
    """The events of a background response."""
    at: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = response("in_progress", output=[], usage=None, id=name)
    pieces: list[dict[str, Any]] = [{"type": "response.output_text.delta", **at, "delta": letter, "logprobs": []} for letter in text]
    return (
        {"type": "response.created", "response": begun},
        *pieces,
        {"type": "response.completed", "response": response(text=text, id=name)},
    )


def found_again(*events: dict[str, Any]) -> Answer:
    """The same response, asked for after its first event."""
    whole, path = told(*events), f"/v1/responses/{events[0]['response']['id']}"
    return Answer(whole.chunks[1:], headers=whole.headers, stream=True, method="GET", path=path)


async def test_the_stream_that_named_the_response_is_heard_to_its_end(engine: Engine, scripted_provider: Script) -> None:
    played = await scripted_provider(told(*answer()))
    run = await engine.start(ask_in_background, played.openai_url, {})
    assert await run.result() == "four"
    assert [request.method for request in played.requests] == ["POST"]
    recorded = {entry.key: entry.value for entry in await engine.app.runs.journal(run.id)}
    assert recorded[NAMED] == '{"id":"resp_1","after":0}'
    events = [stored.event for stored in await engine.events(run)]
    assert [event.step for event in events if isinstance(event, Usage)] == [SPOKEN]
    used = await engine.app.runs.usage(run.id)
    assert (used.own.calls, used.own.unmetered) == (1, 0)
    assert "".join(event.delta for event in events if isinstance(event, TextDelta)) == "four"


async def test_after_a_crash_the_second_worker_goes_on_with_the_same_response(engine: Engine, provider: Play) -> None:
    played = await provider("openai-responses/background_mode_streaming_starting_after_vcr")
    # The recorded two are of two responses: the second is what the first would have been.
    again = played.answers[1]
    posted = b"".join(cassette("openai-responses/background_mode_streaming_starting_after_vcr")[0].chunks).decode()
    name = posted.partition('"id":"')[2].partition('"')[0]
    played.answers[1] = Answer(again.chunks, headers=again.headers, stream=True, method="GET", path=f"/v1/responses/{name}")
    played.gate.hold(after=9)
    run = await engine.start(ask_in_background, played.openai_url, {})
    await until(speaks, engine, run)
    await engine.stop()
    await played.gate.open()
    await engine.go_on()
    assert await run.result() == "2 + 2 equals 4."
    assert [request.method for request in played.requests] == ["POST", "GET"]
    assert sorted(played.requests[1].query.split("&")) == ["starting_after=0", "stream=true"]
    events = [stored.event for stored in await engine.events(run)]
    [lost] = [event for event in events if isinstance(event, RunAttempt)]
    after = events[events.index(lost) :]
    assert "".join(event.delta for event in after if isinstance(event, TextDelta)) == "2 + 2 equals 4."
    assert len([event for event in events if isinstance(event, Usage)]) == 1


async def test_two_responses_at_once_are_each_found_again(engine: Engine, scripted_provider: Script) -> None:
    both = [answer(), answer("nine", "resp_2")]
    played = [await scripted_provider(told(*one), found_again(*one)) for one in both]
    for one in played:
        one.gate.hold(after=2)
    run = await engine.start(ask_twice_at_once, [one.openai_url for one in played])
    await until(lambda events: sum(isinstance(event, TextDelta) for event in events) == 2, engine, run)
    await engine.stop()
    for one in played:
        await one.gate.open()
    await engine.go_on()
    assert await run.result() == ["four", "nine"]
    assert [[request.method for request in one.requests] for one in played] == [["POST", "GET"]] * 2


async def test_a_stream_that_breaks_off_is_taken_up_again_and_not_asked_for(engine: Engine, scripted_provider: Script) -> None:
    broken = told(*answer())
    cut = Answer(broken.chunks, headers=broken.headers, stream=True, cut_after=3)
    unavailable = failed(503)
    played = await scripted_provider(cut, unavailable, found_again(*answer()))
    run = await engine.start(ask_in_background, played.openai_url, {})
    async with asyncio.timeout(PATIENCE):
        while len(played.requests) < 3:
            await engine.clock.advance("1s")
    assert await run.result() == "four"
    assert [request.method for request in played.requests] == ["POST", "GET", "GET"]


async def test_a_model_may_be_silent_for_longer_than_any_timeout(engine: Engine, scripted_provider: Script) -> None:
    alive = replace(document(response("in_progress", output=[], usage=None)), method="GET", path="/v1/responses/resp_1")
    played = await scripted_provider(told(*answer()))
    played.gate.hold(after=1)
    run = await engine.start(ask_in_background, played.openai_url, {})
    # Each of its three tries hears nothing; then the response is looked at, and followed anew.
    for requests in (2, 3):
        played.then(found_again(*answer()))
        await let_pass(engine, played, requests)
    played.then(alive)
    await let_pass(engine, played, 4)
    played.then(found_again(*answer()))
    await played.gate.open()
    assert await run.result() == "four"
    assert [request.method for request in played.requests] == ["POST", *["GET"] * 4]
    assert "openai.responses#0/again.2" in {entry.key for entry in await engine.app.runs.journal(run.id)}


async def let_pass(engine: Engine, played: Provider, requests: int) -> None:
    """Let time pass until the provider has got so many requests."""
    async with asyncio.timeout(PATIENCE):
        while len(played.requests) < requests:
            await engine.clock.advance("30s")


async def test_a_response_that_failed_in_the_background_is_not_followed_again(engine: Engine, scripted_provider: Script) -> None:
    broken = response("failed", error={"code": "server_error", "message": "sorry"}, output=[], usage=None)
    played = await scripted_provider(told(answer()[0], {"type": "response.failed", "response": broken}))
    run = await engine.start(ask_in_background, played.openai_url, {})
    with pytest.raises(RunFailed, match="sorry"):
        await run.result()
    assert len(played.requests) == 1


@pytest.mark.parametrize("crashed", [False, True], ids=["at once", "after a crash"])
async def test_a_cancelled_run_cancels_its_response(engine: Engine, scripted_provider: Script, crashed: bool) -> None:
    stopped = Answer(
        document(response("cancelled")).chunks,
        headers={"content-type": "application/json"},
        method="POST",
        path="/v1/responses/resp_1/cancel",
    )
    posted = told(*answer())
    played = await scripted_provider(
        Answer(posted.chunks, headers=posted.headers, stream=True, method="POST", path="/v1/responses"), stopped, found_again(*answer())
    )
    played.gate.hold(after=3)
    run = await engine.start(ask_in_background, played.openai_url, {})
    await until(speaks, engine, run)
    if crashed:
        await engine.crash()
        await played.wait_requests(2)
    cancelling = asyncio.ensure_future(run.cancel(reason="not wanted"))
    await played.wait_requests(3 if crashed else 2)
    await played.gate.open()
    await cancelling
    with pytest.raises(RunCancelled):
        await run.result()
    assert [request.path.rpartition("/")[2] for request in played.requests] == ["responses", *["resp_1"] * crashed, "cancel"]
    recorded = {entry.key: entry.value for entry in await engine.app.runs.journal(run.id)}
    assert recorded["openai.responses#0/cancelled"] == '"cancelled"'


async def test_a_worker_that_leaves_cancels_nothing(engine: Engine, scripted_provider: Script) -> None:
    played = await scripted_provider(told(*answer()), found_again(*answer()))
    played.gate.hold(after=3)
    run = await engine.start(ask_in_background, played.openai_url, {})
    await until(speaks, engine, run)
    await engine.close()
    await played.gate.open()
    await engine.go_on()
    assert await run.result() == "four"
    assert [request.method for request in played.requests] == ["POST", "GET"]


async def test_a_response_that_may_take_hours_is_recorded_as_it_is_queued(engine: Engine, scripted_provider: Script) -> None:
    played = await scripted_provider(document(response("queued", output=[], usage=None)))
    run = await engine.start(ask_in_background, played.openai_url, {"background_options": {"completion_window": "2h"}})
    assert await run.result() == "queued"
    assert not played.requests[0].streaming
    assert (await engine.get(run)).state is RunState.COMPLETED
