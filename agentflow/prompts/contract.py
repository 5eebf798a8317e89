"""The contract between a prompt's templates and its callers: a JSON schema of the variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from agentflow.errors import ContractError
from agentflow.prompts.body import Body, Message
from agentflow.prompts.template import Block, Include, Node, Spot, Template, Value, walk

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import core_schema

__all__ = ["UNTRUSTED", "Untrusted", "check", "implied", "problems", "untrusted", "unused"]

T = TypeVar("T")
UNTRUSTED = "x-untrusted"
"""The keyword of a JSON schema that marks text from outside."""


class _FromOutside:
    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), UNTRUSTED: True}


Untrusted = Annotated[T, _FromOutside()]
"""A variable with text from outside, as what a customer wrote: `issue: Untrusted[str]`. It may not stand in a system message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place; `where` names a partial or a message."""

    where: str
    spot: Spot
    text: str

    def __str__(self) -> str:
        return f"{self.where}, line {self.spot.line}, column {self.spot.column}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a name stands for at a place of a template: the schemas of variables, and paths that were asked for with `{{#if}}`."""

    names: Mapping[str, Any]
    definitions: Mapping[str, Any]
    asked: frozenset[tuple[str, ...]] = frozenset()


def check(body: Body, schema: Mapping[str, Any], *, trusting: bool = False) -> None:
    """Hold a body to the schema of its variables. Raises `ContractError` with all problems at once, and `TemplateError`.

    `trusting` lets text from outside stand in system messages.
    """
    told = [str(one) for one in problems(body, schema, trusting=trusting)]
    if told:
        raise ContractError("; ".join(told) + ".", hint="Declare the variable, or take it out of the template.", problems=told)


