"""A form's fields as HTML, without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from agentflow.app.fields import NOTHING, Field, is_same, text_of, value_at
from agentflow.server.review.marks import marked


def shown(fields: Sequence[Field], value: Any, problems: Mapping[str, str]) -> str:
    """The fields as HTML, with a value in them (None: what their schema says), and what is wrong beside the field that it is wrong with."""
    return "".join(_shown(one, value_at(value, one.path), problems.get(one.at)) for one in fields)


def _shown(field: Field, value: Any, problem: str | None) -> str:
    value = field.schema.get("default", NOTHING) if value is NOTHING else value
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
        chosen = [is_same(one, value) for one in field.options]
        first = "" if field.required and any(chosen) else '<option value="">–</option>'
        options = (f'<option value="{n}"{" selected" if chosen[n] else ""}>{_option(one)}</option>' for n, one in enumerate(field.options))
        return f"<select {named}>{first}{''.join(options)}</select>"
    text = text_of(field, value)
    if field.kind == "number":
        return f'<input type="text" inputmode="decimal" {named} value="{_raw(text)}">'
    if field.kind == "date":
        return f'<input type="date" {named} value="{_raw(text)}">'
    if field.kind == "text" and text.isprintable() and len(text) < 80:
        return f'<input type="text" {named} value="{_raw(text)}">'
    rows = "8" if field.kind == "json" else "4"
    # A line end right after the tag is not the text's.
    return f'<textarea rows="{rows}" {named}>\n{_raw(text)}</textarea>'


def _raw(text: str) -> str:
    """A text that comes back as it is: what cannot be seen is not told by its number, or it would be sent back as that."""
    return escape(text, quote=True)
