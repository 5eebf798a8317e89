"""Whether an answer fits the JSON schema that was asked with: the part of JSON Schema that describes Python types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, cast
from uuid import UUID

from agentflow.serde import dumps

Schema = Mapping[str, Any]
_DEEPEST = 64
_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_FORMATS: dict[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "time": time.fromisoformat,
    "uuid": UUID,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a value does not fit, and why."""

    at: str
    problem: str


def problems(value: Any, schema: Schema) -> list[Problem]:
    """What of a JSON value does not fit a schema; nothing when it fits."""
    return list(_Form(schema).look(value, schema, "", 0))


class _Form:
    def __init__(self, whole: Schema) -> None:
        self._whole = whole

    def look(self, value: Any, schema: Any, at: str, depth: int) -> Iterator[Problem]:
        if schema is False or depth > _DEEPEST:
            yield Problem(at, "Nothing is allowed here")
        if not isinstance(schema, Mapping):
            return
        rules = cast("Schema", schema)
        yield from self._elsewhere(value, rules, at, depth)
        wrong = _kind(value, rules) or _listed(value, rules)
        if wrong:
            yield Problem(at, wrong)
        elif isinstance(value, dict):
            yield from self._object(cast("dict[str, Any]", value), rules, at, depth)
        elif isinstance(value, list):
            yield from self._array(cast("list[Any]", value), rules, at, depth)
        else:
            yield from _told(at, _scalar(value, rules))

    def _elsewhere(self, value: Any, rules: Schema, at: str, depth: int) -> Iterator[Problem]:
        if isinstance(rules.get("$ref"), str):
            yield from self.look(value, self._named(rules["$ref"]), at, depth + 1)
        for each in rules.get("allOf", ()):
            yield from self.look(value, each, at, depth + 1)
        yield from self._choice(value, rules, at, depth)

    def _named(self, reference: str) -> Any:
        found: Any = self._whole
        for part in reference.removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = cast("Schema", found).get(name) if isinstance(found, Mapping) else None
        return found

    def _choice(self, value: Any, rules: Schema, at: str, depth: int) -> Iterator[Problem]:
        for word in ("anyOf", "oneOf"):
            choices: Sequence[Any] = rules.get(word, ())
            found = [list(self.look(value, one, at, depth + 1)) for one in choices]
            if found and all(found):
                # Of several ways to be wrong, the one that comes closest is worth telling.
                yield from max(found, key=lambda one: max(len(each.at) for each in one))

    def _object(self, value: dict[str, Any], rules: Schema, at: str, depth: int) -> Iterator[Problem]:
        known: Mapping[str, Any] = rules.get("properties", {})
        others = rules.get("additionalProperties", True)
        for name in rules.get("required", ()):
            if name not in value:
                yield Problem(_at(at, name), "Field required")
        for name, part in value.items():
            if name in known:
                yield from self.look(part, known[name], _at(at, name), depth + 1)
            elif others is False:
                yield Problem(_at(at, name), "There is no such field")
            else:
                yield from self.look(part, others, _at(at, name), depth + 1)

    def _array(self, value: list[Any], rules: Schema, at: str, depth: int) -> Iterator[Problem]:
        yield from _told(at, _size(len(value), rules, "Items", "items"))
        # As text, for 1 and true are equal.
        if rules.get("uniqueItems") and len({dumps(one) for one in value}) < len(value):
            yield Problem(at, "Every item may be there once")
        first: Sequence[Any] = rules.get("prefixItems", ())
        for place, part in enumerate(value):
            yield from self.look(part, first[place] if place < len(first) else rules.get("items"), _at(at, str(place)), depth + 1)


def _told(at: str, wrong: str) -> Iterator[Problem]:
    if wrong:
        yield Problem(at, wrong)


def _at(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS.get(kind, (object,)))


def _kind(value: Any, rules: Schema) -> str:
    wanted = rules.get("type")
    kinds = [wanted] if isinstance(wanted, str) else list(wanted or ())
    return f"Should be of type {' or '.join(kinds)}" if kinds and not any(_is(value, one) for one in kinds) else ""


def _listed(value: Any, rules: Schema) -> str:
    allowed = [rules["const"]] if "const" in rules else rules.get("enum")
    if allowed is None or any(_same(value, one) for one in allowed):
        return ""
    return f"Should be {' or '.join(repr(one) for one in allowed)}"


def _same(value: Any, one: Any) -> bool:
    return value == one and isinstance(value, bool) == isinstance(one, bool)


def _size(size: int, rules: Schema, word: str, unit: str) -> str:
    least, most = rules.get(f"min{word}"), rules.get(f"max{word}")
    if least is not None and size < least:
        return f"Should have at least {least} {unit}"
    return f"Should have at most {most} {unit}" if most is not None and size > most else ""


def _scalar(value: Any, rules: Schema) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return _text(value, rules) if isinstance(value, str) else _number(value, rules)


def _text(value: str, rules: Schema) -> str:
    pattern, read = rules.get("pattern"), _FORMATS.get(rules.get("format", ""))
    wrong = _size(len(value), rules, "Length", "characters")
    if wrong:
        return wrong
    if pattern is not None and re.search(pattern, value) is None:
        return f"Should match {pattern}"
    try:
        _ = None if read is None else read(value)
    except ValueError:
        return f"Should be a {rules['format']}"
    return ""


def _number(value: float, rules: Schema) -> str:
    limits: list[tuple[str, str, Callable[[float, float], bool]]] = [
        ("minimum", "at least", lambda given, limit: given >= limit),
        ("maximum", "at most", lambda given, limit: given <= limit),
        ("exclusiveMinimum", "more than", lambda given, limit: given > limit),
        ("exclusiveMaximum", "less than", lambda given, limit: given < limit),
        ("multipleOf", "a multiple of", lambda given, limit: abs(given / limit - round(given / limit)) < 1e-9),
    ]
    for word, told, fits in limits:
        if word in rules and not fits(value, rules[word]):
            return f"Should be {told} {rules[word]}"
    return ""
