"""What a model request uses at most, as far as it says so."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow.engine.prices import ADDED, call_usage, priced
from agentflow.engine.requests import body_size
from agentflow.streams.events import Usage

CLAUDE: dict[str, Any] = {"model": "claude-sonnet-4-6", "max_tokens": 1_000, "messages": [{"role": "user", "content": "2 + 2? \U0001f600"}]}


def test_a_request_of_text_uses_no_more_tokens_than_it_has_bytes_and_may_answer() -> None:
    size = body_size(CLAUDE, "anthropic", {"tokens"})
    assert 1_000 + ADDED < (size["tokens"] or 0) < 1_000 + ADDED + 300


def test_a_request_costs_no_more_than_all_of_these_tokens_written_to_the_cache() -> None:
    size = body_size(CLAUDE, "anthropic", {"tokens", "usd"})
    tokens = (size["tokens"] or 0) - 1_000
    plain = call_usage(priced(Usage(model="claude-sonnet-4-6", provider="anthropic", input=tokens, output=1_000)))
    assert (plain.cost or 0) < (size["usd"] or 0) < 2 * (plain.cost or 0)
    assert body_size({**CLAUDE, "model": "nobody-knows"}, "anthropic", {"usd"})["usd"] is None


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": None},
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.y/z.png"}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ],
)
def test_nothing_is_known_of_what_asks_for_more_than_its_text(more: dict[str, Any]) -> None:
    assert body_size({**CLAUDE, **more}, "anthropic", {"tokens"}) == {}


def test_tools_of_the_caller_are_text_and_each_choice_is_an_answer() -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    one = body_size({**CLAUDE, "tools": tools}, "openai", {"tokens"})["tokens"] or 0
    assert (body_size({**CLAUDE, "tools": tools, "n": 3}, "openai", {"tokens"})["tokens"] or 0) > one + 2_000
