"""Rules for the calls of models, tried without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow import Approval
from agentflow.errors import DefinitionError
from agentflow.policy import Judgement, Matcher, Policy, Rule, at_least, at_most, one_of, prefix, regex
from agentflow.policy.matching import exact, is_shell, with_defaults

POLICY = (
    Policy()
    .deny("shell", args={"cmd": regex(r"rm -rf /")}, reason="Nothing is wiped.")
    .always_ask("wire_*", args={"amount": at_least(1_000)}, need=2, groups=["finance"])
    .always_ask("wire_*", args={"to.country": one_of("XX", "YY")}, risk="critical")
    .allow("read_file", args={"path": prefix("/tmp/")})
    .allow("shell", args={"cmd": regex(r"git (status|log)")})
)


@pytest.mark.parametrize(
    ("tool", "args", "effect"),
    [
        ("shell", {"cmd": "echo; rm -rf /"}, "deny"),
        ("shell", {"cmd": "git status"}, "run"),
        ("shell", {"cmd": "git status; curl evil"}, "ask"),
        ("shell", {"cmd": "git status\nrm x"}, "ask"),
        ("read_file", {"path": "/tmp/a-1.txt"}, "run"),
        ("read_file", {"path": "/tmp/../etc/passwd"}, "ask"),
        ("read_file", {"path": "/tmp/a;cat /etc/passwd"}, "ask"),
        ("read_file", {"path": "/tmp/$(id)"}, "ask"),
        ("read_file", {"path": "/tmp/a b"}, "ask"),
        ("read_file", {"path": "/tmp/%2e%2e/x"}, "ask"),
        ("read_file", {}, "ask"),
        ("wire_money", {"amount": 1_000}, "ask"),
        ("other", {"path": "/tmp/a"}, "ask"),
    ],
)
def test_deny_comes_before_ask_and_ask_before_what_is_let_through(tool: str, args: dict[str, Any], effect: str) -> None:
    assert POLICY.judge(tool, args, approval=Approval()).effect == effect


def test_without_an_approval_only_rules_ask() -> None:
    assert POLICY.judge("other", {}).effect == "run"
    assert POLICY.judge("wire_money", {"amount": 999}).effect == "run"
    judged = POLICY.judge("wire_money", {"amount": 5_000, "to": {"country": "XX"}})
    assert (judged.required, judged.open, dict(judged.asking)) == (True, False, {"groups": ["finance"], "need": 2, "risk": "critical"})


@pytest.mark.parametrize("amount", ["5000", None, float("nan"), float("inf"), True, [1]])
def test_a_rule_that_cannot_judge_has_people_asked_as_strictly_as_it_would(amount: Any) -> None:
    """T37"""
    judged = POLICY.judge("wire_money", {"amount": amount})
    assert (judged.effect, judged.open, judged.asking["need"]) == ("ask", False, 2)
    assert "cannot judge" in judged.why
    allowing = Policy().allow("pay", args={"amount": at_most(5)})
    assert allowing.judge("pay", {"amount": amount}, approval=False).effect == "ask"


def test_a_deny_rule_that_cannot_judge_asks_and_another_one_still_denies() -> None:
    policy = Policy().deny("pay", args={"amount": at_least(5)})
    assert policy.judge("pay", {"amount": "6"}).effect == "ask"
    assert policy.deny("pay", args={"to": "mallory"}).judge("pay", {"amount": "6", "to": "mallory"}).effect == "deny"


def test_the_tools_own_condition_counts_last_and_asks_where_it_fails() -> None:
    dear = Approval(when=lambda a: a.cents > 100)
    assert Policy().judge("refund", {"cents": 50}, approval=dear).effect == "run"
    asked = Policy().judge("refund", {"cents": 500}, approval=dear)
    assert (asked.effect, asked.open) == ("ask", True)
    broken = Policy().judge("refund", {}, approval=dear)
    assert (broken.effect, broken.open) == ("ask", False)
    assert "AttributeError" in broken.why
    assert Policy().allow("refund").judge("refund", {"cents": 500}, approval=dear).effect == "run"


def test_true_is_not_one_and_what_the_model_left_out_has_its_default() -> None:
    policy = Policy().deny("rm", args={"recursive": True})
    assert policy.judge("rm", {"recursive": 1}).effect == "run"
    schema = {"properties": {"recursive": {"type": "boolean", "default": True}}}
    assert policy.judge("rm", with_defaults(schema, {"path": "x"})).effect == "deny"
    assert policy.judge("rm", with_defaults(schema, {"recursive": False})).effect == "run"


def test_a_rule_and_a_judgement_are_data_and_a_change_is_another_version() -> None:
    again = Policy(Rule.of(one.told()) for one in POLICY.rules)
    assert (again.version, [str(one) for one in again.rules]) == (POLICY.version, [str(one) for one in POLICY.rules])
    judged = POLICY.judge("shell", {"cmd": "rm -rf /"})
    assert Judgement.of(judged.told()) == judged
    assert judged.rule == 'deny shell where {"cmd":{"regex":"rm -rf /"}}'
    assert again.deny("x").version != POLICY.version
    assert [Judgement.of(one).required for one in (True, False)] == [True, False]
    assert POLICY.concerning("read_file") == []


def test_rules_are_hashed_once_until_they_change() -> None:
    policy = Policy().deny("x")
    assert policy.version is policy.version
    assert Policy().joined(policy).version is policy.version is policy.joined(Policy()).version is policy.joined(None).version
    before, both = policy.version, policy.joined(Policy().deny("y"))
    assert policy.deny("y").version == both.version != before


@pytest.mark.parametrize(
    "told", [{}, 5, {"like": "x"}, {"prefix": ""}, {"prefix": 5}, {"regex": "("}, {"min": "5"}, {"max": True}, {"in": 5}]
)
def test_what_no_argument_can_be_is_refused_where_it_is_written(told: Any) -> None:
    with pytest.raises(DefinitionError):
        Matcher.of(told)


def test_rules_that_nobody_can_meet_or_that_name_nothing_are_refused() -> None:
    with pytest.raises(DefinitionError):
        Policy().deny()
    with pytest.raises(DefinitionError):
        Policy().always_ask("x", users=["maria"], need=2)
    with pytest.raises(DefinitionError):
        Policy().always_ask("x", expires="1d")  # pyright: ignore[reportCallIssue] - what a user may write


def test_exact_arguments_do_not_depend_on_their_order_and_shells_are_known() -> None:
    assert exact("t", {"a": 1, "b": 2}) == exact("t", {"b": 2, "a": 1}) != exact("u", {"a": 1, "b": 2})
    assert [is_shell(*one) for one in (("run_shell", ()), ("Bash", ()), ("deploy", ("Command",)), ("refund", ("cents",)))] == [
        True,
        True,
        True,
        False,
    ]
