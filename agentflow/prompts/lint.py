"""What is worth a second look in a prompt that is correct: what costs money, leaks or was forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from agentflow.errors import TemplateError
from agentflow.prompts import contract
from agentflow.prompts.body import Body, Message
from agentflow.prompts.template import Include, Node, Template, parse

CACHEABLE = 4_096
"""Bytes of text after which providers begin to cache: 1,024 tokens."""
LONG = 100_000
"""Characters of templates that are called very long: some 25,000 tokens in every call."""

Code = Literal["contract", "template", "unused_variable", "secret", "todo", "cache", "long", "unknown_model"]

_SECRETS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a key of a provider": re.compile(
        r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|xox[abpr]-[\w-]{10,})"
    ),
    "a token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*"),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+]*://[^\s:/@{]+:[^\s:/@{]{3,}@"),
    "a password": re.compile(r"(?i)\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\b\s*[:=]\s*[\"']?(?=\S*\d)[^\s\"'{}<>]{8,}"),
}
_TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `where` names a message, a partial or a field; `line` and `column` count from 1 where it is in a text."""

    code: Code
    where: str
    text: str
    line: int | None = None
    column: int | None = None

    @property
    def wrong(self) -> bool:
        """Whether the prompt cannot be used like this."""
        return self.code in ("contract", "template")

    def __str__(self) -> str:
        spot = "" if self.line is None else f", line {self.line}" + ("" if self.column is None else f", column {self.column}")
        return f"{self.where}{spot}: {self.text} [{self.code}]"


def lint(body: Body, schema: Mapping[str, Any] | None = None, *, trusting: bool = False) -> list[Finding]:
    """Everything to look at in a body; `schema` is that of its variables, `trusting` lets text from outside stand in system messages.

    >>> [one.code for one in lint(Body((user("TODO {{name}}"),)), {"properties": {"name": {}, "plan": {}}, "required": ["plan"]})]
    ['unused_variable', 'todo']
    """
    broken = list(_broken(body))
    if broken:
        return broken
    held = () if schema is None else _held(body, schema, trusting=trusting)
    return [*held, *_texts(body), *_caching(body), *_length(body), *_model(body)]


def _broken(body: Body) -> Iterator[Finding]:
    for where, text in _named(body):
        try:
            parse(text)
        except TemplateError as error:
            yield Finding("template", where, error.message, error.details.get("line"), error.details.get("column"))


def _held(body: Body, schema: Mapping[str, Any], *, trusting: bool) -> Iterator[Finding]:
    for one in contract.problems(body, schema, trusting=trusting):
        yield Finding("contract", one.where, one.text, one.spot.line, one.spot.column)
    for name in contract.unused(body, schema):
        yield Finding("unused_variable", "variables", f"{name} is asked of every caller, and no template uses it")


def _texts(body: Body) -> Iterator[Finding]:
    for where, text in _named(body):
        for kind, pattern in _SECRETS.items():
            for match in pattern.finditer(text):
                yield _at("secret", where, text, match, f"{match[0][:4]}… looks like {kind}: everybody who reads the prompt has it")
        for match in _TODO.finditer(text):
            yield _at("todo", where, text, match, f"{match[0]} goes to the model as it is")


def _named(body: Body) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(body.messages, 1):
        if isinstance(one, Message):
            yield f"message {number} ({one.role})", one.content
    for name, text in body.includes.items():
        yield f"partial {name}", text


def _at(code: Code, where: str, text: str, match: re.Match[str], told: str) -> Finding:
    start = match.start()
    return Finding(code, where, told, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))


def _caching(body: Body) -> Iterator[Finding]:
    fixed, rest = _fixed(body)
    if fixed + rest >= CACHEABLE and fixed < CACHEABLE <= rest:
        told = (
            f"what stands here is another text in each call, so providers cache no more than {fixed:,} of {fixed + rest:,} bytes:"
            " move it to the end, or into a message of the user"
        )
        yield Finding("cache", "system", told)


def _fixed(body: Body) -> tuple[int, int]:
    """The bytes of the system text before the first variable or block, and the bytes of text from there on."""
    pieces = [piece for template in _system(body) for piece in _pieces(template.nodes, body.partials)]
    first = next((at for at, one in enumerate(pieces) if one is None), len(pieces))
    return _size(pieces[:first]), _size(pieces[first:])


def _system(body: Body) -> list[Template]:
    pairs = zip(body.messages, body.templates, strict=True)
    return [found for one, found in pairs if isinstance(one, Message) and one.role == "system" and isinstance(found, Template)]


def _pieces(nodes: Sequence[Node], partials: Mapping[str, Template]) -> Iterator[str | None]:
    """Texts as they come, None for what is known in the call only; the texts in a block come after it."""
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Include):
            yield from _pieces(partials[node.name].nodes, partials)
        else:
            yield None
            yield from _pieces(getattr(node, "body", ()), partials)


def _size(pieces: Sequence[str | None]) -> int:
    return sum(len(one.encode("utf-8", "surrogatepass")) for one in pieces if one is not None)


def _length(body: Body) -> Iterator[Finding]:
    size = sum(len(text) for _, text in _named(body))
    if size > LONG:
        yield Finding("long", "messages", f"{size:,} characters go with each call, some {size // 4:,} tokens")


def _model(body: Body) -> Iterator[Finding]:
    if body.model is not None and not known_model(body.model):
        yield Finding("unknown_model", "model", f"nobody knows what {body.model!r} costs: is it the model's name?")


@cache
def known_model(name: str) -> bool:
    """Whether genai-prices knows a model, as `anthropic:claude-sonnet-4-6` or without its provider."""
    from genai_prices.data_snapshot import get_snapshot

    provider, _, model = name.rpartition(":")
    snapshot = get_snapshot()
    known = provider if any(one.id == provider for one in snapshot.providers) else None
    try:
        snapshot.find_provider_model(model, None, known, None)
    except LookupError:
        return False
    return True
