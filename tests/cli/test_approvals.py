"""Questions at the command line: filled in, taken back, given to others, with all that was said."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Call, Start, as_json

DESK = '''
"""A desk."""
from agentflow import approve, ask, task

@task
async def sign(users: list[str], need: int) -> str:
    decision = await approve("Sign it?", users=users, need=need)
    return f"{decision.approved} by {decision.by}"

@task
async def how_many() -> int:
    """Ask for a number."""
    return await ask(int, title="How many?")
'''


def asked(folder: Path, start: Start, run: Call, *words: str) -> str:
    """Start a run with a worker beside it; returns its id once it waits for people."""
    (folder / "desk.py").write_text(DESK)
    worker = start("worker", "desk.py")
    worker.until("stop ")
    run_id = run("start", *words).stdout.strip()
    for _ in range(500):
        if as_json(run("approvals", "list", "--json")):
            return run_id
    raise AssertionError(f"nobody was asked: {worker.said}")


def test_a_form_is_filled_in_and_what_does_not_fit_is_refused(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "how_many")
    assert "approvals answer" in run("approvals", "show", run_id).stdout
    wrong = run("approvals", "answer", run_id, '"three"')
    assert (wrong.exit_code, "Should be of type integer" in wrong.stderr) == (1, True)
    assert "answered" in run("approvals", "answer", run_id, "3").stdout


def test_a_question_goes_to_others_and_every_word_is_kept(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "sign", "--payload", '{"users": ["maria", "otto"], "need": 2}')
    [waiting] = as_json(run("approvals", "list", "--json"))
    refused = run("approve", run_id, "--by", "mallory")
    assert (refused.exit_code, "may not decide" in refused.stderr) == (1, True)
    assert "more people are needed" in run("approve", run_id, "--by", "maria").stdout
    assert "nobody: the question names no channel" in run("approvals", "remind", run_id, "--by", "boss").stdout
    assert "a moment ago" in run("approvals", "remind", run_id, "--by", "boss").stderr
    assert "zoe" in run("approvals", "reassign", run_id, "--user", "zoe", "--by", "boss").stdout
    assert "approved" in run("approve", run_id, "--by", "zoe").stdout
    said = as_json(run("approvals", "votes", waiting["id"], "--json"))
    assert [(one["actor"], one["choice"], one["counted"]) for one in said] == [
        ("mallory", "approve", False),
        ("maria", "approve", True),
        ("boss", "remind", True),
        ("boss", "reassign", True),
        ("zoe", "approve", True),
    ]
    assert "not counted: not_eligible" in run("approvals", "votes", waiting["id"]).stdout


def test_a_question_is_taken_back(folder: Path, start: Start, run: Call) -> None:
    run_id = asked(folder, start, run, "how_many")
    assert "taken back" in run("approvals", "cancel", run_id, "--reason", "no need").stdout
    assert as_json(run("approvals", "list", "--json")) == []
