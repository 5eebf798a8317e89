"""What an agent knows of its thread when its run begins: what was said, or a summary of the older part and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.messages import ModelMessage, ModelRequest, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

from agentflow.agents.compaction import Compaction
from agentflow.agents.events import Narrator
from agentflow.agents.messages import closed, read, written
from agentflow.agents.models import MODEL_RETRY, named, whole
from agentflow.engine.context import StepCall, StepOptions, TaskContext, ThreadScope, current_step
from agentflow.serde import ANY, digest

_TOKEN = 4
"""Characters, about: no provider's own count is at hand for a request that nobody made."""


async def recalled(run: TaskContext, thread: ThreadScope, agent: PydanticAgent[Any, Any], compact: Compaction | None) -> list[ModelMessage]:
    """The messages that a run of a thread begins with."""
    messages = closed(read(await thread.history()))
    if compact is None or _size(messages) <= compact.above * _TOKEN:
        return messages
    count = _older(messages, compact.keep)
    if count == 0:
        return messages
    said = "\n\n".join(text for one in messages[:count] for text in _told(one))
    summary = await _summed_up(run, agent, compact, said)
    [text] = written([ModelRequest(parts=[UserPromptPart(f"What was said before, summed up:\n\n{summary}")])])
    await thread.sum_up(count, text)
    return [*read([text]), *messages[count:]]


async def _summed_up(run: TaskContext, agent: PydanticAgent[Any, Any], compact: Compaction, said: str) -> str:
    model = agent.model if compact.model is None else named(compact.model)

    async def body() -> str:
        writer = PydanticAgent(model, name="compact", instructions=compact.instructions)
        result = await writer.run(said)
        Narrator(current_step(), frozenset()).finish(whole(result.response))
        return result.output

    options = StepOptions(kind="llm", retry=MODEL_RETRY)
    return await run.step(run.key("compact"), StepCall("compact", body, ANY, digest(said), options))


def _older(messages: Sequence[ModelMessage], keep: int) -> int:
    """How many messages are summed up: the tail begins with a question, so that no result of a tool stands without its call.

    0 where nothing is left to sum up: a summary alone is none the shorter for it.
    """
    begins = [place for place, one in enumerate(messages) if _asks(one) and 1 < place <= len(messages) - keep]
    return begins[-1] if begins else 0


def _asks(message: ModelMessage) -> bool:
    return isinstance(message, ModelRequest) and isinstance(message.parts[0], UserPromptPart)


def _size(messages: Sequence[ModelMessage]) -> int:
    return sum(len(text) for one in messages for text in _told(one))


def _told(message: ModelMessage) -> list[str]:
    told: list[str] = []
    for part in message.parts:
        if isinstance(part, UserPromptPart):
            told.append(f"User: {part.content}")
        elif isinstance(part, TextPart):
            told.append(f"Assistant: {part.content}")
        elif isinstance(part, ToolCallPart):
            told.append(f"Call of {part.tool_name}: {part.args_as_json_str()}")
        elif isinstance(part, ToolReturnPart):
            told.append(f"Result of {part.tool_name}: {part.model_response_str()}")
    return told
