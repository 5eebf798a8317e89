"""What a model loop does at the limit of a budget: it ends with what it has, or fails."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pydantic_ai.durable_exec import ModelRequestParams
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ModelResponse, TextPart

from agentflow.errors import BudgetExceeded


def said_so_far(exceeded: BudgetExceeded, asked: object) -> ModelResponse:
    """The answer in place of a model request that may not begin: all that was said in this conversation since it was last asked something.

    Raises `BudgetExceeded` where that is no answer: the budget ends its runs as failed, the output is no text, or nothing was said.
    """
    if exceeded.details.get("on_limit") != "stop" or not isinstance(asked, ModelRequestParams):
        raise exceeded
    run_id = asked.run_context.run_id
    said = [message for message in asked.messages if isinstance(message, ModelResponse) and message.run_id == run_id]
    texts = [part.content for message in said for part in message.parts if isinstance(part, TextPart) and part.content]
    if not texts or not asked.model_request_parameters.allow_text_output:
        raise exceeded
    return ModelResponse([TextPart("\n\n".join(texts))])


@contextmanager
def turns_as_budget(agent: str, turns: int | None) -> Generator[None]:
    """Tell of an agent's own limit of turns as of any other budget."""
    try:
        yield
    except UsageLimitExceeded as error:
        told = {"turns": {"spent": turns, "limit": turns, "unknown": 0}}
        hint = "Give it more turns, or None for no limit, and a Budget that asks people."
        raise BudgetExceeded(f"{agent} has used {turns} of {turns} model calls.", hint=hint, limits=told, on_limit="fail") from error
