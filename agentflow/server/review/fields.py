"""A form from a JSON schema, without JavaScript: how its fields are shown, and what was filled in as a JSON value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

from agentflow.server.review.marks import marked

Schema = Mapping[str, Any]
Form = Mapping[str, Sequence[str]]
_DEEPEST = 4
_NOTHING: Any = object()


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
    whole: Any = _NOTHING if fields and not fields[0].path else {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            found = _value(field, form.get(field.name, ()))
        except ValueError:
            problems[field.at] = "This is not JSON"
            found = Raw(form[field.name][0])
        if not field.path:
            whole = found
        elif found is not _NOTHING:
            _put(whole, field.path, found)
    return (None if whole is _NOTHING else whole), problems


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
    return None if field.nullable and field.required else _NOTHING


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
        found, was = _at(value, field.path), _at(now, field.path)
        if field.path and not _unchanged(found, was):
            changed = True
            _put(whole, field.path, None if found is _NOTHING else found)
    return (whole if changed else None), problems


def _unchanged(found: Any, was: Any) -> bool:
    if isinstance(found, str) and isinstance(was, str):
        return found == was.replace("\r\n", "\n").replace("\r", "\n")
    if found is _NOTHING or was is _NOTHING:
        return found in (_NOTHING, None) and was in (_NOTHING, None)
    # As text, for 1 and true are equal.
    return json.dumps(found, sort_keys=True) == json.dumps(was, sort_keys=True)


# -- how it is shown -----------------------------------------------------------------------------------------------------------------------


def shown(fields: Sequence[Field], value: Any, problems: Mapping[str, str]) -> str:
    """The fields as HTML, with a value in them (None: what their schema says), and what is wrong beside the field that it is wrong with."""
    return "".join(_shown(one, _at(value, one.path), problems.get(one.at)) for one in fields)


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = cast("Schema", value).get(name, _NOTHING) if isinstance(value, Mapping) else _NOTHING
    return value


def _shown(field: Field, value: Any, problem: str | None) -> str:
    value = field.schema.get("default", _NOTHING) if value is _NOTHING else value
    name, wrong = field.name, f'<p class="wrong" id="{field.name}-wrong">{marked(problem)}</p>' if problem else ""
    said = f' aria-invalid="true" aria-describedby="{name}-wrong"' if problem else ""
    about = field.schema.get("description")
    told = f'<p class="about">{marked(str(about))}</p>' if about else ""
    above = f'<span class="path">{marked(" / ".join(field.path[:-1]), lines=False)} / </span>' if len(field.path) > 1 else ""
    star = "" if field.required and field.kind != "bool" else '<span class="about"> (optional)</span>' if not field.required else ""
    title = f"{above}{marked(field.title, lines=False)}{star}"
    if field.kind == "bool":
        checked = " checked" if value is True else ""
        box = f'<label class="check"><input type="checkbox" name="{name}" value="1"{checked}{said}> {title}</label>'
        return f'<div class="field">{box}{told}{wrong}</div>'
    if field.kind == "several":
        boxes = "".join(_box(field, number, one, value) for number, one in enumerate(field.options))
        return f'<fieldset class="field"><legend>{title}</legend>{told}{boxes}{wrong}</fieldset>'
    return f'<div class="field"><label for="{name}">{title}</label>{told}{_input(field, value, said)}{wrong}</div>'


def _box(field: Field, number: int, one: Any, value: Any) -> str:
    checked = " checked" if isinstance(value, list) and one in value else ""
    return f'<label class="check"><input type="checkbox" name="{field.name}" value="{number}"{checked}> {_option(one)}</label>'


def _option(one: Any) -> str:
    if isinstance(one, bool):
        return "yes" if one else "no"
    return marked(one if isinstance(one, str) else json.dumps(one), lines=False)


def _input(field: Field, value: Any, said: str) -> str:
    named = f'id="{field.name}" name="{field.name}"{said}'
    if field.kind == "choice":
        chosen = [_same(one, value) for one in field.options]
        first = "" if field.required and any(chosen) else '<option value="">–</option>'
        options = (f'<option value="{n}"{" selected" if chosen[n] else ""}>{_option(one)}</option>' for n, one in enumerate(field.options))
        return f"<select {named}>{first}{''.join(options)}</select>"
    text = _text(field, value)
    if field.kind == "number":
        return f'<input type="text" inputmode="decimal" {named} value="{_raw(text)}">'
    if field.kind == "date":
        return f'<input type="date" {named} value="{_raw(text)}">'
    if field.kind == "text" and text.isprintable() and len(text) < 80:
        return f'<input type="text" {named} value="{_raw(text)}">'
    rows = "8" if field.kind == "json" else "4"
    # A line end right after the tag is not the text's.
    return f'<textarea rows="{rows}" {named}>\n{_raw(text)}</textarea>'


def _text(field: Field, value: Any) -> str:
    if value is _NOTHING or (value is None and field.kind != "json"):
        return ""
    if isinstance(value, Raw) or (isinstance(value, str) and field.kind != "json"):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


def _same(one: Any, value: Any) -> bool:
    return one == value and isinstance(one, bool) == isinstance(value, bool)


def _raw(text: str) -> str:
    """A text that comes back as it is: what cannot be seen is not told by its number, or it would be sent back as that."""
    return escape(text, quote=True)
