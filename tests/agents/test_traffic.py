"""Every recorded cassette through both ways to have an agent: what a replay sends next is, byte for byte, what the live run sends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic_ai import Agent as PydanticAgent

from agentflow import Agent
from agentflow.agents.durability import Durability
from agentflow.streams.events import MessageStarted, Usage
from tests.agents.memory import Journal, MemoryRun
from tests.traffic.answers import CASSETTES, Answer, cassette, streamed
from tests.traffic.fixtures import Play, Script
from tests.traffic.provider import Provider
from tests.traffic.test_provider import HELLO

THINKING = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}}
ALL = sorted(str(path.relative_to(CASSETTES).with_suffix("")) for path in CASSETTES.glob("*/*.yaml")) or ["none"]
Ask = Callable[[], Awaitable[Any]]


def get_user_country() -> str:
    return "Mexico"


def get_capital(country: str) -> str:
    return "Paris"


def update_plan(plan: str) -> str:
    return "plan updated"


TOOLS = [get_user_country, get_capital, update_plan]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "key")


def model_of(name: str, played: Provider) -> tuple[str, str, dict[str, Any]]:
    if name.startswith("anthropic/"):
        return "anthropic:claude-sonnet-4-6", played.url, THINKING
    if name.startswith("openai-chat/"):
        return "openai-chat:gpt-4o", played.openai_url, {}
    return "openai:gpt-4o" if "background" in name else "openai:gpt-5", played.openai_url, {"openai_background": "background" in name}


@pytest_asyncio.fixture
async def agents() -> AsyncGenerator[Callable[[str, Provider], Agent[str]]]:
    made: list[Agent[str]] = []

    def make(name: str, played: Provider) -> Agent[str]:
        model, url, settings = model_of(name, played)
        made.append(Agent("support", model=model, base_url=url, tools=TOOLS, settings=settings))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def asked(way: str, name: str, played: Provider, agents: Callable[[str, Provider], Agent[str]]) -> Ask:
    """An `Agent`, or an agent of pydantic-ai with the capability, on the same model."""
    mine = agents(name, played)
    if way == "agent":
        return lambda: mine.plain("What is it?")
    model, settings = mine.pydantic.model, cast("Any", model_of(name, played)[2])
    theirs = PydanticAgent(model, name="support", tools=TOOLS, model_settings=settings, capabilities=[Durability()])

    async def run() -> str:
        return (await theirs.run("What is it?")).output

    return run


def posts(answers: list[Answer]) -> int:
    return sum(answer.method == "POST" for answer in answers)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("way", ["agent", "durability"])
async def test_a_crash_between_turns_sends_the_next_request_as_the_live_run_did(
    provider: Play, agents: Callable[[str, Provider], Agent[str]], name: str, way: str
) -> None:
    played, journal = await provider(name), Journal()
    ask = asked(way, name, played, agents)
    live = await MemoryRun(journal).drive(ask)
    sent = [one.body for one in played.requests]
    again = MemoryRun(Journal(results=dict(journal.results)))
    assert await again.drive(ask) == live
    assert (again.executed, len(played.requests)) == ([], len(sent))
    assert journal.of(MessageStarted)
    assert all(event.input and event.output for event in journal.of(Usage))

    turns = [key for key in journal.results if key.rsplit("/", 1)[-1].startswith("turn:")]
    assert len(turns) == posts(cassette(name))
    for lost, key in enumerate(turns):
        kept = dict(list(journal.results.items())[: list(journal.results).index(key)])
        # The same server: an id of an item goes back only to where it came from.
        played.answers[:] = cassette(name)[lost:]
        played.requests.clear()
        assert await MemoryRun(Journal(results=kept)).drive(ask) == live
        assert [one.body for one in played.requests] == sent[lost:]


@pytest.mark.parametrize("name", [one for one in ALL if "anthropic" in one] or ["none"])
async def test_what_anthropic_said_goes_back_as_it_came(provider: Play, agents: Callable[[str, Provider], Agent[str]], name: str) -> None:
    played = await provider(name)
    played.then(streamed(HELLO), streamed(HELLO))
    one, journal = agents(name, played).pydantic, Journal()
    live = await MemoryRun(journal).drive(lambda: one.run("hi"))
    replayed = await MemoryRun(Journal(results=journal.results)).drive(lambda: one.run("hi"))
    asked = len(played.requests)
    await one.run("more", message_history=live.all_messages())
    await one.run("more", message_history=replayed.all_messages())
    assert played.requests[asked].body == played.requests[asked + 1].body
    signed = [block for message in played.requests[asked].body["messages"] for block in message["content"] if "signature" in block]
    recorded = "".join(b"".join(answer.chunks).decode() for answer in cassette(name))
    assert all(json.dumps(block["signature"])[1:-1] in recorded for block in signed)
    assert signed or "signature" not in recorded


async def test_a_stream_of_background_work_that_breaks_is_taken_up_where_it_was_and_is_asked_for_once(
    scripted_provider: Script, provider: Play, agents: Callable[[str, Provider], Agent[str]]
) -> None:
    name = "openai-responses/background_mode_streaming_starting_after_vcr"
    await provider(name)
    whole, rest = cassette(name)
    played = await scripted_provider(replace(whole, chunks=whole.chunks[:1]), rest)
    journal = Journal()
    assert await MemoryRun(journal).drive(lambda: agents(name, played).plain("What is 2 + 2?")) == "2 + 2 equals 4."
    assert [(one.method, one.query) for one in played.requests] == [("POST", ""), ("GET", "starting_after=0&stream=true")]
    assert list(journal.results) == ["support#0/turn:1", "support#0/turn:1.2"]
    again = MemoryRun(journal)
    assert await again.drive(lambda: agents(name, played).plain("What is 2 + 2?")) == "2 + 2 equals 4."
    assert again.executed == []
