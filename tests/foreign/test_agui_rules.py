"""The real client accepts whatever logs become, and makes of it what the client of the property tests does: those tests can be believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from agentflow.streams.codec import StoredEvent
from tests.foreign.agui_client import Client, agui_client
from tests.properties.agui_logs import logs
from tests.properties.test_agui import BEFORE, USER, follow, ours, page, told


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with agui_client() as client:
        yield client


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=[Phase.generate])
@given(log=logs())
async def test_the_real_client_accepts_every_stream_and_ends_with_the_same_messages(client: Client, log: list[StoredEvent]) -> None:
    runs = told(log, [*BEFORE, *USER])
    expected = follow(page([*BEFORE, *USER]), runs)
    turn = await client.replay(list(chain.from_iterable(runs)), [*BEFORE, *USER])
    assert (turn.failed, turn.complaints) == (None, [])
    assert [{**one, "content": one.get("content", "")} for one in turn.messages] == ours(expected)
    assert turn.state == expected.state


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=[Phase.generate])
@given(log=logs())
async def test_the_real_client_that_comes_back_with_half_of_it_ends_with_the_same_messages(client: Client, log: list[StoredEvent]) -> None:
    runs = told(log, USER)
    whole = follow(page(USER), runs)
    for cut in range(1, len(runs[0]), 5):
        half = page(USER)
        half.take(runs[0][:cut])
        turn = await client.replay(list(chain.from_iterable(told(log, half.messages, len(log)))), half.messages)
        assert (turn.failed, turn.complaints) == (None, [])
        assert [{**one, "content": one.get("content", "")} for one in turn.messages] == ours(whole)


async def test_the_real_client_refuses_what_the_rules_forbid(client: Client) -> None:
    begun = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
    start = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
    done = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
    for wrong in ([start], [begun, start, start], [begun, start, done], [begun, done, start], [begun, {**start, "name": None}, done]):
        assert (await client.replay(wrong, [])).failed is not None
