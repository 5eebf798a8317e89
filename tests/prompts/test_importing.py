"""Prompts of Langfuse and Trigger.dev, as their exports have them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentflow.errors import PromptError
from agentflow.prompts.filled import Version
from agentflow.prompts.importing import Import, read


def langfuse(*versions: dict[str, Any]) -> Import:
    return read(json.dumps([{"type": "text", "config": {}, "labels": [], "tags": [], "commitMessage": None, **one} for one in versions]))


def said(found: Import, at: int = -1, **values: Any) -> list[Any]:
    return [one["content"] for one in Version("x", found.versions[at].body).fill(values).messages]


def test_a_chat_prompt_of_langfuse_becomes_messages_slots_and_parameters() -> None:
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    found = langfuse(
        {
            "name": "movie critic",
            "version": 3,
            "type": "chat",
            "prompt": [
                {"role": "developer", "content": "You are {{ tone }}."},
                {"type": "placeholder", "name": "history"},
                {"type": "chatmessage", "role": "user", "content": "{{q}}"},
            ],
            "config": {"model": "gpt-4o", "temperature": 0.2, "tools": [{"name": "t"}], "response_format": form},
            "labels": ["latest", "production"],
            "commitMessage": "kinder",
        }
    )
    (one,) = found.versions
    assert (found.origin, found.refused) == ("langfuse", ())
    assert (one.name, one.number, one.labels, one.note) == ("movie-critic", 3, ("latest", "production"), "kinder")
    assert (one.body.model, one.body.params, one.body.tools, one.body.response_schema) == (
        "gpt-4o",
        {"temperature": 0.2},
        [{"name": "t"}],
        schema,
    )
    filled = Version("x", one.body).fill({"tone": "kind", "q": "?"}, {"history": [{"role": "assistant", "content": "Hi."}]})
    assert [(one["role"], one["content"]) for one in filled.messages] == [("system", "You are kind."), ("assistant", "Hi."), ("user", "?")]
    assert one.notes == ("It was called 'movie critic' there.",)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ('{"a": {"b": {{x}}}}', '{"a": {"b": 1}}'),
        ("{{#if x}} {{/if}} {{> x}} {{! x}}", "{{#if x}} {{/if}} {{> x}} {{! x}}"),
        ("{{ {{x}}", "{{ {{x}}"),
        ("{{", "{{"),
        (r"\{{", r"\{{"),
        (r"\{{ 1+1 }}", r"\{{ 1+1 }}"),
        ("{{x}}{{ x }}{{\nx\n}}", "111"),
        ("{{user-name}} {{user.name}}", "2 2"),
    ],
)
def test_a_text_renders_here_as_it_did_there(text: str, rendered: str) -> None:
    found = langfuse({"name": "a", "version": 1, "prompt": text})
    assert said(found, x=1, user_name=2) == [rendered]


def test_prompts_that_langfuse_puts_into_others_become_partials_with_their_text_of_then() -> None:
    found = langfuse(
        {
            "name": "b",
            "version": 2,
            "prompt": "One: @@@langfusePrompt:name=a rules|version=1@@@; @@@langfusePrompt:name=a rules|label=production@@@",
        },
        {"name": "a rules", "version": 1, "prompt": "old {{x}}"},
        {"name": "a rules", "version": 2, "prompt": "new", "labels": ["production"]},
    )
    assert [(one.name, one.number) for one in found.versions] == [("a-rules", 1), ("a-rules", 2), ("b", 2)]
    assert said(found, x=1) == ["One: old 1; new"]
    assert "no longer follows the label 'production'" in found.versions[-1].notes[0]


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ({"prompt": "@@@langfusePrompt:name=zz|version=1@@@"}, "It includes 'zz'"),
        ({"prompt": "@@@langfusePrompt:name=a|version=1@@@"}, "nested more than 5 deep"),
        ({"prompt": [{"role": "tool", "content": "x"}]}, "'tool'"),
        ({"prompt": [{"role": "user", "content": [{"type": "image"}]}]}, "'user'"),
        ({"prompt": []}, "no messages"),
        ({"prompt": r"\{{x}}"}, "backslash"),
    ],
)
def test_what_has_no_equal_here_is_refused_and_the_rest_is_taken(version: dict[str, Any], told: str) -> None:
    found = langfuse({"name": "a", "version": 1, **version}, {"name": "b", "version": 1, "prompt": "fine"})
    assert [one.name for one in found.versions] == ["b"]
    assert (found.refused[0].name, found.refused[0].number) == ("a", 1)
    assert told in found.refused[0].reason


def test_a_prompt_of_trigger_dev() -> None:
    version = {
        "version": 4,
        "textContent": "Hi {{ n }}{{#vip}}, {{n}}!{{/vip}} {{else-if}}",
        "model": None,
        "config": None,
        "labels": ["current"],
    }
    answer = {"slug": "greet", "description": "Greets.", "defaultModel": "gpt-4o", "defaultConfig": {"temperature": 1}, "version": version}
    found = read(json.dumps({"data": answer}))
    (one,) = found.versions
    assert (found.origin, one.name, one.number, one.description, one.labels) == ("trigger.dev", "greet", 4, "Greets.", ("current",))
    assert (one.body.model, one.body.params) == ("gpt-4o", {"temperature": 1})
    assert said(found, n="Ada", vip=False) == ["Hi Ada {{else-if}}"]
    assert said(found, n="{{vip}}", vip=True) == ["Hi {{vip}}, {{vip}}! {{else-if}}"]


def test_the_versions_of_trigger_dev_take_their_name_from_outside() -> None:
    text = json.dumps({"data": [{"version": 2, "textContent": "two"}, {"version": 1, "textContent": "one"}]})
    assert [(one.name, one.number) for one in read(text, name="greet").versions] == [("greet", 1), ("greet", 2)]
    with pytest.raises(PromptError, match="does not say the prompt's name"):
        read(text)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '{"data": []}', '{"data": {"slug": "x"}}', '[{"name": "x"}]'])
def test_what_is_no_export_is_told(text: str) -> None:
    with pytest.raises(PromptError, match=r"no JSON|no export"):
        read(text)
