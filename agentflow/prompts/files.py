"""A prompt as one file: front matter in YAML, and a body in which each message stands as it is.

    ---
    name: support
    model: anthropic:claude-sonnet-4-6
    params:
      temperature: 0.2
    ---
    --- system
    You help {{name}}.
    --- slot history
    --- user
    {{issue}}

The lines between messages have more dashes than any line in them begins with, so that nothing has to be escaped, and what is read is to
the byte what was written: the hash of the version stays the same. A body without such lines is one message of the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentflow.errors import DefinitionError, PromptError
from agentflow.prompts.body import ROLES, Body, canonical
from agentflow.prompts.template import ENGINE

SUFFIX = ".prompt.md"
"""How the name of such a file ends."""

_ORDER = ("name", "description", "engine", "model", "params", "tools", "response_schema", "fenced", "variables")
_PLAIN = re.compile(r"[A-Za-z0-9][\w./-]*")
_DASHES = re.compile(r"-{3,}")
_DELIMITER = re.compile(r"(-{3,}) (?:(system|user|assistant)|(slot|partial) (\S.*))[ \t]*")


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What one file says: a body under a name, and the JSON schema of its variables where it has one."""

    name: str
    body: Body
    description: str = ""
    variables: Mapping[str, Any] | None = None


def read(path: str | Path) -> PromptFile:
    """Read a file. Its name without the suffix is the prompt's, where the front matter has none.

    Raises `PromptError` for what is no prompt, with the path in its details.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8", "surrogatepass")
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror}.", hint="Give the path of a file.", path=str(path)) from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{path} is not UTF-8.", hint="Save it as UTF-8.", path=str(path)) from error
    try:
        return parse(text, name=path.name.removesuffix(SUFFIX).removesuffix(".md"))
    except PromptError as error:
        error.message = f"{path}: {error.message}"
        error.details["path"] = str(path)
        raise


def parse(text: str, *, name: str | None = None) -> PromptFile:
    """Read the text of a file; `name` is the prompt's where the front matter has none. Raises `PromptError`.

    >>> parse("---\\nname: hello\\n---\\nHello {{name}}!\\n").body.messages
    (Message(role='user', content='Hello {{name}}!'),)
    """
    front, rest, begins = _parted(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    given = _front_matter(front)
    messages, partials = _sections(rest, begins)
    said = {"engine": given.get("engine", ENGINE), "messages": messages, "includes": partials}
    try:
        body = Body.from_json(
            canonical({**{one: given.get(one) for one in ("model", "params", "tools", "response_schema", "fenced")}, **said})
        )
    except DefinitionError as error:
        raise PromptError(f"Front matter holds what is no JSON: {error.message}", hint="Put dates into quotation marks.") from error
    named = given.get("name", name)
    if not named:
        raise PromptError("The file has no name of a prompt.", hint='Write "name: …" in its front matter.')
    return PromptFile(str(named), body, str(given.get("description") or ""), given.get("variables"))


def write(file: PromptFile) -> str:
    """The text of a file, from which `parse` makes a body with the same hash."""
    body = json.loads(file.body.json)
    front: dict[str, Any] = {**body, "name": file.name, "description": file.description, "variables": file.variables}
    texts = [*(one.get("content", "") for one in body["messages"]), *body["includes"].values()]
    dashes = "-" * max(3, *(1 + _longest(text) for text in texts))
    said = "".join(_section(dashes, head, text) for head, text in _written(body))
    return f"---\n{_yaml({key: front[key] for key in _ORDER if _says(key, front[key])})}---\n{said}"


def path_of(folder: str | Path, name: str) -> Path:
    """Where in a folder the file of a prompt is. Raises `PromptError` for a name that would lie outside."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise PromptError(f"{name!r} is no path in a folder.", hint="Give the prompt another name.")
    return Path(folder) / f"{name}{SUFFIX}"


def folder(path: str | Path) -> Iterator[PromptFile]:
    """All prompts of a folder and those below, by path; the path below the folder is the name of one that does not say it itself."""
    root = Path(path)
    for one in sorted(root.rglob(f"*{SUFFIX}")):
        found = read(one)
        inner = one.relative_to(root).as_posix().removesuffix(SUFFIX)
        named = found.name != one.name.removesuffix(SUFFIX)
        yield found if named else PromptFile(inner, found.body, found.description, found.variables)


