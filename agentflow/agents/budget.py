"""What a model loop does at the limit of a budget: it ends with what it has, or fails."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pydantic_ai.durable_exec import ModelRequestParams
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, UserPromptPart

from agentflow.agents.handoff import Speaker
from agentflow.errors import BudgetExceeded


def said_so_far(exceeded: BudgetExceeded, asked: object) -> ModelResponse:
    """The answer in place of a model request that may not begin: all that was said in this conversation since it was last asked something.

    Raises `BudgetExceeded` where that is no answer: the budget ends its runs as failed, the output is no text, or nothing was said.
    """
    if exceeded.details.get("on_limit") != "stop" or not isinstance(asked, ModelRequestParams):
        raise exceeded
    texts = _said(asked.messages, asked.run_context.run_id or "")
    if not texts or not asked.model_request_parameters.allow_text_output:
        raise exceeded
    return ModelResponse([TextPart("\n\n".join(texts))])


def _said(messages: Sequence[ModelMessage], run_id: str) -> list[str]:
    """What was said in this run in answer to its last question that was answered, by whoever had the word."""
    run, texts = run_id.partition("/")[0], list[str]()
    for message in reversed(messages):
        if message.run_id is not None and message.run_id.partition("/")[0] != run:
            break
        if isinstance(message, ModelResponse):
            texts += [part.content for part in reversed(message.parts) if isinstance(part, TextPart) and part.content]
        elif texts and any(isinstance(part, UserPromptPart) for part in message.parts):
            break
    return texts[::-1]


@contextmanager
def turns_as_budget(speaker: Speaker, turns: int | None) -> Generator[None]:
    """Tell of an agent's own limit of turns as of any other budget."""
    agent = speaker.agent.name
    try:
        yield
    except UsageLimitExceeded as error:
        if turns is None or speaker.used is None or speaker.used.requests < turns:
            raise
        told = {"turns": {"spent": turns, "limit": turns, "unknown": 0}}
        hint = "Give it more turns, or None for no limit, and a Budget that asks people."
        raise BudgetExceeded(f"{agent} has used {turns} of {turns} model calls.", hint=hint, limits=told, on_limit="fail") from error
