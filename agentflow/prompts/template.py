"""The template language `af1`: parsed once, rendered in one walk, so that a value is never read as a template.

    {{name}} {{order.id}}                      a variable, or a field of one
    {{#if vip}}…{{/if}} {{#unless vip}}…{{/unless}}
    {{#each lines}}{{this.name}}{{/each}}      `this` is the entry
    {{> rules}}                                a partial of the same prompt
    {{! for people}}   \\{{                    a comment; two braces as they are

No filters, no expressions: what is smarter belongs into Python. A block tag or comment alone in its line takes the line with it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from agentflow.errors import TemplateError

ENGINE = "af1"
"""The name of this language; a change of what a text means gets another one."""

DEPTH = 64
"""How deeply blocks may be nested."""

_TAG = re.compile(r"\\\{\{|\{\{(.*?)\}\}|\{\{", re.DOTALL)
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_BLOCKS = ("if", "unless", "each")
_KNOWN = "Known are {{name}}, {{#if x}}, {{#unless x}}, {{#each xs}}, {{> partial}}, {{! comment}}; two braces as they are: \\{{."

BlockKind = Literal["if", "unless", "each"]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a text, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Value:
    """`{{a.b}}`."""

    path: tuple[str, ...]
    spot: Spot


@dataclass(frozen=True, slots=True)
class Include:
    """`{{> name}}`."""

    name: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Block:
    """`{{#if a.b}}…{{/if}}` and its like."""

    kind: BlockKind
    path: tuple[str, ...]
    spot: Spot
    body: tuple[Node, ...]


Node = str | Value | Include | Block


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was parsed."""

    nodes: tuple[Node, ...]

    @property
    def includes(self) -> frozenset[str]:
        """The partials it names."""
        return frozenset(one.name for one in walk(self.nodes) if isinstance(one, Include))


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, blocks before what is in them."""
    for node in nodes:
        yield node
        if isinstance(node, Block):
            yield from walk(node.body)


def parse(text: str) -> Template:
    """Read a template. Raises `TemplateError` with `line` and `column` in its details for what is no tag and for blocks that do not match.

    >>> parse("Hello {{name}}!").nodes[0]
    'Hello '
    """
    return _Parser(text).parse()


@dataclass(slots=True)
class _Open:
    kind: BlockKind
    path: tuple[str, ...]
    spot: Spot
    nodes: list[Node] = field(default_factory=list["Node"])


@dataclass(slots=True)
class _Parser:
    text: str
    at: int = 0
    stack: list[_Open] = field(default_factory=list[_Open])
    nodes: list[Node] = field(default_factory=list["Node"])
    said: list[str] = field(default_factory=list[str])
    breaks: list[int] = field(default_factory=list[int])

    def parse(self) -> Template:
        self.breaks = [match.start() for match in re.finditer("\n", self.text)]
        for match in _TAG.finditer(self.text):
            if match.start() < self.at:
                continue
            if match[0] == "\\{{":
                self.said.append(self.text[self.at : match.start()] + "{{")
                self.at = match.end()
            elif match[1] is None:
                raise self._wrong(match.start(), "Two braces are opened and not closed.")
            else:
                self._tag(match)
        self.said.append(self.text[self.at :])
        self._close_text()
        if self.stack:
            last = self.stack[-1]
            raise template_error(f"{{{{#{last.kind}}}}} is never closed.", f"Write {{{{/{last.kind}}}}} where it ends.", last.spot)
        return Template(tuple(self.nodes))

    def _tag(self, match: re.Match[str]) -> None:
        inner = match[1].strip()
        start, end = match.span()
        if inner[:1] in ("#", "/", "!"):
            start, end = self._whole_line(start, end)
        self.said.append(self.text[self.at : start])
        self.at = end
        if inner.startswith("!"):
            return
        self._close_text()
        spot = self._spot(match.start())
        if inner.startswith("#"):
            self._begin(inner[1:], spot)
        elif inner.startswith("/"):
            self._finish(inner[1:].strip(), spot)
        elif inner.startswith(">"):
            self._current.append(Include(self._named(inner[1:].strip(), spot), spot))
        else:
            self._current.append(Value(self._path(inner, spot), spot))

    def _begin(self, inner: str, spot: Spot) -> None:
        kind, _, path = inner.strip().partition(" ")
        for known in _BLOCKS:
            if kind == known:
                if len(self.stack) >= DEPTH:
                    raise template_error(f"Blocks are nested more than {DEPTH} deep.", "Decide in Python what the text says.", spot)
                self.stack.append(_Open(known, self._path(path.strip(), spot), spot))
                return
        raise template_error(f"There is no block {{{{#{kind}}}}}.", _KNOWN, spot)

    def _finish(self, kind: str, spot: Spot) -> None:
        if not self.stack or self.stack[-1].kind != kind:
            opened = f"open is {{{{#{self.stack[-1].kind}}}}}" if self.stack else "nothing is open"
            raise template_error(f"{{{{/{kind}}}}} closes no block: {opened}.", "Close blocks in the reverse order.", spot)
        done = self.stack.pop()
        self._current.append(Block(done.kind, done.path, done.spot, tuple(done.nodes)))

    @property
    def _current(self) -> list[Node]:
        return self.stack[-1].nodes if self.stack else self.nodes

    def _close_text(self) -> None:
        """What was said since the last tag is one text, whatever comments stood in it."""
        text = "".join(self.said)
        self.said.clear()
        if text:
            self._current.append(text)

    def _whole_line(self, start: int, end: int) -> tuple[int, int]:
        """The line around a tag, if the tag is all there is in it."""
        line = bisect_left(self.breaks, start)
        begin = self.breaks[line - 1] + 1 if line else 0
        last = bisect_left(self.breaks, end)
        stop = self.breaks[last] + 1 if last < len(self.breaks) else len(self.text)
        alone = begin >= self.at and not self.text[begin:start].strip(" \t") and not self.text[end:stop].strip()
        return (begin, stop) if alone else (start, end)

    def _path(self, text: str, spot: Spot) -> tuple[str, ...]:
        if _PATH.fullmatch(text) is None:
            raise template_error(f"{text!r} names no variable.", _KNOWN, spot)
        return tuple(text.split("."))

    def _named(self, text: str, spot: Spot) -> str:
        if _NAME.fullmatch(text) is None:
            raise template_error(f"{text!r} names no partial.", "Write {{> name}}.", spot)
        return text

    def _wrong(self, at: int, message: str) -> TemplateError:
        return template_error(message, _KNOWN, self._spot(at))

    def _spot(self, at: int) -> Spot:
        line = bisect_left(self.breaks, at)
        return Spot(line + 1, at - (self.breaks[line - 1] if line else -1))


def template_error(message: str, hint: str, spot: Spot) -> TemplateError:
    """An error at a place of a template."""
    return TemplateError(f"Line {spot.line}, column {spot.column}: {message}", hint=hint, line=spot.line, column=spot.column)
