from __future__ import annotations

from itertools import count

from agentflow.streams import Cursor, Fold, StoredEvent
from agentflow.streams.events import (
    ApprovalRequested,
    ApprovalResolved,
    End,
    Event,
    RunAttempt,
    RunCompleted,
    RunStarted,
    StepCompleted,
    StepRetrying,
    StepStarted,
    StreamItem,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInput,
    ToolInputDelta,
    ToolInputStart,
    ToolOutput,
)


def _stored(*events: Event, epoch: int = 1) -> list[StoredEvent]:
    return [StoredEvent(Cursor(epoch, seq), 1, event) for seq, event in zip(count(), events, strict=False)]


def test_a_retry_voids_what_the_failed_attempt_said() -> None:
    """T55"""
    fold = Fold().apply_all(
        _stored(
            RunStarted("tell"),
            StepStarted("s1", "model", "llm"),
            TextStart("p1", step="s1"),
            TextDelta("p1", "first try"),
            ToolInputStart("c1", "search", step="s1"),
            ToolInputDelta("c1", '{"q'),
            ApprovalRequested("a1", "Search?", call="c1"),
            StepRetrying("s1", 2, supersedes=("p1", "c1")),
            TextDelta("p1", " too late"),
            ToolInputDelta("c1", " too late"),
            TextStart("p2", step="s1"),
            TextDelta("p2", "second try"),
            TextEnd("p2"),
            StepCompleted("s1", "model", "llm", 2),
        )
    )
    assert fold.text == "second try"
    assert list(fold.parts) == ["p2"]
    assert fold.calls == {}
    assert fold.approvals == {}
    assert (fold.steps["s1"].state, fold.steps["s1"].attempt) == ("completed", 2)


def test_a_new_epoch_voids_open_steps_and_keeps_completed_ones() -> None:
    fold = Fold().apply_all(
        _stored(
            RunStarted("tell"),
            StepStarted("s1", "one"),
            TextStart("p1", step="s1"),
            TextDelta("p1", "kept"),
            StepCompleted("s1", "one"),
            StepStarted("s2", "two"),
            TextStart("p2", step="s2"),
            TextDelta("p2", "lost"),
        )
    )
    fold.apply_all(_stored(RunAttempt(2, "worker_lost", attempt=2, supersedes=("s1", "s2")), epoch=2))
    assert fold.text == "kept"
    assert list(fold.steps) == ["s1"]
    assert fold.attempt == 2


def test_events_that_come_twice_change_nothing() -> None:
    events = _stored(RunStarted("tell"), TextStart("p1"), TextDelta("p1", "a"), TextDelta("p1", "b"), RunCompleted(7), End("completed"))
    once, twice = Fold().apply_all(events), Fold()
    for cut in range(len(events)):
        twice.apply_all(events[: cut + 1])
    assert twice == once
    assert not once.apply(events[0])
    assert (once.text, once.state, once.output, once.ended) == ("ab", "completed", 7, True)


def test_an_answered_approval_survives_the_retry_of_its_call() -> None:
    fold = Fold().apply_all(
        _stored(
            StepStarted("s1", "model"),
            ToolInput("c1", "refund", {"cents": 5}, step="s1"),
            ApprovalRequested("a1", "Refund?", call="c1"),
            ApprovalResolved("a1", "approved", by="maria"),
            StepRetrying("s1", 2, supersedes=("c1",)),
        )
    )
    assert fold.approvals["a1"].decision == "approved"


def test_a_call_goes_from_its_input_to_its_output() -> None:
    fold = Fold().apply_all(
        _stored(
            ToolInputStart("c1", "search"),
            ToolInputDelta("c1", "{}"),
            ToolInput("c1", "search", {}),
            ToolOutput("c1", "some", preliminary=True),
            ToolOutput("c1", "all"),
        )
    )
    assert (fold.calls["c1"].output, fold.calls["c1"].state, fold.calls["c1"].written) == ("all", "completed", "{}")


def test_items_are_kept_by_stream_and_go_with_the_try_that_said_them() -> None:
    fold = Fold().apply_all(
        _stored(
            StreamItem("notes", "of the run", item="a"),
            StepStarted("s1", "one"),
            StreamItem("notes", "first try", "s1", "b"),
            StreamItem("log", 1, "s1", "c"),
            StepRetrying("s1", 2),
            StepStarted("s1", "one", attempt=2),
            StreamItem("notes", "second try", "s1", "d"),
            StepCompleted("s1", "one", attempt=2),
        )
    )
    assert (fold.stream("notes"), fold.stream("log"), fold.stream("none")) == (["of the run", "second try"], [], [])
    fold.apply_all(_stored(RunAttempt(2, "resume"), StreamItem("notes", "of another", item="e", origin="run_2"), epoch=2))
    assert fold.items["notes"]["e"].origin == "run_2"
    assert fold.stream("notes") == ["of the run", "second try", "of another"]


def test_items_that_are_told_again_count_once() -> None:
    words = [StepStarted("s1", "one"), StreamItem("notes", 1, "s1", "a"), StreamItem("notes", 2, "s1", "b"), StepCompleted("s1", "one")]
    fold = Fold().apply_all(_stored(*words)).apply_all(_stored(RunAttempt(2, "worker_lost"), *words, epoch=2))
    assert fold.stream("notes") == [1, 2]
    fold.apply_all(_stored(StreamItem("notes", 3, "s2", "c"), RunAttempt(3, "worker_lost", supersedes=("s2",)), epoch=3))
    assert fold.stream("notes") == [1, 2]


def test_an_item_without_a_name_is_named_after_its_place() -> None:
    fold = Fold().apply_all(_stored(StreamItem("notes", 1), StreamItem("notes", 1)))
    assert fold.stream("notes") == [1, 1]
