"""What the arguments of a call must be: a small vocabulary that is data, for rules and for grants."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentflow.errors import DefinitionError

_LONGEST = 64 * 1024
_PLAIN = re.compile(r"[\w./:@=+,?#-]*")
"""What may follow a prefix: nothing that a shell acts on, no second word."""
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Matcher:
    """What an argument must be: all of the tests hold. Made by `prefix`, `regex`, `at_least`, `at_most`, `one_of`, or a plain value."""

    tests: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, told: object) -> Matcher:
        """From its JSON form, an object of `is`, `in`, `prefix`, `regex`, `min` and `max`. Raises `DefinitionError`."""
        tests = cast("Mapping[str, Any]", told) if isinstance(told, Mapping) else dict[str, Any]()
        if not tests or not all(name in _TESTS and _TESTS[name].takes(value) for name, value in tests.items()):
            hint = 'Give tests, such as {"is": "prod"}, {"in": [1, 2]}, {"prefix": "/tmp/"}, {"regex": "a+"}, {"min": 1, "max": 50}.'
            raise DefinitionError(f"{told!r} does not say what an argument must be.", hint=hint)
        return cls(tuple(tests.items()))

    def told(self) -> dict[str, Any]:
        """Its JSON form."""
        return dict(self.tests)

    def holds(self, value: Any, *, closely: bool) -> bool:
        """Whether a value is so. Raises `TypeError` and `ValueError` for a value that a test cannot judge.

        `closely`, where the answer lets a call through: a regex has to fit all of it, and what follows a prefix is plain.
        """
        return all(_TESTS[name].holds(wanted, value, closely) for name, wanted in self.tests)


def prefix(text: str) -> Matcher:
    """A text that begins so. Where that lets a call through, no `..` and nothing that a shell acts on may be in it.

    >>> policy.allow("read_file", args={"path": prefix("/tmp/")})
    """
    return Matcher.of({"prefix": text})


def regex(pattern: str) -> Matcher:
    """A text in which the pattern is found; where that lets a call through, the pattern fits all of it. Raises `DefinitionError`."""
    return Matcher.of({"regex": pattern})


def at_least(number: float) -> Matcher:
    """A number that is not less."""
    return Matcher.of({"min": number})


def at_most(number: float) -> Matcher:
    """A number that is not more."""
    return Matcher.of({"max": number})


def one_of(*values: Any) -> Matcher:
    """One of these JSON values."""
    return Matcher.of({"in": list(values)})


def fits(wanted: Mapping[str, Matcher], arguments: Mapping[str, Any], *, closely: bool) -> bool:
    """Whether arguments are as matchers want them; one that is not there fits none. Raises what matchers raise."""
    return all((value := _at(arguments, name)) is not _MISSING and one.holds(value, closely=closely) for name, one in wanted.items())


def _at(arguments: Mapping[str, Any], path: str) -> Any:
    found: Any = arguments
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return _MISSING
        found = cast("Mapping[str, Any]", found)[name]
    return found


def with_defaults(schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as the tool will see them: what the model has left out has its default."""
    known: dict[str, Any] = (schema or {}).get("properties", {})
    return {**{name: one["default"] for name, one in known.items() if isinstance(one, Mapping) and "default" in one}, **arguments}


def exact(tool: str, arguments: Mapping[str, Any]) -> str:
    """What stands for a call with exactly these arguments, whatever the order in which they come."""
    text = json.dumps([tool, arguments], sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_SHELLS = frozenset({"shell", "bash", "sh", "zsh", "powershell", "exec", "execute", "eval", "terminal", "command", "cmd"})
_SCRIPTS = frozenset({"cmd", "command", "commands", "shell", "script", "code"})


def is_shell(tool: str, arguments: Iterable[str]) -> bool:
    """Whether a tool, by its name or those of its arguments, carries out what a text says: no part of the text tells what it does."""
    return not _SHELLS.isdisjoint(re.split(r"[^a-z]+", tool.lower())) or not _SCRIPTS.isdisjoint(name.lower() for name in arguments)


@dataclass(frozen=True, slots=True)
class _Test:
    takes: Callable[[Any], bool]
    holds: Callable[[Any, Any, bool], bool]


def _same(wanted: Any, value: Any, closely: bool) -> bool:
    # To Python, True is 1.
    return value == wanted and isinstance(value, bool) is isinstance(wanted, bool)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    if len(value) > _LONGEST:
        raise ValueError(f"a text of {len(value)} characters is too long to judge")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return value


def _begins(wanted: str, value: Any, closely: bool) -> bool:
    text = _text(value)
    if not text.startswith(wanted):
        return False
    return not closely or (_PLAIN.fullmatch(text[len(wanted) :]) is not None and ".." not in re.split(r"[/\\]", text))


def _found(wanted: str, value: Any, closely: bool) -> bool:
    text = _text(value)
    return (re.fullmatch(wanted, text) if closely else re.search(wanted, text)) is not None


def _is_regex(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_TESTS = {
    "is": _Test(lambda wanted: True, _same),
    "in": _Test(lambda wanted: isinstance(wanted, list), lambda wanted, value, closely: any(_same(one, value, closely) for one in wanted)),
    "prefix": _Test(lambda wanted: isinstance(wanted, str) and wanted != "", _begins),
    "regex": _Test(_is_regex, _found),
    "min": _Test(_is_number, lambda wanted, value, closely: _number(value) >= wanted),
    "max": _Test(_is_number, lambda wanted, value, closely: _number(value) <= wanted),
}
