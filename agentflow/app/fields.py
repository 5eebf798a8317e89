"""A form from a JSON schema, where nothing runs before it is sent: which fields it has, and what was filled in as a JSON value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

Schema = Mapping[str, Any]
Form = Mapping[str, Sequence[str]]
_DEEPEST = 4
NOTHING: Any = object()
"""Where there is no value, not even null."""


class Raw(str):
    """What was filled in, as it was: it is shown again to whoever has to mend it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `name` is its name in the HTML form, `path` where it is in the value; `required`: whether it must be there."""

    name: str
    path: tuple[str, ...]
    schema: Schema
    required: bool
    nullable: bool

    @property
    def at(self) -> str:
        """The place as problems tell it."""
        return ".".join(self.path)

    @property
    def title(self) -> str:
        """What it is called."""
        return str(self.schema.get("title") or (self.path[-1] if self.path else "Your answer"))

    @property
    def kind(self) -> str:
        """How it is filled in: choice, several, bool, number, text, date or json."""
        kind, items = self.schema.get("type"), self.schema.get("items")
        if _options(self.schema):
            return "choice"
        if kind == "array" and isinstance(items, Mapping) and _options(cast("Schema", items)):
            return "several"
        if kind == "boolean":
            return "choice" if self.nullable else "bool"
        if kind in ("integer", "number"):
            return "number"
        if kind == "string":
            return "date" if self.schema.get("format") == "date" else "text"
        return "json"

    @property
    def options(self) -> list[Any]:
        """The values of a choice."""
        items = self.schema.get("items")
        found = _options(cast("Schema", items) if isinstance(items, Mapping) else self.schema) or _options(self.schema)
        return found or [True, False]


def fields_of(schema: Schema) -> list[Field]:
    """The fields of a form, in order: those of nested objects one by one, where they are few enough to be read."""
    walked = _walk(schema, schema, (), True, 0)
    return [Field(f"f{number}", *found) for number, found in enumerate(walked)]


def _walk(whole: Schema, schema: Any, path: tuple[str, ...], required: bool, depth: int) -> Iterator[tuple[Any, ...]]:
    rules, nullable = _plain(whole, schema)
    known = rules.get("properties")
    if rules.get("type") == "object" and isinstance(known, Mapping) and known and depth < _DEEPEST and (required or not path):
        needed = rules.get("required", ())
        for name, part in cast("Schema", known).items():
            yield from _walk(whole, part, (*path, name), name in needed, depth + 1)
    else:
        yield path, rules, required, nullable


def _plain(whole: Schema, schema: Any) -> tuple[Schema, bool]:
    """A schema without references, and without the `null` that stands for nothing; whether there was one."""
    rules: Schema = cast("Schema", schema) if isinstance(schema, Mapping) else {}
    for _ in range(_DEEPEST):
        reference = rules.get("$ref")
        if not isinstance(reference, str):
            break
        rules = {**_named(whole, reference), **_without(rules, "$ref")}
    choices: Sequence[Any] = rules.get("anyOf") or ()
    others = [one for one in choices if one != {"type": "null"}]
    if choices and len(others) == 1 and len(others) < len(choices):
        inner, _ = _plain(whole, others[0])
        return {**inner, **_without(rules, "anyOf")}, True
    return rules, False


def _without(rules: Schema, dropped: str) -> dict[str, Any]:
    return {name: value for name, value in rules.items() if name != dropped}


def _named(whole: Schema, reference: str) -> Schema:
    found: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        found = cast("Schema", found).get(part) if isinstance(found, Mapping) else None
    return cast("Schema", found) if isinstance(found, Mapping) else {}


def _options(rules: Schema) -> list[Any]:
    listed = [rules["const"]] if "const" in rules else rules.get("enum")
    return list(cast("Sequence[Any]", listed)) if isinstance(listed, list) else []


# -- what was filled in --------------------------------------------------------------------------------------------------------------------


def filled_in(fields: Sequence[Field], form: Form) -> tuple[Any, dict[str, str]]:
    """The value that a form says, and what of it can be no value, by place."""
    whole: Any = NOTHING if fields and not fields[0].path else {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            found = _value(field, form.get(field.name, ()))
        except ValueError:
            problems[field.at] = "This is not JSON"
            found = Raw(form[field.name][0])
        if not field.path:
            whole = found
        elif found is not NOTHING:
            _put(whole, field.path, found)
    return (None if whole is NOTHING else whole), problems


def _put(whole: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        whole = whole.setdefault(name, {})
    whole[path[-1]] = value


def _value(field: Field, given: Sequence[str]) -> Any:
    text = given[0] if given else ""
    match field.kind:
        case "bool":
            return bool(given)
        case "several":
            return [field.options[int(one)] for one in given if one.isdecimal() and int(one) < len(field.options)]
        case "choice":
            return field.options[int(text)] if text.isdecimal() and int(text) < len(field.options) else _empty(field)
        case "number":
            return _number(text.strip()) if text.strip() else _empty(field)
        case "json":
            return json.loads(text, parse_constant=_refuse) if text.strip() else _empty(field)
        case _:
            # Browsers send line ends as two characters.
            text = text.replace("\r\n", "\n")
            return text if text or (field.required and not field.nullable and field.kind == "text") else _empty(field)


def _empty(field: Field) -> Any:
    return None if field.nullable and field.required else NOTHING


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _number(text: str) -> Any:
    """A number, or the text as it is, which the schema will refuse at its place."""
    for read in (int, float):
        try:
            number = read(text)
        except ValueError:
            continue
        return number if abs(number) < float("inf") else text
    return text


def edited(fields: Sequence[Field], form: Form, now: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """What a form makes of a value that it was filled with; None where nobody has changed it."""
    value, problems = filled_in(fields, form)
    whole, changed = json.loads(json.dumps(now)), False
    for field in fields:
        found, was = value_at(value, field.path), value_at(now, field.path)
        if field.path and not _unchanged(found, was):
            changed = True
            _put(whole, field.path, None if found is NOTHING else found)
    return (whole if changed else None), problems


def _unchanged(found: Any, was: Any) -> bool:
    if isinstance(found, str) and isinstance(was, str):
        return found == was.replace("\r\n", "\n").replace("\r", "\n")
    if found is NOTHING or was is NOTHING:
        return found in (NOTHING, None) and was in (NOTHING, None)
    # As text, for 1 and true are equal.
    return json.dumps(found, sort_keys=True) == json.dumps(was, sort_keys=True)


# -- what is filled in already ---------------------------------------------------------------------------------------------------------


def value_at(value: Any, path: Sequence[str]) -> Any:
    """What a value has at a place; `NOTHING` where it has nothing."""
    for name in path:
        value = cast("Schema", value).get(name, NOTHING) if isinstance(value, Mapping) else NOTHING
    return value


def text_of(field: Field, value: Any) -> str:
    """A value as it stands in a field that is written in."""
    if value is NOTHING or (value is None and field.kind != "json"):
        return ""
    if isinstance(value, Raw) or (isinstance(value, str) and field.kind != "json"):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


def is_same(one: Any, value: Any) -> bool:
    """Whether an option is the value: 1 is not true."""
    return one == value and isinstance(one, bool) == isinstance(value, bool)
