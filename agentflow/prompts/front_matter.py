"""The front matter of a prompt's file: YAML that means JSON and nothing else. Loaded with the first file, for the sake of the import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import yaml
from yaml.constructor import ConstructorError

from agentflow.errors import PromptError

_ODD = frozenset("\r\x85\u2028\u2029")
"""What YAML takes for the end of a line, too: escaped in quotation marks."""


class _Loader(yaml.SafeLoader):
    """Without keys that are there twice, of which one would be lost, and that are no texts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise ConstructorError(None, None, "a key is no text: put it into quotation marks", key.start_mark)
            if key.value in keys:
                raise ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Never an alias; texts of many lines stand as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        odd = not _ODD.isdisjoint(data)
        style = '"' if odd else "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)  # pyright: ignore[reportUnknownMemberType] - its stub has no type for data


_Dumper.add_representer(str, _Dumper.represent_text)


def read(text: str) -> dict[str, Any]:
    """Front matter as a dict. Raises `PromptError` with the line for what is no YAML, or no mapping."""
    try:
        _check_aliases(text)
        given = yaml.load(text, _Loader)  # noqa: S506 - _Loader makes plain values only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        last = text.removesuffix("\n").count("\n")
        line = 2 + (min(mark.line, last) if mark else 0)
        raise PromptError(f"Front matter, line {line}: {error.problem}.", hint="It is YAML.", line=line) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PromptError(f"Front matter is no YAML: {type(error).__name__}.", hint="Put texts into quotation marks.") from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise PromptError("Front matter is no mapping.", hint='Write "name: …", a line each.')
    return cast("dict[str, Any]", given)


def _check_aliases(text: str) -> None:
    """With aliases a few lines would grow to gigabytes."""
    for one in cast("Iterable[yaml.Token]", yaml.scan(text, _Loader)):  # pyright: ignore[reportUnknownMemberType] - its stub has no types
        if isinstance(one, yaml.AliasToken):
            raise ConstructorError(None, None, "aliases are not taken", one.start_mark)


def write(front: Mapping[str, Any]) -> str:
    """A mapping as YAML, a line each, that `read` reads as the same."""
    return yaml.dump(dict(front), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
