"""What a client of the AI SDK asks for: whose answer it wants, what it says, which questions it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from agentflow.errors import CursorInvalid
from agentflow.server.errors import InvalidRequest
from agentflow.server.requests import Strict
from agentflow.streams.cursor import Cursor

Major = Annotated[int, Field(ge=5, le=7)]
"""A major version of the `ai` package."""
_RUN = "run_"


class ChatQuery(Strict):
    """`agent`: who is to answer, where there are several. `sdk`: the major version of the client's `ai` package."""

    agent: str | None = None
    sdk: Major | None = None


class ResumeQuery(Strict):
    """`startIndex`: the number of chunks that the reader has had; below 0 it counts from the last one."""

    start_index: int | None = Field(None, alias="startIndex")
    sdk: Major = 7


class Message(BaseModel):
    """A message as the client has it."""

    model_config = ConfigDict(extra="ignore")
    id: str = ""
    role: str
    parts: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    metadata: Any = None

    @property
    def text(self) -> str:
        """What a person wrote. Raises `InvalidRequest` for what an agent cannot be told yet."""
        other = {str(part.get("type")) for part in self.parts} - {"text"}
        if any(kind == "file" for kind in other):
            raise InvalidRequest(
                "An agent takes text, and no files.", hint="Store the file where a tool finds it, and name it in the text."
            )
        said = "\n".join(str(part.get("text", "")) for part in self.parts if part.get("type") == "text")
        if not said.strip():
            raise InvalidRequest("The message has no text.", hint='Send parts: [{"type": "text", "text": "…"}].')
        return said

    def answers(self) -> Iterator[Answer]:
        """The questions that the client says were answered."""
        for part in self.parts:
            approval: Any = part.get("approval")
            if part.get("state") == "approval-responded" and isinstance(approval, dict):
                given = cast("dict[str, Any]", approval)
                reason = given.get("reason")
                yield Answer(str(given.get("id", "")), given.get("approved") is True, str(reason) if reason is not None else None)

    @property
    def place(self) -> tuple[str, Cursor] | None:
        """The run whose message it is, and up to where the client has it."""
        given: object = self.metadata
        told = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        try:
            return str(told["runId"]), Cursor.parse(str(told["cursor"]))
        except (KeyError, CursorInvalid):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A client's answer to an approval: a claim, which counts only if it answers a question that is open."""

    approval: str
    approved: bool
    reason: str | None


class Chat(BaseModel):
    """What `useChat` sends: the id of the chat, which is the thread's, and its messages. Only the last one is heard, and answers."""

    model_config = ConfigDict(extra="ignore")
    id: str = Field(min_length=1, max_length=255)
    messages: list[Message] = Field(min_length=1)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    agent: str | None = None
    sdk: Major | None = None

    @property
    def last(self) -> Message:
        """The last message."""
        return self.messages[-1]

    def key(self, heard: int) -> str | None:
        """The same for a request that is sent again; one more regeneration is another request once the thread has heard more."""
        if not self.last.id:
            return None
        said = blake2b(self.last.text.encode(), digest_size=8).hexdigest()
        again = f"/{heard}" if self.trigger == "regenerate-message" else ""
        return f"chat/{self.id}/{self.last.id}/{self.trigger}/{said}{again}"


@dataclass(frozen=True, slots=True)
class Address:
    """What stands in the path of a resume: a chat, or a run, perhaps behind an event of it."""

    chat: str | None = None
    run: str | None = None
    after: Cursor | None = None

    @classmethod
    def of(cls, text: str) -> Address:
        """Read `chat`, `run_…` or `run_…@<epoch>-<seq>`. Raises `CursorInvalid`."""
        if not text.startswith(_RUN):
            return cls(chat=text)
        run, _, after = text.partition("@")
        return cls(run=run, after=Cursor.parse(after) if after else None)

    @staticmethod
    def written(run: str, after: Cursor | None) -> str:
        """The text that `of` reads."""
        return run if after is None else f"{run}@{after}"
