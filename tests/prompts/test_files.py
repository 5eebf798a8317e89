"""Prompts as files: what people write, and what they are told when it is no prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from agentflow.errors import ContractError, DefinitionError, PromptError
from agentflow.prompts import files
from agentflow.prompts.body import Body, Message, Slot, slot, system, user
from agentflow.prompts.contract import Untrusted
from agentflow.prompts.files import PromptFile
from agentflow.prompts.prompt import prompt

WRITTEN = """---
name: support
description: Answers customers.
model: anthropic:claude-sonnet-4-6
params:
  temperature: 0.2
---

--- system
You help {{name}}.
{{> rules}}
--- slot history
--- user
{{issue}}
--- partial rules
- Be brief.
"""


class Order(BaseModel):
    id: str
    notes: list[str] = []


class Vars(BaseModel):
    name: str
    plan: Literal["free", "pro"] = "free"
    order: Order | None = None
    issue: Untrusted[str]


def test_a_file_is_read_as_it_stands() -> None:
    found = files.parse(WRITTEN)
    assert (found.name, found.description) == ("support", "Answers customers.")
    said = (Message("system", "You help {{name}}.\n{{> rules}}"), Slot("history"), Message("user", "{{issue}}"))
    assert found.body.messages == said
    assert found.body == Body(
        said, model="anthropic:claude-sonnet-4-6", params={"temperature": 0.2}, tools=[], includes={"rules": "- Be brief."}
    )


def test_a_text_without_lines_between_messages_is_one_message_of_the_user() -> None:
    assert files.parse("---\nname: title\n---\n\nA title for {{topic}}.\n").body.messages == (user("A title for {{topic}}."),)


def test_lines_between_messages_are_longer_than_any_in_them() -> None:
    body = Body((system("a\n---- user\nb"), user("-----")))
    written = files.write(PromptFile("x", body))
    assert "\n------ system\na\n---- user\nb\n------ user\n-----\n" in written
    assert files.parse(written).body.hash == body.hash


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hello", "does not begin with front matter"),
        ("---\nname: x\n", "never closed"),
        ("---\nnmae: x\n---\n", "has no 'nmae'"),
        ("---\nname: x\nmodel: [\n---\n", "Front matter, line 3"),
        ("---\nname: a\nname: b\n---\n", "line 3: 'name' is there twice"),
        ("---\na: &a [x]\nb: *a\n---\n", "aliases are not taken"),
        ("---\nparams: {yes: 1}\n---\n", "a key is no text"),
        ("---\nname: x\nparams: {since: 2026-01-01}\n---\n", "no JSON"),
        ("---\nname: x\nparams: [1]\n---\n", "params is no dict"),
        ("---\n- x\n---\n", "no mapping"),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", "could not determine a constructor"),
        ("---\nname: x\n---\n--- system\na\n----\nb", "Line 6 is no line between messages"),
        ("---\nname: x\n---\n--- system\na\n--- tool\nb", "Line 6 is no line between messages"),
        ("---\nname: x\n---\nhello\n--- user\nb", "Line 5: there is text before the first message"),
        ("---\nname: x\n---\n--- slot history\nb", "slot history has a text"),
        ("---\nname: x\n---\n--- partial a\n1\n--- partial a\n2", "partial a is there twice"),
        ("---\n---\n--- user\nb", "no name of a prompt"),
    ],
)
def test_what_is_no_prompt_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(PromptError) as wrong:
        files.parse(text)
    assert told in str(wrong.value)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.prompt.md"
    path.write_bytes(b"\xff")
    for broken in (path, tmp_path / "missing.prompt.md"):
        with pytest.raises(PromptError) as wrong:
            files.read(broken)
        assert wrong.value.details["path"] == str(broken)
    path.write_text("hello")
    with pytest.raises(PromptError, match=r"broken\.prompt\.md: The file does not begin"):
        files.read(path)


def test_a_folder_names_what_does_not_name_itself(tmp_path: Path) -> None:
    for path in (files.path_of(tmp_path, "mail/reply"), files.path_of(tmp_path, "title")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("---\n---\nHello.\n")
    (tmp_path / "other.prompt.md").write_text(WRITTEN)
    assert [one.name for one in files.folder(tmp_path)] == ["mail/reply", "support", "title"]
    with pytest.raises(PromptError, match="no path"):
        files.path_of(tmp_path, "../title")


def made() -> Any:
    said = [system("You help {{name}} ({{plan}}).{{#if order}}{{order.id}}{{/if}}"), slot("history"), user("{{issue}}")]
    return prompt("support", vars=Vars, messages=said, fence=True, response=Order, description="Answers.")


@pytest.mark.parametrize("with_model", [True, False])
def test_a_prompt_goes_through_a_file_and_is_the_same_one(tmp_path: Path, with_model: bool) -> None:
    one = made()
    path = files.path_of(tmp_path, one.name)
    path.write_text(files.write(PromptFile(one.name, one.body, one.description, one.contract)))
    loaded = prompt.load(path, vars=Vars) if with_model else prompt.load(path)
    assert (loaded.name, loaded.description, loaded.body.hash) == ("support", "Answers.", one.body.hash)
    given = {"name": "Ada", "order": {"id": "o-1"}, "issue": "{{name}}"}
    assert loaded.fill(**given).messages == one.fill(**given).messages
    for wrong in ({**given, "plan": "gold"}, {"issue": "x"}, {**given, "nmae": 1}, {**given, "order": {}}):
        with pytest.raises(PromptError):
            loaded.fill(**wrong)


def test_a_file_is_held_to_its_variables(tmp_path: Path) -> None:
    path = tmp_path / "x.prompt.md"
    path.write_text("---\nvariables: {properties: {topic: {type: string}}, required: [topic]}\n---\n{{topci}}\n")
    with pytest.raises(ContractError, match="no variable topci"):
        prompt.load(path)
    path.write_text("---\nvariables: {properties: {topic: {type: string}}}\n---\n{{topic}}\n")
    with pytest.raises(ContractError, match="topic may be None"):
        prompt.load(path)
    path.write_text("---\nfenced: [topic]\nvariables: {properties: {topic: {type: string}}, required: [topic]}\n---\n{{topic}}\n")
    with pytest.raises(DefinitionError, match="fences"):
        prompt.load(path)
    path.write_text("---\nvariables: {properties: {a: {$ref: '#/$defs/A'}}, $defs: {A: {items: {$ref: '#/$defs/A'}}}}\n---\nx\n")
    with pytest.raises(DefinitionError, match="in itself"):
        prompt.load(path)
