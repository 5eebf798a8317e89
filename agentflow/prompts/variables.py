"""A model of variables out of their JSON schema, as a prompt's file has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, cast

from pydantic import BaseModel, ConfigDict, WithJsonSchema, create_model

from agentflow.errors import DefinitionError

_TYPES: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None, "object": dict[str, Any]}
DEEPEST = 20
"""How deeply schemas may be nested."""


def model_of(name: str, schema: Mapping[str, Any]) -> type[BaseModel]:
    """The model; each variable keeps its schema, so that templates are held to all of it. Raises `DefinitionError` for one in itself.

    >>> model_of("hello", {"properties": {"name": {"type": "string"}}, "required": ["name"]})(name="Ada")
    hello(name='Ada')
    """
    properties = cast("Mapping[str, Any]", schema.get("properties", {}))
    required = set(cast("list[str]", schema.get("required", [])))
    fields: dict[str, Any] = {}
    for one, given in properties.items():
        if not one.isidentifier() or one.startswith("_"):
            raise DefinitionError(f"{one!r} is no name of a variable.", hint="It begins with a letter.")
        whole = _whole(given, schema.get("$defs", {}), 0)
        default = ... if one in required else whole.get("default")
        kind = _type(whole) if one in required or "default" in whole else _type(whole) | None
        fields[one] = (Annotated[kind, WithJsonSchema(_shown(whole, optional=one not in required and "default" not in whole))], default)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def _shown(schema: dict[str, Any], *, optional: bool) -> dict[str, Any]:
    """The schema of a variable, which may be None where nobody gives it."""
    takes_none = schema.get("type") == "null" or any(one.get("type") == "null" for one in schema.get("anyOf", ()))
    return {"anyOf": [schema, {"type": "null"}]} if optional and not takes_none else schema


def _whole(schema: Any, definitions: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A schema with what it refers to written out."""
    if depth > DEEPEST:
        raise DefinitionError("The variables hold a schema that is in itself.", hint="Give a pydantic model: prompt.load(path, vars=…).")
    if not isinstance(schema, dict):
        return {}
    given = cast("dict[str, Any]", schema)
    if "$ref" in given:
        rest = {key: value for key, value in given.items() if key != "$ref"}
        return {**_whole(_referred(str(given["$ref"]), definitions), definitions, depth + 1), **rest}
    made = dict(given)
    for key in ("items", "additionalProperties"):
        if isinstance(given.get(key), dict):
            made[key] = _whole(given[key], definitions, depth + 1)
    for key, one in cast("dict[str, Any]", given.get("properties", {})).items():
        made["properties"] = {**made["properties"], key: _whole(one, definitions, depth + 1)}
    return {**made, **({"anyOf": [_whole(one, definitions, depth + 1) for one in given["anyOf"]]} if "anyOf" in given else {})}


def _referred(reference: str, definitions: Mapping[str, Any]) -> Any:
    name = reference.rpartition("/")[2]
    if name not in definitions:
        raise DefinitionError(f"The variables refer to {reference!r}, which is not there.", hint="Write it into $defs.")
    return definitions[name]


def _type(schema: Mapping[str, Any]) -> Any:
    """What pydantic holds a value to: the outline of the schema."""
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if "const" in schema:
        return Literal[schema["const"]]
    if "anyOf" in schema:
        return Union[tuple(_type(one) for one in schema["anyOf"])]  # noqa: UP007 - the types are known at run time only
    if schema.get("type") == "array":
        return list[_type(schema.get("items", {}))]
    if schema.get("type") == "object" and "properties" in schema:
        return _object(schema)
    return _TYPES.get(str(schema.get("type")), Any)


def _object(schema: Mapping[str, Any]) -> type[BaseModel]:
    required = set(cast("list[str]", schema.get("required", [])))
    fields: dict[str, Any] = {}
    for one, given in schema["properties"].items():
        fields[one] = (_type(given), ...) if one in required else (_type(given) | None, given.get("default"))
    return create_model(str(schema.get("title", "Fields")), __config__=ConfigDict(extra="allow"), **fields)
