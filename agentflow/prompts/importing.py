"""Prompts of other registries: what they export as JSON, as bodies of ours that render the same text.

Langfuse: an array of versions, as its Export button writes it, or one answer of its API. Trigger.dev: an answer of
`GET /api/v1/prompts/<slug>`, or of `…/versions` with the prompt's name. What has no word here is refused and told, never dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from agentflow.errors import AgentflowError, PromptError
from agentflow.prompts.body import PARTIAL_DEPTH, Body

Origin = Literal["langfuse", "trigger.dev"]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "ai": "assistant", "human": "user"}
_NAMES = {"langfuse": re.compile(r"[A-Za-z_][\w. -]*"), "trigger.dev": re.compile(r"\w+")}
_BRACES = re.compile(r"(\\?)\{\{(?:(.*?)\}\})?", re.DOTALL)
_SECTION = re.compile(r"\s*([#/])\s*([A-Za-z_]\w*)\s*")
_PARTIAL = re.compile(r"@@@langfusePrompt:name=([^|@]+)\|(version|label)=([^@]+)@@@")
_ODD = re.compile(r"[^A-Za-z0-9_./-]")


@dataclass(frozen=True, slots=True)
class Imported:
    """A version of another registry. `number` and `labels` are its own there; `notes` say what is not quite the same here."""

    name: str
    body: Body
    number: int | None = None
    labels: tuple[str, ...] = ()
    note: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that has no equal here, and why."""

    name: str
    number: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Import:
    """What an export holds; `versions` by name, the oldest first."""

    origin: Origin
    versions: tuple[Imported, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """A version as the export has it."""

    name: str
    number: int | None
    content: Any
    model: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: tuple[str, ...] = ()
    note: str = ""
    description: str = ""


def read(text: str, *, name: str | None = None) -> Import:
    """Read an export; `name` is the prompt's where the export does not say it. Raises `PromptError` for what is none."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptError("The export is no JSON.", hint="Give the file that Langfuse or Trigger.dev wrote.") from error
    versions = _rows(given)
    if versions and all("prompt" in one and "name" in one for one in versions):
        return _converted("langfuse", [_of_langfuse(one) for one in versions])
    data = _object(given).get("data")
    prompt = _object(data)
    if version := _object(prompt.get("version")):
        return _converted("trigger.dev", [_of_trigger(version, prompt, str(prompt.get("slug") or name))])
    rows = _rows(data)
    if rows and all("textContent" in one for one in rows):
        if name is None:
            raise PromptError("This export does not say the prompt's name.", hint="Give it: --name support.")
        return _converted("trigger.dev", [_of_trigger(one, {}, name) for one in rows])
    raise PromptError(
        "This is no export of prompts.", hint="Langfuse: Prompts > Export. Trigger.dev: GET /api/v1/prompts/<slug>, or …/versions."
    )


def _rows(given: Any) -> list[dict[str, Any]]:
    return [_object(one) for one in cast("list[Any]", given)] if isinstance(given, list) else [_object(given)]


def _object(given: Any) -> dict[str, Any]:
    """What is one; nothing where it is none."""
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def _of_langfuse(one: Mapping[str, Any]) -> _Given:
    config = dict(_object(one.get("config")))
    model = config.pop("model", None)
    labels = tuple(str(label) for label in one.get("labels") or ())
    return _Given(str(one["name"]), one.get("version"), one["prompt"], model, config, labels, str(one.get("commitMessage") or ""))


def _of_trigger(version: Mapping[str, Any], prompt: Mapping[str, Any], name: str) -> _Given:
    return _Given(
        name,
        version.get("version"),
        version.get("textContent"),
        version.get("model") or prompt.get("defaultModel"),
        _object(version.get("config") or prompt.get("defaultConfig")),
        tuple(str(label) for label in version.get("labels") or ()),
        str(version.get("commitMessage") or ""),
        str(prompt.get("description") or ""),
    )


def _converted(origin: Origin, given: Sequence[_Given]) -> Import:
    versions: list[Imported] = []
    refused: list[Refused] = []
    for one in sorted(given, key=lambda one: (one.name, one.number or 0)):
        try:
            versions.append(_Conversion(origin, given).version(one))
        except (AgentflowError, TypeError, ValueError) as error:
            refused.append(Refused(one.name, one.number, str(error)))
    return Import(origin, tuple(versions), tuple(refused))


@dataclass(slots=True)
class _Conversion:
    """Makes one version of ours: the partials it needs on the way, and what is not quite the same."""

    origin: Origin
    known: Sequence[_Given]
    includes: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])

    def version(self, one: _Given) -> Imported:
        name = _ODD.sub("-", one.name)[:128]
        if name != one.name:
            self.notes.append(f"It was called {one.name!r} there.")
        config = dict(one.config)
        tools: Any = config.pop("tools", None)
        schema = self._schema(config)
        messages = self._messages(one.content)
        body = Body.from_json(
            json.dumps(
                {
                    "engine": "af1",
                    "messages": messages,
                    "model": one.model,
                    "params": config,
                    "tools": tools,
                    "response_schema": schema,
                    "includes": self.includes,
                }
            )
        )
        _ = body.partials  # raises for what is no template
        return Imported(name, body, one.number, one.labels, one.note, one.description, tuple(dict.fromkeys(self.notes)))

    def _schema(self, config: dict[str, Any]) -> Any:
        """The schema of the answer, out of OpenAI's `response_format`."""
        schema = _object(_object(config.get("response_format")).get("json_schema")).get("schema")
        if schema is not None:
            del config["response_format"]
        return schema

    def _messages(self, content: Any) -> list[dict[str, str]]:
        if isinstance(content, str):
            return [{"role": "user", "content": self._template(content, 0)}]
        if not isinstance(content, list) or not content:
            raise PromptError("It has no messages.", hint="Nothing is to be imported.")
        return [self._message(one) for one in cast("list[Any]", content)]

    def _message(self, one: Any) -> dict[str, str]:
        if not isinstance(one, dict):
            raise PromptError("A message is no object.", hint="Export it again.")
        said = cast("dict[str, Any]", one)
        if said.get("type") == "placeholder":
            return {"slot": str(said["name"])}
        role, content = _ROLES.get(str(said.get("role"))), said.get("content")
        if role is None or not isinstance(content, str):
            raise PromptError(f"A message of {said.get('role')!r} is no text of a role.", hint="Roles are system, user and assistant.")
        return {"role": role, "content": self._template(content, 0)}

    def _template(self, text: str, depth: int) -> str:
        if depth > PARTIAL_DEPTH:
            raise PromptError(f"Its prompts are nested more than {PARTIAL_DEPTH} deep.", hint="Write them out.")
        if self.origin == "trigger.dev":
            return _BRACES.sub(self._tag, text)
        at, said = 0, ""
        for match in _PARTIAL.finditer(text):
            said += _BRACES.sub(self._tag, text[at : match.start()]) + self._partial(match, depth)
            at = match.end()
        return said + _BRACES.sub(self._tag, text[at:])

    def _partial(self, match: re.Match[str], depth: int) -> str:
        name, by, value = match[1], match[2], match[3]
        found = next((one for one in self.known if one.name == name and _is(one, by, value)), None)
        if found is None or not isinstance(found.content, str):
            raise PromptError(f"It includes {name!r} ({by} {value}), which the export has not as a text.", hint="Export all versions.")
        key = _key(name) + (f".{_key(value)}" if by == "label" else f"-v{_key(value)}")
        included = self._template(found.content, depth + 1)
        if self.includes.setdefault(key, included) != included:
            raise PromptError(f"It includes two prompts that would be called {key!r}.", hint="Rename one of them there.")
        if by == "label":
            self.notes.append(f"It includes {name!r} as it was when it was exported, and no longer follows the label {value!r}.")
        return f"{{{{> {key}}}}}"

    def _tag(self, match: re.Match[str]) -> str:
        """A variable or section as it is written here; any other braces are text there, and so they are here."""
        inner = (match[2] or "").strip()
        section = _SECTION.fullmatch(inner) if self.origin == "trigger.dev" else None
        if section is None and _NAMES[self.origin].fullmatch(inner) is None:
            return match[1] + match[0].removeprefix(match[1] or "").replace("{{", "\\{{")
        if match[1]:
            raise PromptError("A backslash stands before a variable.", hint="Put something between them: here \\{{ are two braces.")
        if section is None:
            return f"{{{{{self._variable(inner)}}}}}"
        self.notes.append("A section {{#x}} became {{#if x}}: it takes its line with it, and x has to be given.")
        return "{{/if}}" if section[1] == "/" else f"{{{{#if {self._variable(section[2])}}}}}"

    def _variable(self, name: str) -> str:
        called = re.sub(r"\W", "_", name)
        if called[0].isdigit():
            raise PromptError(f"{name!r} is a variable there.", hint="Here a name begins with a letter.")
        if called != name:
            self.notes.append(f"The variable {name!r} is called {called!r}.")
        return called


def _is(one: _Given, by: str, value: str) -> bool:
    return value in one.labels if by == "label" else str(one.number) == value


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-") or "prompt"
