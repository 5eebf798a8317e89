"""The fixtures: `from tests.traffic.fixtures import provider, scripted_provider` in a conftest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.traffic.answers import CASSETTES, Answer, cassette
from tests.traffic.provider import Provider, serving

Play = Callable[[str], Awaitable[Provider]]
Script = Callable[..., Awaitable[Provider]]


@pytest_asyncio.fixture
async def scripted_provider() -> AsyncIterator[Script]:
    """`await scripted_provider(failed(429, retry_after="7"), streamed(text))`: a provider with hand-written answers."""
    async with AsyncExitStack() as stack:

        async def start(*answers: Answer) -> Provider:
            return await stack.enter_async_context(serving(*answers))

        yield start


@pytest.fixture
def provider(scripted_provider: Script) -> Play:
    """`await provider("anthropic/anthropic_tool_with_thinking")`: a provider that plays a cassette."""
    if not CASSETTES.is_dir():
        pytest.skip(f"The recorded traffic is not here: {CASSETTES}")

    async def play(name: str) -> Provider:
        return await scripted_provider(*cassette(name))

    return play
