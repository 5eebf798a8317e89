"""A run as the terminal tells it."""

from __future__ import annotations

import re

import pytest

from agentflow.cli.telling import Teller
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor


def told(capsys: pytest.CaptureFixture[str], *events: e.Event) -> list[str]:
    """The lines that these events make, without their times."""
    teller = Teller()
    for number, event in enumerate(events, start=1):
        teller.tell(StoredEvent(Cursor(1, number), 1_000 * number, event))
    return [re.sub(r"^\d\d:\d\d:\d\d", "", line).strip() for line in capsys.readouterr().out.splitlines()]


def speech(step: str, part: str, *deltas: str) -> list[e.Event]:
    return [e.StepStarted(step, "llm", "llm"), e.TextStart(part, step=step), *(e.TextDelta(part, delta) for delta in deltas)]


def test_tokens_make_one_line_and_new_lines_keep_their_margin(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, *speech("s1", "p1", "Hel", "lo.\nI ", "am here."), e.TextEnd("p1"), e.StepCompleted("s1", "llm", "llm"))
    assert lines == ["│ Hello.", "│ I am here.", "✓ llm"]


def test_thoughts_stand_apart_from_text(capsys: pytest.CaptureFixture[str]) -> None:
    thoughts = [e.ReasoningStart("r1", step="s1"), e.ReasoningDelta("r1", "hm"), e.ReasoningEnd("r1")]
    lines = told(capsys, e.StepStarted("s1", "llm", "llm"), *thoughts, e.TextStart("p1", step="s1"), e.TextDelta("p1", "Yes."))
    assert lines == ["┆ hm", "│ Yes."]


def test_text_that_a_retry_supersedes_is_marked_as_void(capsys: pytest.CaptureFixture[str]) -> None:
    again = e.StepRetrying("s1", 2, {"type": "Overloaded", "message": "busy"}, 500, ("p1",))
    lines = told(capsys, *speech("s1", "p1", "Half a"), again, *speech("s1", "p2", "A whole."))
    assert lines == ["│ Half a", "↻ llm failed, again in 500 ms: Overloaded: busy", "⌫ what llm said above is void", "│ A whole."]


def test_text_of_a_lost_worker_is_marked_as_void_and_recorded_text_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = [*speech("s1", "p1", "Kept."), e.StepCompleted("s1", "plan", "llm")]
    lines = told(capsys, *recorded, *speech("s2", "p2", "Lost"), e.RunAttempt(2, "worker_lost", 1, ("s1", "s2")))
    assert lines[-2:] == ["↻ its worker was lost, another goes on", "⌫ what llm said above is void"]


def test_an_answer_that_was_told_as_it_came_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, *speech("s1", "p1", "It is sent."), e.RunCompleted("It is sent."), e.End("completed"))
    assert [line for line in lines if "It is sent." in line] == ["│ It is sent."]
    assert lines[-1].startswith("✓ completed")


def test_an_event_that_comes_twice_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    for _ in range(2):
        teller.tell(StoredEvent(Cursor(1, 1), 0, e.StepCompleted("s1", "fetch")))
    assert capsys.readouterr().out.count("fetch") == 1


def test_words_are_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, *speech("s1", "p1", "[bold]not[/bold] [1]"))
    assert lines == ["│ [bold]not[/bold] [1]"]


def test_a_step_that_takes_long_is_named_once_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    teller.tell(StoredEvent(Cursor(1, 1), 0, e.StepStarted("s1", "fetch")))
    for _ in range(4):
        teller.glance()
    assert capsys.readouterr().out.count("fetch …") == 1


def test_items_are_told_as_they_come_and_the_steps_that_only_append_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    appended = "stream.progress#0"
    lines = told(
        capsys,
        e.StepStarted(appended, "stream.progress"),
        e.StreamItem("progress", {"done": 3}, appended, appended),
        e.StepCompleted(appended, "stream.progress"),
        e.StreamItem("notes", "from below", item="a", origin="run_2"),
        e.StepCompleted("fetch#0", "fetch"),
    )
    assert lines == ['• progress  {"done": 3}', "• notes  from below  run_2", "✓ fetch"]
