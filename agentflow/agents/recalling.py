"""What an agent knows of its thread when its run begins: what was said, or a summary of the older part and the rest."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import Any

from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.messages import (
    AgentStreamEvent,
    FilePart,
    ModelMessage,
    ModelRequest,
    TextContent,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from agentflow.agents.compaction import Compaction
from agentflow.agents.durability import patience, request_step
from agentflow.agents.events import Narrator, plain, shown
from agentflow.agents.handoff import Talking
from agentflow.agents.messages import closed, read, written
from agentflow.agents.models import named, whole
from agentflow.engine.context import StepCall, TaskContext, current_step
from agentflow.engine.thread_scope import ThreadScope
from agentflow.serde import ANY, digest

_ADDRESS = 200
"""Characters of an address of an image or file."""

_TOKEN = 4
"""Characters, about: no provider's own count is at hand for a request that nobody made."""


async def recalled(run: TaskContext, thread: ThreadScope, agent: Talking, compact: Compaction | None) -> list[ModelMessage]:
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


def summing_model(agent: Talking, compact: Compaction) -> Any:
    """The model that sums up what was said to an agent."""
    return agent.pydantic.model if compact.model is None else named(compact.model, agent.agent_options.get("base_url"))


async def _summed_up(run: TaskContext, agent: Talking, compact: Compaction, said: str) -> str:
    model = summing_model(agent, compact)

    async def body() -> str:
        writer = PydanticAgent(model, name="compact", instructions=compact.instructions)
        result = await writer.run(said, event_stream_handler=_touch)
        Narrator(current_step(), frozenset()).finish(whole(result.response))
        return result.output

    options = request_step(*patience(agent.agent_options))
    return await run.step(run.key("compact"), StepCall("compact", body, ANY, digest(said), options))


async def _touch(ctx: RunContext[Any], stream: AsyncIterable[AgentStreamEvent]) -> None:
    async for _ in stream:
        current_step().touch()


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
            told.append(f"User: {_words(part.content)}")
        elif isinstance(part, TextPart):
            told.append(f"Assistant: {part.content}")
        elif isinstance(part, FilePart):
            told.append(f"Assistant: {_word(part.content)}")
        elif isinstance(part, ToolCallPart):
            told.append(f"Call of {part.tool_name}: {part.args_as_json_str()}")
        elif isinstance(part, ToolReturnPart):
            told.append(f"Result of {part.tool_name}: {_words([part.model_response_str(), *part.files])}")
    return told


def _words(content: str | Sequence[UserContent]) -> str:
    said = [content] if isinstance(content, str) else content
    return "\n".join(word for one in said if (word := _word(one)))


def _word(one: UserContent) -> str:
    """A part of what was said as text: of images and files no more than what they are."""
    if isinstance(one, str):
        return one
    if isinstance(one, TextContent):
        return one.content
    found = shown(plain(one))
    if found["kind"] == "binary":
        return f"[{found['media_type']}, {found['bytes']} bytes]"
    # An address may hold the whole picture.
    about = str(found.get("file_id") or found.get("url", ""))[:_ADDRESS]
    return f"[{found['kind']}, {about}]" if about else ""
