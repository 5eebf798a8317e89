"""Templates and values to text: one walk, in which a value is appended and never read."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, cast

from agentflow.errors import TemplateError
from agentflow.prompts.template import Block, Include, Node, Spot, Template, Value, template_error

STEPS = 100_000
"""Parts of templates that one call may go through: lists in lists, and who waits meanwhile are all others of the process."""
LENGTH = 10_000_000
"""Characters that one call may say, more than any model reads."""


@dataclass(slots=True)
class _Effort:
    steps: int = 0
    length: int = 0

    def step(self, steps: int) -> None:
        self.steps += steps
        if self.steps > STEPS:
            raise TemplateError(f"The prompt goes through more than {STEPS:,} parts.", hint="Put fewer entries into its lists.")

    def say(self, text: str) -> str:
        self.length += len(text)
        if self.length > LENGTH:
            raise TemplateError(f"The prompt says more than {LENGTH:,} characters.", hint="Fill in shorter values.")
        return text


@dataclass(frozen=True, slots=True)
class Renderer:
    """What templates of one call are rendered with: the prompt's partials, and the variables whose text is fenced."""

    partials: Mapping[str, Template]
    fenced: frozenset[str] = frozenset()
    effort: _Effort = field(default_factory=_Effort)

    def render(self, template: Template, values: Mapping[str, Any]) -> str:
        """The text. Raises `TemplateError` for a variable that is missing or None, and for a text without end.

        >>> Renderer({}).render(parse("Hello {{name}}!"), {"name": "{{secret}}"})
        'Hello {{secret}}!'
        """
        said: list[str] = []
        self._walk(template.nodes, values, said)
        return "".join(said)

    def _walk(self, nodes: tuple[Node, ...], values: Mapping[str, Any], said: list[str]) -> None:
        self.effort.step(len(nodes))
        say = self.effort.say
        for node in nodes:
            if isinstance(node, str):
                said.append(say(node))
            elif isinstance(node, Value):
                text = _shown(_look(node.path, node.spot, values), node)
                said.append(say(fence(text) if node.path[0] in self.fenced else text))
            elif isinstance(node, Include):
                self._walk(self.partials[node.name].nodes, values, said)
            else:
                self._block(node, values, said)

    def _block(self, block: Block, values: Mapping[str, Any], said: list[str]) -> None:
        found = _look(block.path, block.spot, values)
        if block.kind == "each":
            if not isinstance(found, list):
                raise template_error(f"{'.'.join(block.path)} is no list.", "{{#each}} goes through a list.", block.spot)
            inner = replace(self, fenced=self.fenced | {"this"} if block.path[0] in self.fenced else self.fenced - {"this"})
            # The values are not copied: there may be as many of them as entries.
            scope = ChainMap[str, Any]({}, cast("dict[str, Any]", values.maps[-1] if isinstance(values, ChainMap) else values))
            for entry in cast("Sequence[Any]", found):
                self.effort.step(1)
                scope["this"] = entry
                inner._walk(block.body, scope, said)
        elif bool(found) is (block.kind == "if"):
            self._walk(block.body, values, said)


def fence(text: str) -> str:
    """Put a text from outside between tags. The tag is 128 bits of a hash of the text, so no text can hold the tag that closes it."""
    tag = f"untrusted-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    return f"<{tag}>\n{text}\n</{tag}>"


def _look(path: tuple[str, ...], spot: Spot, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for depth, name in enumerate(path):
        try:
            found = found[name]
        except (KeyError, TypeError):
            raise _missing(path[: depth + 1], spot) from None
    return found


def _missing(path: tuple[str, ...], spot: Spot) -> TemplateError:
    return template_error(f"There is no {'.'.join(path)}.", "Give it, or take it out of the template.", spot)


def _shown(value: Any, node: Value) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        name = ".".join(node.path)
        raise template_error(f"{name} is None.", f"Ask for it first: {{{{#if {name}}}}}…{{{{/if}}}}.", node.spot)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
