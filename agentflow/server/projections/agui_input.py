"""What an AG-UI client sends, as pydantic models: the names are the protocol's, and what is not needed here is let through unread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentflow.server.errors import InvalidRequest

NAME = 200
"""Characters that the id of a conversation or of a run may have."""


class Foreign(BaseModel):
    """A part of somebody else's protocol: later versions may add fields."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class AguiMessage(BaseModel):
    """A message that the client holds. It is given back as it came, so it keeps what it has."""

    model_config = ConfigDict(extra="allow")
    id: str = Field(min_length=1)
    role: Literal["developer", "system", "assistant", "user", "tool", "activity", "reasoning"]
    content: str | list[dict[str, Any]] | None = None


class ResumeEntry(Foreign):
    """The answer to one interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(Foreign):
    """A request to run an agent, or to go on with a run that asked something."""

    thread_id: str = Field(min_length=1, max_length=NAME)
    run_id: str = Field(min_length=1, max_length=NAME)
    messages: list[AguiMessage] = Field(default_factory=list[AguiMessage])
    state: Any = None
    resume: list[ResumeEntry] | None = None

    @property
    def held(self) -> list[dict[str, Any]]:
        """The messages as they came."""
        return [message.model_dump(exclude_none=True) for message in self.messages]

    @property
    def shared(self) -> Mapping[str, Any] | None:
        """The state that the client shares, if it is an object."""
        given: object = self.state
        return cast("Mapping[str, Any]", given) if isinstance(given, dict) else None


class Approved(BaseModel):
    """What answers an interrupt with `resolved`."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)
    approved: bool
    reason: str | None = None
    edited_args: dict[str, Any] | None = None


def last_word(messages: Sequence[AguiMessage]) -> tuple[str, str]:
    """The id and the text of the user's message that an agent is to answer. Raises `InvalidRequest` where the last one is none."""
    last = messages[-1] if messages else None
    if last is None or last.role != "user":
        raise InvalidRequest("The last message is not the user's.", hint="Send what the user said as the last of `messages`.")
    text = last.content if isinstance(last.content, str) else _joined(last.content or [])
    if not text.strip():
        raise InvalidRequest("The user's message is empty.", hint="Send some text.")
    return last.id, text


def _joined(parts: Sequence[dict[str, Any]]) -> str:
    if any(part.get("type") != "text" for part in parts):
        raise InvalidRequest("Agents here read text.", hint="Send the user's message as text, and files as links in it.")
    return "\n".join(str(part.get("text", "")) for part in parts)