def untrusted(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the variables with text from outside, however deep in them it is."""
    found = cast("Mapping[str, Any]", schema.get("properties", {}))
    return tuple(name for name, one in found.items() if _holds(one, schema.get("$defs", {}), set()))


def unused(body: Body, schema: Mapping[str, Any]) -> list[str]:
    """The required variables that no template uses."""
    templates = [one for one in body.templates if isinstance(one, Template)]
    used = {node.path[0] for one in [*templates, *body.partials.values()] for node in walk(one.nodes) if isinstance(node, Value | Block)}
    return [name for name in schema.get("required", ()) if name not in used]


def implied(*bodies: Body) -> dict[str, Any]:
    """The schema of the variables that templates use, all of them asked for, of any type: for bodies that bring none."""
    names: set[str] = set()
    for body in bodies:
        templates = [one for one in body.templates if isinstance(one, Template)]
        for one in [*templates, *body.partials.values()]:
            names |= {node.path[0] for node in walk(one.nodes) if isinstance(node, Value | Block)}
    found = sorted(names - {"this"})
    return {"type": "object", "properties": {name: {} for name in found}, "required": found}


def problems(body: Body, schema: Mapping[str, Any], *, trusting: bool = False) -> Iterator[Problem]:
    """What is wrong with a body as `check` says it, place by place. Raises `TemplateError`."""
    scope = _Scope(cast("Mapping[str, Any]", schema.get("properties", {})), schema.get("$defs", {}))
    for number, (message, template) in enumerate(zip(body.messages, body.templates, strict=True)):
        if isinstance(message, Message) and isinstance(template, Template):
            where = f"message {number + 1} ({message.role})"
            safe = trusting or message.role != "system"
            yield from _Check(body.partials, where, safe).nodes(template.nodes, scope)


@dataclass(frozen=True, slots=True)
class _Check:
    partials: Mapping[str, Template]
    where: str
    safe: bool

    def nodes(self, nodes: Sequence[Node], scope: _Scope) -> Iterator[Problem]:
        for node in nodes:
            if isinstance(node, Value):
                yield from self._value(node, scope)
            elif isinstance(node, Include):
                yield from replace(self, where=f"partial {node.name}").nodes(self.partials[node.name].nodes, scope)
            elif isinstance(node, Block):
                yield from self._block(node, scope)

    def _value(self, node: Value, scope: _Scope) -> Iterator[Problem]:
        name = ".".join(node.path)
        found = _resolve(node.path, scope)
        if found is None:
            yield Problem(self.where, node.spot, f"there is no variable {name}")
        elif node.path not in scope.asked and _may_be_none(found, scope.definitions):
            yield Problem(self.where, node.spot, f"{name} may be None: ask for it first, {{{{#if {name}}}}}…{{{{/if}}}}")
        elif not self.safe and _from_outside(node.path, scope):
            yield Problem(self.where, node.spot, f"{name} is text from outside, and would speak as the system")

    def _block(self, node: Block, scope: _Scope) -> Iterator[Problem]:
        found = _resolve(node.path, scope)
        if found is None:
            yield Problem(self.where, node.spot, f"there is no variable {'.'.join(node.path)}")
            return
        if node.kind == "each":
            entry = _entry(found, scope.definitions)
            if entry is None:
                yield Problem(self.where, node.spot, f"{'.'.join(node.path)} is no list")
                return
            marked = any(_marked(one, scope.definitions) for one in _along(node.path, scope))
            inner = replace(scope, names={**scope.names, "this": {**entry, UNTRUSTED: True} if marked else entry})
        else:
            inner = replace(scope, asked=scope.asked | {node.path}) if node.kind == "if" else scope
        yield from self.nodes(node.body, inner)


def _resolve(path: tuple[str, ...], scope: _Scope) -> Mapping[str, Any] | None:
    """The schema of a path; an empty one for what can be anything, None for what does not exist."""
    found: Any = scope.names.get(path[0])
    for name in path[1:]:
        if found is None:
            return None
        plain = _plain(found, scope.definitions)
        properties = cast("Mapping[str, Any]", plain.get("properties", {}))
        rest = plain.get("additionalProperties", {} if not plain else None)
        found = properties.get(name, rest if isinstance(rest, dict) else ({} if rest is True else None))
    return found


def _choices(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in schema:
        yield from _choices(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _choices(one, definitions)
    else:
        yield schema


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema without its reference and without None."""
    nothing: Mapping[str, Any] = {}
    return next((one for one in _choices(schema, definitions) if one.get("type") != "null"), nothing)


def _may_be_none(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    return any(one.get("type") == "null" for one in _choices(schema, definitions))


def _marked(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    """Whether a schema itself, or one that it may stand for, says that this is text from outside."""
    if schema.get(UNTRUSTED):
        return True
    if "$ref" in schema:
        return _marked(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return any(_marked(one, definitions) for one in schema.get("anyOf", ()))


def _from_outside(path: tuple[str, ...], scope: _Scope) -> bool:
    """Whether what stands at a path is text from outside, lies in such, or has some in it."""
    *above, last = _along(path, scope)
    return any(_marked(one, scope.definitions) for one in above) or _holds(last, scope.definitions, set())


def _along(path: tuple[str, ...], scope: _Scope) -> Iterator[Mapping[str, Any]]:
    """The schemas on the way to a path, of each step all that there may be."""
    found: list[Mapping[str, Any]] = [scope.names[path[0]]]
    yield {"anyOf": found}
    for name in path[1:]:
        found = [inner for one in found for choice in _choices(one, scope.definitions) for inner in _fields(choice, name)]
        yield {"anyOf": found}


def _fields(schema: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    known = cast("Mapping[str, Any]", schema.get("properties", {}))
    found = known.get(name, schema.get("additionalProperties"))
    if isinstance(found, dict):
        yield found


def _holds(schema: Mapping[str, Any], definitions: Mapping[str, Any], seen: set[str]) -> bool:
    """Whether text from outside is anywhere in a schema; `seen` are the references that were followed."""
    if schema.get(UNTRUSTED):
        return True
    reference = schema.get("$ref")
    if reference is not None and reference not in seen:
        seen.add(reference)
        if _holds(definitions[reference.rpartition("/")[2]], definitions, seen):
            return True
    return any(_holds(one, definitions, seen) for one in _inner(schema))


def _inner(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("properties", "patternProperties"):
        yield from schema.get(key, {}).values()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(key, ())
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield schema[key]


def _entry(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of a list's entries, None for what is no list."""
    plain = _plain(schema, definitions)
    if not plain:
        return {}
    if plain.get("type") != "array":
        return None
    lists = [one for one in _choices(schema, definitions) if one.get("type") == "array"]
    found = [entry for one in lists for entry in _inner({key: one[key] for key in ("prefixItems", "items") if key in one})]
    return {"anyOf": found} if len(found) > 1 else found[0] if found else {}
