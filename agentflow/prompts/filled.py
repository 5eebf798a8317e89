"""A prompt with its variables filled in: what is sent to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from typing import Any, cast

from agentflow.engine.speaking import speaking_by
from agentflow.errors import PromptError
from agentflow.prompts.body import Body, Message, Slot, canonical
from agentflow.prompts.rendering import Renderer
from agentflow.prompts.template import Template
from agentflow.storage.generations import Spoken, ref


@dataclass(frozen=True, slots=True)
class Filled:
    """What is sent to a model, and which version said so.

    `messages` are dicts with `role` and `content`; those of slots stand among them as they were given, at the places `slotted`. `hash` is
    that of the version. In a run, a model call whose request says its own messages word by word is counted for it, by the clients that
    `durable` makes.

        p = await support.get(name="Ada", issue="…")
        await client.messages.create(**p.to_anthropic(), max_tokens=1000)
    """

    name: str
    hash: str
    number: int | None
    messages: tuple[Any, ...]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: Sequence[Any] = ()
    response_schema: Mapping[str, Any] | None = None
    variant: str | None = None
    slotted: frozenset[int] = frozenset()
    label: str | None = None
    rollout: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def ref(self) -> str:
        """`name@v3#9f2c1a`; without a number where the version was never registered."""
        return ref(self.name, self.number, self.hash)

    @property
    def text(self) -> str:
        """The text of a prompt that is one message. Raises `PromptError` for others."""
        if len(self.messages) != 1:
            raise PromptError(f"{self.name} has {len(self.messages)} messages.", hint="Use .messages, or .system.")
        return self.messages[0]["content"]

    @property
    def system(self) -> str:
        """What the prompt's own system messages say, one paragraph each."""
        return "\n\n".join(one["content"] for one in self._own if one["role"] == "system")

    @property
    def conversation(self) -> list[Any]:
        """The messages without the prompt's own of the system."""
        return [one for at, one in enumerate(self.messages) if at in self.slotted or one["role"] != "system"]

    @property
    def rendered(self) -> str:
        """The SHA-256 of the messages that were rendered, without those of slots: a replay that makes others is noticed."""
        return sha256(canonical(self._own).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def _own(self) -> list[Any]:
        return [one for at, one in enumerate(self.messages) if at not in self.slotted]

    @property
    def spoken(self) -> Spoken:
        """What is recorded with a model call that says it."""
        chosen = {name: getattr(self, name) for name in ("hash", "ref", "number", "label", "variant", "rollout", "rendered")}
        told = dumps(dict(self.variables), ensure_ascii=False, default=str)
        return Spoken(prompt=self.name, variables=told.encode("utf-8", "replace").decode(), **chosen)

    @property
    def texts(self) -> Sequence[frozenset[str]]:
        """Its own words, as requests hold them: message by message, or those of the system as one."""
        said = frozenset(one["content"] for one in self._own)
        joined = frozenset([self.system, *(one["content"] for one in self._own if one["role"] != "system")])
        return [one for one in dict.fromkeys((said, joined)) if any(one)]

    def counting(self) -> AbstractContextManager[None]:
        """What model calls of a run use in this block counts for the version, whatever they say and wherever the prompt was filled.

        Outside of a run no call is recorded, and none counts.

        with p.counting():
            await client.messages.create(**p.to_anthropic(), max_tokens=1000)
        """
        return speaking_by(self.spoken)

    def to_anthropic(self) -> dict[str, Any]:
        """Arguments of `client.messages.create`. The model's name loses its `anthropic:`.

        Raises `PromptError` for a slot with a message of the system, which would stand in the conversation.
        """
        if any(_role(self.messages[at]) == "system" for at in self.slotted):
            hint = "Take it out of the history, or say it in a system message of the prompt."
            raise PromptError(f"{self.name}: a slot holds a message of the system.", hint=hint)
        said = {"system": self.system} if self.system else {}
        tools = {"tools": list(self.tools)} if self.tools else {}
        return {**self._model("anthropic:"), **said, "messages": self.conversation, **tools, **self.params}

    def to_openai(self) -> dict[str, Any]:
        """Arguments of `client.chat.completions.create`. The model's name loses its `openai:`."""
        tools = {"tools": list(self.tools)} if self.tools else {}
        schema = self.response_schema
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}} if schema else None
        answer = {} if form is None else {"response_format": form}
        return {**self._model("openai:"), "messages": list(self.messages), **tools, **answer, **self.params}

    def _model(self, provider: str) -> dict[str, str]:
        return {} if self.model is None else {"model": self.model.removeprefix(provider)}


def _role(message: Any) -> Any:
    """The role of a message that a caller gave, be it a dict or an object of some library."""
    return cast("Mapping[str, Any]", message).get("role") if isinstance(message, Mapping) else getattr(message, "role", None)


@dataclass(frozen=True, slots=True)
class Version:
    """A body under the name and number that people know it by."""

    name: str
    body: Body
    number: int | None = None
    variant: str | None = None
    label: str | None = None
    rollout: str | None = None

    def fill(self, values: Mapping[str, Any], slots: Mapping[str, Sequence[Any]] | None = None) -> Filled:
        """Fill in JSON values. Raises `TemplateError` for what is missing, `PromptError` for a slot that does not exist."""
        body, given = self.body, dict(slots or {})
        if unknown := given.keys() - set(body.slots):
            raise PromptError(f"{self.name} has no slot {sorted(unknown)[0]!r}.", hint=f"It has {list(body.slots)}.")
        renderer = Renderer(body.partials, frozenset(body.fenced))
        said: list[Any] = []
        slotted: set[int] = set()
        for one, template in zip(body.messages, body.templates, strict=True):
            if isinstance(one, Message) and isinstance(template, Template):
                said.append({"role": one.role, "content": renderer.render(template, values)})
            elif isinstance(one, Slot):
                before = len(said)
                said += given.get(one.name, ())
                slotted.update(range(before, len(said)))
        return Filled(
            name=self.name,
            hash=body.hash,
            number=self.number,
            messages=tuple(said),
            model=body.model,
            params=body.params,
            tools=body.tools,
            response_schema=body.response_schema,
            variant=self.variant,
            slotted=frozenset(slotted),
            label=self.label,
            rollout=self.rollout,
            variables=values,
        )
