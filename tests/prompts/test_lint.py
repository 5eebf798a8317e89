"""What is worth a second look in a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow.prompts.body import Body, assistant, system, user
from agentflow.prompts.lint import CACHEABLE, LONG, known_model, lint

SCHEMA: dict[str, Any] = {"properties": {"name": {"type": "string"}, "plan": {"type": "string"}}, "required": ["name", "plan"]}


def codes(body: Body, schema: Any = None) -> list[str]:
    return [one.code for one in lint(body, schema)]


def test_a_good_prompt_has_nothing_to_look_at() -> None:
    assert lint(Body((system("You help."), user("{{name}} {{plan}}")), model="anthropic:claude-sonnet-4-6"), SCHEMA) == []


def test_a_variable_that_nobody_uses_and_one_that_is_not_there() -> None:
    found = lint(Body((user("{{name}} {{nmae}}"),)), SCHEMA)
    assert [(one.code, one.wrong) for one in found] == [("contract", True), ("unused_variable", False)]
    assert str(found[0]) == "message 1 (user), line 1, column 10: there is no variable nmae [contract]"


def test_a_template_that_is_none_is_told_with_its_place() -> None:
    first, second = lint(Body((user("Fine."), user("a\n {{#if")), includes={"rules": "{{/each}}"}))
    assert (first.code, first.where, first.line, first.column, first.wrong) == ("template", "message 2 (user)", 2, 2, True)
    assert (second.where, second.line, second.column) == ("partial rules", 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-abcdefghijklmnopqrstuvwx",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE KEY-----",
        "postgres://app:hunter2@db/app",
        "password: hunter2hunter",
        "API_KEY='a1b2c3d4e5f6'",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    ],
)
def test_what_looks_like_a_secret_is_found_and_not_repeated(text: str) -> None:
    (found,) = lint(Body((assistant(f"ok\nuse {text} ."),)))
    assert (found.code, found.where, found.line) == ("secret", "message 1 (assistant)", 2)
    assert text not in str(found)


@pytest.mark.parametrize(
    "text", ["Never ask for a password: say so.", "the api_key={{key}}", "https://example.com/a:b@c", "task-force sk-ipping"]
)
def test_ordinary_words_are_no_secrets(text: str) -> None:
    assert codes(Body((user(text),))) == []


def test_what_was_forgotten_is_found_in_partials_too() -> None:
    found = lint(Body((system("{{> rules}}"),), includes={"rules": "Be brief.\n\n FIXME: tone"}))
    assert [(one.code, one.where, one.line, one.column) for one in found] == [("todo", "partial rules", 3, 2)]


def test_a_variable_early_in_a_long_system_text_defeats_caching() -> None:
    rules = "r" * CACHEABLE
    (found,) = lint(Body((system("You help {{name}}. {{> rules}}"),), includes={"rules": rules}))
    assert found.code == "cache"
    assert f"9 of {9 + 2 + CACHEABLE:,} bytes" in found.text
    assert codes(Body((system("{{> rules}} You help {{name}}."),), includes={"rules": rules})) == []
    assert codes(Body((system("You help {{name}}."), user(rules)))) == []
    assert codes(Body((system(f"{{{{#if name}}}}{rules}{{{{/if}}}}"),))) == ["cache"]


def test_very_long_texts_and_unknown_models_are_told() -> None:
    assert codes(Body((user("x" * (LONG + 1)),), model="anthropic:claude-sonet-4-6")) == ["long", "unknown_model"]
    assert [known_model(one) for one in ("gpt-4o", "openai:gpt-4o", "openai-responses:gpt-4o", "openai:nope")] == [True, True, True, False]
