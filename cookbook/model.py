"""Which model the recipes talk to."""

from __future__ import annotations

import os
from collections.abc import Callable

from agentflow.testing.models import ScriptedModel


def chosen_model(script: Callable[[], ScriptedModel]) -> tuple[str | ScriptedModel, str]:
    """The model to use, and why: that of the first key found in the environment, else a script plays it.

    `AGENTFLOW_COOKBOOK_MODEL` names another model for the same key.
    """
    named = os.environ.get("AGENTFLOW_COOKBOOK_MODEL")
    if os.environ.get("ANTHROPIC_API_KEY"):
        return named or "anthropic:claude-sonnet-4-6", "ANTHROPIC_API_KEY is set"
    if os.environ.get("OPENAI_BASE_URL"):
        return named or "openai-chat:gpt-5-mini", "OPENAI_BASE_URL is set"
    if os.environ.get("OPENAI_API_KEY"):
        return named or "openai:gpt-5-mini", "OPENAI_API_KEY is set"
    return script(), "no API key is set, so a script plays the model: it sees the same things, but follows fixed rules"


def model(script: Callable[[], ScriptedModel]) -> str | ScriptedModel:
    """The model to use, as `chosen_model` chooses it."""
    return chosen_model(script)[0]
