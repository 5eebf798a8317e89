"""What a model is told of a tool: its description and the JSON schema of its arguments, from a docstring and a signature."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from agentflow.errors import DefinitionError

Schema = dict[str, Any]

_SCHEMAS = ("properties", "$defs")
_QUIET: dict[Any, dict[str, Any]] = {
    "google": {"warnings": False, "returns_named_value": False, "returns_multiple_items": False},
    "numpy": {"warnings": False},
    "sphinx": {"warnings": False},
}


@dataclass(frozen=True, slots=True)
class Written:
    """What a docstring says: `text` without its arguments, and a description for each argument that has one."""

    text: str
    arguments: dict[str, str]


def written(function: Callable[..., Any]) -> Written:
    """Read a docstring of Google's, NumPy's or Sphinx's style. What stands about errors is not for the model."""
    doc = inspect.getdoc(function)
    if not doc:
        return Written("", {})
    # A seventh of a second to import: it comes with the first tool that a model is told of.
    from griffe import Docstring, parse_auto

    said: list[str] = []
    arguments: dict[str, str] = {}
    for section in parse_auto(Docstring(doc, lineno=1), default="google", per_style_options=cast("Any", _QUIET)):
        found: Any = section.value
        match section.kind.value:
            case "text":
                said.append(found)
            case "returns":
                said.append(f"Returns: {'; '.join(one.description for one in found)}")
            case "admonition":
                said.append(f"{section.title or found.kind}: {found.description}")
            case "parameters" | "other parameters":
                arguments |= {one.name.lstrip("*"): one.description for one in found if one.name.lstrip("*") not in arguments}
            case _:
                pass
    return Written("\n\n".join(said), arguments)


def described(schema: Schema, arguments: dict[str, str]) -> Schema:
    """The schema with the docstring's descriptions where the annotation has none, and without titles, which only repeat the names."""
    made = _untitled(schema)
    for name, one in made.get("properties", {}).items():
        if name in arguments and "description" not in one:
            one["description"] = arguments[name]
    return made


def _untitled(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_untitled(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    made: Schema = {}
    for key, value in cast("Schema", schema).items():
        if key in _SCHEMAS:
            made[key] = {name: _untitled(one) for name, one in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            made[key] = value
        elif key != "title":
            made[key] = _untitled(value)
    return made


# -- strict: what OpenAI and Anthropic enforce while the model writes --------------------------------------------------------------------

# Checked at the call all the same; the model reads of them.
_NOTES = (
    "minLength", "maxLength", "minProperties", "maxProperties", "uniqueItems", "contains", "minContains", "maxContains",
)  # fmt: skip
_DROPPED = ("default", "discriminator", *_NOTES)
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_TYPED = ("type", "$ref", "anyOf", "oneOf", "enum", "const")
_UNKNOWN = ("allOf", "not", "patternProperties", "propertyNames", "unevaluatedProperties", "if", "dependentSchemas")


def strict(schema: Schema, tool: str) -> Schema:
    """The schema with closed objects whose entries are all required: the model has to give what has a default, too.

    Raises `DefinitionError` for what strict mode cannot say.
    """
    closing = _Closing()
    made = closing.close(schema, "")
    if closing.problems:
        raise DefinitionError(
            f"The tool {tool!r} cannot be strict: {'; '.join(closing.problems)}.",
            hint="Name each entry in a model, a dataclass or a TypedDict and give each a type, or leave strict=True out.",
        )
    return made


@dataclass(slots=True)
class _Closing:
    problems: list[str] = field(default_factory=list[str])

    def close(self, schema: Any, path: str) -> Schema:
        where = path or "the arguments"
        if not isinstance(schema, dict) or not any(key in schema for key in _TYPED):
            self.problems.append(f"{where} may be anything")
            return {}
        given = cast("Schema", schema)
        self.problems += [f"{where} uses {key!r}" for key in _UNKNOWN if key in given]
        made = {key: value for key, value in given.items() if key not in _DROPPED}
        made = self._alternatives(made, path)
        if given.get("type") == "object":
            self._object(made, path)
        if given.get("type") == "array" and "prefixItems" not in given:
            made["items"] = self.close(given.get("items"), f"{path}[]")
        if "$defs" in given:
            made["$defs"] = {name: self.close(one, name) for name, one in given["$defs"].items()}
        if made.get("format", "date") not in _FORMATS:
            del made["format"]
        return _noted(made, given)

    def _alternatives(self, made: Schema, path: str) -> Schema:
        if "oneOf" in made:
            made["anyOf"] = made.pop("oneOf")
        if "anyOf" in made:
            made["anyOf"] = [self.close(one, path) for one in made["anyOf"]]
        if "$ref" in made and len(made) > 1:
            # Nothing may stand beside a reference.
            made["anyOf"] = [{"$ref": made.pop("$ref")}]
        return made

    def _object(self, made: Schema, path: str) -> None:
        if made.get("additionalProperties", False) is not False:
            self.problems.append(f"{path or 'the arguments'} may have any keys")
        entries: Schema = made.get("properties", {})
        made["properties"] = {name: self.close(one, f"{path}.{name}".lstrip(".")) for name, one in entries.items()}
        made["required"] = list(entries)
        made["additionalProperties"] = False


def _noted(made: Schema, given: Schema) -> Schema:
    notes = [f"{key}: {json.dumps(given[key])}" for key in _NOTES if key in given]
    if given.get("default") is not None:
        notes.append(f"usually {json.dumps(given['default'])}")
    if notes and "$ref" not in made:
        made["description"] = " ".join([*([made["description"]] if "description" in made else []), f"({', '.join(notes)})"])
    return made
