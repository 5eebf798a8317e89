"""Questions at the command line: filled in, taken back, given to others, with all that was said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentflow.cli.screen import exit_code
from agentflow.errors import InvalidAnswer, WaitpointAlreadyAnswered, WaitpointError, WaitpointNotFound, WaitpointTimedOut
from agentflow.storage.policy import NotEligible, SubjectChanged
from tests.cli.conftest import Call, Start, as_json

DESK = '''
"""A desk."""
import asyncio
from agentflow import approve, ask, task

@task
async def sign(users: list[str], need: int) -> str:
    body = {"cents": "12", "note": "pay\\u202e"}
    decision = await approve("Sign it?", body=body, users=users, need=need, risk="high")
    return f"{decision.approved} by {decision.by}"

@task
async def crowd(many: int) -> int:
    return sum(one.approved for one in await asyncio.gather(*(approve("Same?") for _ in range(many))))

@task
async def how_many() -> int:
    """Ask for a number."""
    return await ask(int, title="How many?")
'''


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotEligible, 3),
        (WaitpointNotFound, 1),
        (WaitpointAlreadyAnswered, 4),
        (WaitpointTimedOut, 5),
        (SubjectChanged, 6),
        (InvalidAnswer, 7),
    ],
)
def test_each_way_not_to_count_has_an_exit_code(error: type[WaitpointError], code: int) -> None:
    assert exit_code(error("no")) == code


def asked(folder: Path, start: Start, run: Call, *words: str) -> str:
    """Start a run with a worker beside it; returns its id once it waits for people."""
    (folder / "desk.py").write_text(DESK)
    worker = start("worker", "desk.py")
    worker.until("stop ")
    return started(run, *words)


def started(run: Call, *words: str) -> str:
    """Start a run; returns its id once it waits for people."""
    run_id = run("start", *words).stdout.strip()
    for _ in range(500):
        if as_json(run("approvals", "list", "--json")):
            return run_id
    raise AssertionError(f"nobody was asked: {run('runs', 'show', run_id).stdout}")


def test_a_form_is_filled_in_and_what_does_not_fit_is_refused(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "how_many")
    assert "approvals answer" in run("approvals", "show", run_id).stdout
    wrong = run("approvals", "answer", run_id, '"three"')
    assert (wrong.exit_code, "Should be of type integer" in wrong.stderr, "approvals show" in wrong.stderr) == (7, True, True)
    assert "answered" in run("approvals", "answer", run_id, "3").stdout


def test_a_question_is_listed_however_many_newer_ones_people_are_not_asked(folder: Path, start: Start, run: Call) -> None:
    asked(folder, start, run, "crowd", "--payload", '{"many": 501}')
    listed: dict[str, Any] = {}
    while listed.get("times") != 501:
        [listed] = as_json(run("approvals", "list", "--json"))
    assert "approved" in run("approve", listed["id"]).stdout
    assert as_json(run("approvals", "list", "--json")) == []


def test_a_question_goes_to_others_and_every_word_is_kept(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "sign", "--payload", '{"users": ["maria", "otto"], "need": 2}')
    [waiting] = as_json(run("approvals", "list", "--json"))
    refused = run("approve", run_id, "--by", "mallory")
    assert (refused.exit_code, "may not decide" in refused.stderr, "for 2 of maria, otto" in refused.stderr) == (3, True, True)
    assert "1 of 2: more people are needed" in run("approve", run_id, "--by", "maria").stdout
    assert "nobody: the question names no channel" in run("approvals", "remind", run_id, "--by", "boss").stdout
    assert "a moment ago" in run("approvals", "remind", run_id, "--by", "boss").stderr
    assert "zoe" in run("approvals", "reassign", run_id, "--user", "zoe", "--user", "ana", "--by", "boss").stdout
    shown = run("approvals", "show", run_id).stdout
    expected = ("high", "2 of zoe, ana", "then denied", "not counted: not_eligible", '"cents": "12"', "pay<U+202E>")
    assert all(words in shown for words in expected)
    assert "1 of 2: more people are needed" in run("approve", run_id, "--by", "ana").stdout
    assert "approved" in run("approve", run_id, "--by", "zoe").stdout
    said = as_json(run("approvals", "votes", waiting["id"], "--json"))
    assert [(one["actor"], one["choice"], one["counted"]) for one in said] == [
        ("mallory", "approve", False),
        ("maria", "approve", True),
        ("boss", "remind", True),
        ("boss", "reassign", True),
        ("ana", "approve", True),
        ("zoe", "approve", True),
    ]
    assert "not counted: not_eligible" in run("approvals", "votes", waiting["id"]).stdout


def test_who_answers_too_late_or_second_is_told_as_a_program_reads_it(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "how_many")
    [waiting] = as_json(run("approvals", "list", "--json"))
    assert as_json(run("approvals", "cancel", run_id, "--reason", "no need", "--superseded", "--json"))["state"] == "cancelled"
    assert as_json(run("approvals", "list", "--json")) == []
    late = run("approvals", "answer", waiting["id"], "3", "--json")
    assert (late.exit_code, as_json(late)["code"], as_json(late)["details"]["state"]) == (5, "waitpoint_timed_out", "cancelled")
    assert "approvals show" in as_json(late)["hint"]
    started(run, "sign", "--payload", '{"users": [], "need": 1}')
    [waiting] = as_json(run("approvals", "list", "--json"))
    said = ("approvals", "decide", waiting["id"], "deny", "--reason", "no", "--by", "ana", "--key", "k", "--json")
    first, again = as_json(run(*said)), as_json(run(*said))
    assert (first["outcome"], first["answered_by"], again["answer"]) == ("resolved", "ana", first["answer"])
    second = run("approvals", "decide", waiting["id"], "approve", "--by", "bo")
    assert (second.exit_code, "was answered by ana" in second.stderr, "tells what became of it" in second.stderr) == (4, True, True)
    assert as_json(run("approvals", "show", waiting["id"], "--json"))["votes"][0]["actor"] == "ana"