@dataclass(slots=True)
class _Section:
    head: tuple[str, str]
    lines: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _parted(text: str) -> tuple[str, str, int]:
    """The front matter, what comes after it, and the number of its first line."""
    if not text.startswith("---\n"):
        raise PromptError("The file does not begin with front matter.", hint="Its first line is ---, and a line --- ends the front matter.")
    lines = text.split("\n")
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip(" \t") == "---":
            return "\n".join([*lines[1:number], ""]), "\n".join(lines[number + 1 :]), number + 2
    raise PromptError("The front matter is never closed.", hint="Write a line --- where it ends.")


def _sections(text: str, begins: int) -> tuple[list[dict[str, str]], dict[str, str]]:
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    opening = _DELIMITER.fullmatch(lines[first]) if first < len(lines) else None
    if opening is None:
        return [{"role": "user", "content": _one_message(lines[first:], begins + first)}], {}
    if lines[-1] == "":
        lines.pop()
    found: list[_Section] = []
    for number, line in enumerate(lines[first:], begins + first):
        head = _head(line, len(opening[1]), number)
        if head is None:
            found[-1].lines.append(line)
        else:
            found.append(_Section(head))
    return [_message(one) for one in found if one.head[0] != "partial"], _partials(found)


def _one_message(lines: list[str], begins: int) -> str:
    for number, line in enumerate(lines, begins):
        if _DELIMITER.fullmatch(line):
            raise PromptError(f"Line {number}: there is text before the first message.", hint="Begin the body with --- system.")
    return "\n".join(lines).removesuffix("\n")


def _head(line: str, dashes: int, number: int) -> tuple[str, str] | None:
    """What a line begins, None where it is text."""
    if _leading(line) < dashes:
        return None
    match = _DELIMITER.fullmatch(line)
    if match is None or len(match[1]) != dashes:
        known = f"{'-' * dashes} {', '.join(ROLES)}, slot NAME or partial NAME"
        raise PromptError(
            f"Line {number} is no line between messages.", hint=f"Write {known}; or give those lines more dashes.", line=number
        )
    return (match[2], "") if match[2] else (match[3], _name(match[4].strip(), number))


def _name(text: str, number: int) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise PromptError(f"Line {number}: {text} is no name.", hint="Close its quotation marks.", line=number) from error


def _message(one: _Section) -> dict[str, str]:
    kind, name = one.head
    if kind == "slot":
        if one.text.strip():
            raise PromptError(f"The slot {name} has a text.", hint="Messages of the caller stand there; give the text a role.")
        return {"slot": name}
    return {"role": kind, "content": one.text}


def _partials(sections: list[_Section]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in sections:
        kind, name = one.head
        if kind == "partial":
            if name in found:
                raise PromptError(f"The partial {name} is there twice.", hint="Take one of them out.")
            found[name] = one.text
    return found


def _written(body: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for one in body["messages"]:
        yield (f"slot {_quoted(one['slot'])}", None) if "slot" in one else (one["role"], one["content"])
    for name, text in body["includes"].items():
        yield f"partial {_quoted(name)}", text


def _section(dashes: str, head: str, text: str | None) -> str:
    return f"{dashes} {head}\n" if text is None else f"{dashes} {head}\n{text}\n"


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.isascii() else json.dumps(name)


def _longest(text: str) -> int:
    return max(map(_leading, text.split("\n")))


def _leading(line: str) -> int:
    match = _DASHES.match(line)
    return 0 if match is None else match.end()


def _says(key: str, value: Any) -> bool:
    """Whether a value has to be written: an empty schema or model is another than none."""
    return value is not None and (bool(value) or key in ("model", "response_schema"))


def _yaml(front: Mapping[str, Any]) -> str:
    from agentflow.prompts import front_matter

    return front_matter.write(front)


def _front_matter(text: str) -> dict[str, Any]:
    from agentflow.prompts import front_matter

    given = front_matter.read(text)
    if wrong := sorted(given.keys() - set(_ORDER)):
        raise PromptError(f"Front matter has no {wrong[0]!r}.", hint=f"It has {', '.join(_ORDER)}.")
    for key, kind in (("params", dict), ("tools", list), ("response_schema", dict), ("fenced", list), ("variables", dict), ("model", str)):
        if not isinstance(given.get(key), kind | None):
            raise PromptError(
                f"{key} is no {'text' if kind is str else kind.__name__}.", hint="See the front matter of an exported prompt."
            )
    return given
