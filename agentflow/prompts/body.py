"""What a version of a prompt is: everything that changes the call, as canonical JSON, and the hash of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

from agentflow.errors import DefinitionError, PromptError
from agentflow.prompts.template import ENGINE, Include, Template, parse, walk

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
PARTIAL_DEPTH = 5
"""How deeply partials may be nested."""
PARTS = 20_000
"""Texts, variables and blocks that a prompt may have with its partials written out: a few partials may stand for any number of them."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one role says; `content` is a template in a body, text where it was rendered."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Where messages are put in untouched, as the history of a conversation."""

    name: str


def system(content: str) -> Message:
    """A system message of a prompt: `system("You help {{name}}.")`."""
    return Message("system", content)


def user(content: str) -> Message:
    """A user message of a prompt: `user("{{issue}}")`."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant message of a prompt, as an example of an answer: `assistant("Gladly.")`."""
    return Message("assistant", content)


def slot(name: str) -> Slot:
    """Where a prompt takes messages of the caller, untouched: `slot("history")`."""
    return Slot(name)


@dataclass(frozen=True)
class Body:
    """An immutable version of a prompt. Two with the same hash make the same call.

    `params` and `tools` are JSON for the model's provider, `response_schema` the JSON schema of its answer, `includes` the text of each
    partial, `fenced` the variables whose text is fenced.
    """

    messages: tuple[Message | Slot, ...]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: Sequence[Any] = ()
    response_schema: Mapping[str, Any] | None = None
    includes: Mapping[str, str] = field(default_factory=dict[str, str])
    fenced: tuple[str, ...] = ()
    engine: str = ENGINE

    @cached_property
    def json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, lines that end with a line feed."""
        return canonical(
            {
                "engine": self.engine,
                "messages": [_written(one) for one in self.messages],
                "model": self.model,
                "params": dict(self.params),
                "tools": list(self.tools),
                "response_schema": self.response_schema,
                "includes": {name: _lines(text) for name, text in self.includes.items()},
                "fenced": sorted(self.fenced),
            }
        )

    @cached_property
    def hash(self) -> str:
        """`sha256:` and the hash of the canonical JSON: the same in a process without a database, in a server and in a file."""
        return f"sha256:{sha256(self.json.encode('utf-8', 'surrogatepass')).hexdigest()}"

    @cached_property
    def templates(self) -> tuple[Template | Slot, ...]:
        """The messages, parsed. Raises `TemplateError`."""
        return tuple(one if isinstance(one, Slot) else parse(_lines(one.content)) for one in self.messages)

    @cached_property
    def partials(self) -> dict[str, Template]:
        """The partials, parsed. Raises `TemplateError`, and `PromptError` for one that is missing, in itself or nested too deeply."""
        found = {name: parse(_lines(text)) for name, text in self.includes.items()}
        deepest, sizes = dict[str, int](), dict[str, int]()
        parts = 0
        for one in self.templates:
            if isinstance(one, Template):
                _check_nesting(one, found, (), deepest)
                parts += _parts(one, found, sizes)
        if parts > PARTS:
            raise PromptError(f"With its partials written out the prompt has more than {PARTS:,} parts.", hint="Use fewer of them.")
        return found

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots."""
        return tuple(one.name for one in self.messages if isinstance(one, Slot))

    @classmethod
    def from_json(cls, text: str) -> Body:
        """Read what `json` wrote. Raises `PromptError` for anything else, and for a template language of a newer agentflow."""
        try:
            given = json.loads(text)
            if given["engine"] != ENGINE:
                raise PromptError(
                    f"The prompt is written in {given['engine']!r}, this agentflow reads {ENGINE}.", hint="Upgrade agentflow."
                )
            return cls(
                messages=tuple(_read(one) for one in given["messages"]),
                model=given.get("model"),
                params=dict(given.get("params") or {}),
                tools=list(given.get("tools") or ()),
                response_schema=given.get("response_schema"),
                includes=dict(given.get("includes") or {}),
                fenced=tuple(given.get("fenced") or ()),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PromptError(f"This is no body of a prompt: {error!r}.", hint='It has "engine" and "messages".') from error


def canonical(value: Any) -> str:
    """The one JSON text of a value. Raises `DefinitionError` for what JSON has no word for."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"A prompt holds something that is no JSON: {error}.", hint="Use texts, numbers, lists and dicts.") from error


def _written(one: Message | Slot) -> dict[str, str]:
    return {"slot": one.name} if isinstance(one, Slot) else {"role": one.role, "content": _lines(one.content)}


def _read(given: Mapping[str, Any]) -> Message | Slot:
    if "slot" in given:
        return Slot(str(given["slot"]))
    if given["role"] not in ROLES:
        raise ValueError(f"no role {given['role']!r}")
    return Message(given["role"], str(given["content"]))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_nesting(template: Template, known: Mapping[str, Template], above: tuple[str, ...], deepest: dict[str, int]) -> None:
    """`deepest` says how deep partials stood that were looked at: what was right there is right further up."""
    for name in sorted(template.includes):
        if name not in known:
            raise PromptError(f"There is no partial {name!r}.", hint=f'Give its text: partials={{"{name}": "…"}}.')
        if name in above:
            raise PromptError(f"The partial {name!r} is in itself: {' > '.join((*above, name))}.", hint="Take one of them out.")
        if len(above) >= PARTIAL_DEPTH:
            raise PromptError(f"Partials are nested more than {PARTIAL_DEPTH} deep: {' > '.join((*above, name))}.", hint="Write them out.")
        if deepest.get(name, -1) < len(above):
            _check_nesting(known[name], known, (*above, name), deepest)
            deepest[name] = len(above)


def _parts(template: Template, known: Mapping[str, Template], sizes: dict[str, int]) -> int:
    """How many parts a template has with its partials written out; `sizes` are those of partials."""
    found = 0
    for node in walk(template.nodes):
        found += 1
        if isinstance(node, Include):
            if node.name not in sizes:
                sizes[node.name] = _parts(known[node.name], known, sizes)
            found += sizes[node.name]
    return found
