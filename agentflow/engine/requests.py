"""What a model request of a provider's SDK uses at most, as far as its JSON says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from agentflow.engine.prices import at_most

_OUTPUT = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "container", "mcp_servers", "modalities", "web_search_options")
"""Ask for more than the request says: what the provider remembers, what it runs, what is no text."""
_NO_TEXT = re.compile(rb'"type":"[^"]*(image|document|file|audio|video|container)[^"]*"')
_OURS = frozenset({None, "function", "custom"})


def body_size(body: Mapping[str, Any], provider: str, limits: Collection[str]) -> Mapping[str, int | None]:
    """Nothing is known without a limit of its output, or where it asks for more than its own text."""
    output = next((body[name] for name in _OUTPUT if isinstance(body.get(name), int)), None)
    tools: Sequence[Mapping[str, Any]] = body.get("tools") or ()
    if output is None or any(body.get(name) for name in _ELSEWHERE) or any(one.get("type") not in _OURS for one in tools):
        return {}
    text = to_json(body, fallback=str, serialize_unknown=True)
    if _NO_TEXT.search(text):
        return {}
    return at_most(text, output * (body.get("n") or 1), body.get("model"), provider, limits)
