"""The projection for the AI SDK as a pure function: what a client makes of it, wherever it was cut and whatever was told twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.server.projections.ai_sdk import FAILED, MAJORS, REQUEST_INPUT, Projection
from agentflow.server.projections.ai_sdk_reply import Begin, Reply, encoded
from agentflow.streams import events as e
from agentflow.streams.codec import StoredEvent
from agentflow.streams.cursor import Cursor
from agentflow.streams.fold import Fold
from tests.server.ui_logs import logs
from tests.server.ui_message import UiMessage


def log(*events: e.Event) -> list[StoredEvent]:
    return [StoredEvent(Cursor(1, place), place, event) for place, event in enumerate(events)]


def told(entries: list[StoredEvent], sdk: int = 7) -> list[dict[str, Any]]:
    """All chunks, one event after the other."""
    projection = Projection("run_1", sdk)
    return [*projection.begin(), *(chunk for entry in entries for chunk in projection.apply(entry))]


def response(entries: list[StoredEvent], begin: Begin, batches: int = 1) -> bytes:
    """All bytes of a response that reads the log in batches of some size."""
    reply = Reply("run_1", begin)
    parts = [entries[at : at + batches] for at in range(0, len(entries), batches)]
    return b"".join(encoded(chunks) for chunks in (reply.first(), *(reply.more(part) for part in parts)))


def message(entries: list[StoredEvent], sdk: int = 7) -> UiMessage:
    return UiMessage(sdk).apply_all(told(entries, sdk))


# -- properties --------------------------------------------------------------------------------------------------------------------------


@given(logs(), st.sampled_from(MAJORS))
@settings(max_examples=200)
def test_no_log_is_fatal_to_a_client_and_each_has_an_end(entries: list[StoredEvent], sdk: int) -> None:
    got, end = message(entries, sdk), entries[-1].event
    assert isinstance(end, e.End)
    assert got.finished == {"completed": "stop", "failed": "error", "cancelled": "other"}[end.status]
    assert (got.error, got.aborted) == (FAILED if end.status == "failed" else None, end.status == "cancelled")
    if end.status == "completed":
        assert not {"streaming", "input-streaming"} & {part.get("state") for part in got.parts}
    else:
        assert not {"streaming", "input-streaming", "input-available"} & {part.get("state") for part in got.parts}


@given(logs())
@settings(max_examples=200)
def test_a_client_that_can_forget_shows_what_our_own_readers_show(entries: list[StoredEvent]) -> None:
    got, fold = message(entries), Fold().apply_all(entries)
    assert got.text == fold.text
    calls = {id: part["input"] for id, part in got.calls().items() if part["type"] != f"tool-{REQUEST_INPUT}"}
    assert calls == {id: call.input for id, call in fold.calls.items()}
    states = {"completed": "output-available", "failed": "output-error", "denied": "output-denied"}
    settled = {id: states[call.state] for id, call in fold.calls.items() if call.state in states}
    assert {id: got.calls()[id]["state"] for id in settled} == settled


@given(logs(), st.sampled_from(MAJORS), st.integers(1, 7))
@settings(max_examples=40)
def test_a_cut_after_any_byte_and_a_resume_by_index_loses_and_doubles_nothing(entries: list[StoredEvent], sdk: int, size: int) -> None:
    sent = response(entries, Begin(sdk=sdk, skip=0))
    whole = UiMessage(sdk).read(sent)
    for cut in range(0, len(sent), 17):
        reader = UiMessage(sdk).read(sent[:cut])
        if reader.finished is None:
            reader.read(response(entries, Begin(sdk=sdk, skip=reader.chunks), size))
        assert (reader.parts, reader.finished, reader.chunks) == (whole.parts, whole.finished, whole.chunks)


@given(logs(), st.sampled_from(MAJORS), st.integers(1, 50))
@settings(max_examples=100)
def test_a_replay_in_few_pieces_makes_the_same_message(entries: list[StoredEvent], sdk: int, size: int) -> None:
    whole, replayed = message(entries, sdk), UiMessage(sdk).read(response(entries, Begin(sdk=sdk), size))
    assert (replayed.seen(), replayed.finished, replayed.id) == (whole.seen(), whole.finished, whole.id)


@given(logs())
@settings(max_examples=100)
def test_a_message_that_ended_at_a_question_goes_on_where_it_was(entries: list[StoredEvent]) -> None:
    whole = message(entries)
    for place, entry in enumerate(entries):
        if isinstance(entry.event, e.RunWaiting):
            before = Reply("run_1", Begin())
            reader = UiMessage().apply_all(before.first()).apply_all(before.more(entries[: place + 1])).apply_all(before.pause())
            assert (reader.finished, reader.metadata["cursor"]) == ("tool-calls", str(entry.id))
            reader.read(response(entries, Begin(after=Cursor.parse(reader.metadata["cursor"]))))
            assert (reader.parts, reader.finished) == (whole.parts, whole.finished)


# -- what each thing looks like ------------------------------------------------------------------------------------------------------------


def turn(*words: e.Event, step: str = "s1") -> list[e.Event]:
    return [e.StepStarted(step, "llm", "llm"), *words, e.StepCompleted(step, "llm", "llm")]


def said(part: str, text: str, step: str = "s1") -> list[e.Event]:
    return [e.TextStart(part, step=step), e.TextDelta(part, text), e.TextEnd(part)]


def test_a_retry_of_one_of_two_parallel_steps_keeps_what_the_other_said() -> None:
    begun = [e.StepStarted("s1", "llm", "llm"), e.StepStarted("s2", "llm", "llm")]
    first = [e.TextStart("p1", step="s1"), e.TextDelta("p1", "keep "), *said("p2", "void", "s2")]
    then = [e.StepRetrying("s2", 2, None, 0, ("p2",)), e.TextDelta("p1", "me"), e.TextEnd("p1"), e.StepCompleted("s1", "llm", "llm")]
    rest = [*said("p3", " and me", "s2"), e.StepCompleted("s2", "llm", "llm"), e.RunCompleted("x"), e.End("completed")]
    entries = log(*begun, *first, *then, *rest)
    assert message(entries).text == "keep me and me"
    old = message(entries, 6)
    assert [part["text"] for part in old.parts if part["type"] == "text"] == ["keep me", "void", " and me"]


def test_calls_that_a_provider_counts_from_0_in_each_turn_are_different_calls() -> None:
    def asks(step: str, order: str) -> list[e.Event]:
        return [*turn(e.ToolInput("0", "look_up", order, step=step), step=step), e.ToolOutput("0", f"about {order}")]

    entries = log(*asks("s1", "o-1"), *asks("s2", "o-2"), e.RunCompleted("x"), e.End("completed"))
    outputs = [(part["input"], part["output"]) for part in message(entries).parts if part["type"] == "tool-look_up"]
    assert outputs == [("o-1", "about o-1"), ("o-2", "about o-2")]


def test_what_a_failed_step_said_is_void_once_the_next_attempt_begins() -> None:
    failed = [e.StepStarted("s1", "llm", "llm"), *said("p1", "half an an")[:2], e.StepFailed("s1", {"message": "no"})]
    again = [e.RunWaiting("retry"), e.RunAttempt(2, "retry", 2), *turn(*said("p1", "an answer")), e.RunCompleted("x"), e.End("completed")]
    assert message(log(*failed, *again)).text == "an answer"


def test_an_exception_of_a_tool_is_told_to_the_model_alone() -> None:
    asks = turn(e.ToolInput("c1", "look_up", {}, step="s1"), e.ToolInput("c2", "look_up", {}, step="s1"))
    errors = [
        e.ToolError("c1", {"code": "error", "message": "password=1"}),
        e.ToolError("c2", {"code": "failed", "message": "no such order"}),
    ]
    calls = message(log(*asks, *errors, e.RunCompleted("x"), e.End("completed"))).calls()
    assert (calls["c1"]["errorText"], calls["c2"]["errorText"]) == ("The tool failed.", "no such order")


def test_a_run_that_was_cancelled_leaves_no_call_open() -> None:
    entries = log(*turn(e.ToolInput("c1", "look_up", {}, step="s1")), e.RunCancelled(reason="enough"), e.End("cancelled"))
    assert [chunk for chunk in told(entries) if chunk["type"] in ("abort", "finish", "tool-output-error")] == [
        {"type": "tool-output-error", "toolCallId": "c1", "errorText": "The call was not finished."},
        {"type": "abort", "reason": "enough"},
        {"type": "finish", "finishReason": "other", "messageMetadata": {"runId": "run_1"}},
    ]


def test_sources_files_data_usage_and_a_structured_result_come_through() -> None:
    entries = log(
        *turn(
            e.Source("https://x.org", "X", step="s1"), e.File("blob:1", "image/png", step="s1"), e.Usage("s1", input=3, output=4, cost=0.5)
        ),
        *turn(e.Usage("s2", input=1, output=2), step="s2"),
        e.Data("chart", [1], id="c"),
        e.Data("chart", [1, 2], id="c"),
        e.Data("tick", 1, transient=True),
        e.RunWaiting("timer", until=9),
        e.RunCompleted({"answer": 42}),
        e.End("completed"),
    )
    got = message(entries)
    kinds = ["step-start", "source-url", "file", "data-chart", "data-agentflow-output"]
    assert [part["type"] for part in got.parts] == kinds
    assert (got.parts[3]["data"], got.parts[4]["data"]) == ([1, 2], {"answer": 42})
    assert got.metadata["usage"] == {"input": 4, "output": 6, "cost": 0.5}
    transient = [(chunk["type"], chunk["data"]) for chunk in told(entries) if chunk.get("transient")]
    assert transient == [("data-tick", 1), ("data-agentflow-run", {"status": "waiting", "on": "timer", "until": 9})]


def test_a_reader_that_may_not_see_thoughts_gets_all_but_them() -> None:
    thoughts = [e.ReasoningStart("p0", step="s1"), e.ReasoningDelta("p0", "secret"), e.ReasoningEnd("p0")]
    entries = log(*turn(*thoughts, *said("p1", "open")), e.RunCompleted("x"), e.End("completed"))
    sent = response(entries, Begin(thoughts=False))
    assert b"secret" not in sent
    assert [part["type"] for part in UiMessage().read(sent).parts] == ["step-start", "text"]


def test_an_event_of_a_kind_that_nobody_knows_adds_nothing() -> None:
    assert Projection("run_1").apply(log(e.UnknownEvent("brand.new", "x", {}))[0]) == []


@pytest.mark.parametrize("sdk", MAJORS)
def test_each_major_learns_of_a_question_in_its_own_way(sdk: int) -> None:
    asks = turn(e.ToolInput("c1", "refund", {}, step="s1"))
    asked = e.ApprovalRequested("wp_1", "Refund?", call="c1")
    resolved = e.ApprovalResolved("wp_1", "denied", by="maria", reason="too much")
    entries = log(
        *asks, asked, e.RunWaiting("approval"), resolved, e.ToolDenied("c1", "too much"), e.RunCompleted("no"), e.End("completed")
    )
    kinds = [chunk["type"] for chunk in told(entries, sdk) if "approv" in chunk["type"] or "output" in chunk["type"]]
    assert (
        kinds
        == {
            5: ["data-agentflow-approval", "data-agentflow-approval", "tool-output-error", "data-agentflow-output"],
            6: ["tool-approval-request", "tool-output-denied", "data-agentflow-output"],
            7: ["tool-approval-request", "tool-approval-response", "tool-output-denied", "data-agentflow-output"],
        }[sdk]
    )


def below(*numbers: int) -> list[e.Event]:
    return [e.ApprovalRequested(f"wp_{number}", "Publish?", "confirm", "c1", input="a draft", run="run_2") for number in numbers]


def test_questions_of_a_child_are_calls_of_their_own_in_one_step_as_long_as_they_are_open() -> None:
    asks = [*turn(e.ToolInput("c1", "write", {}, step="s1")), e.ChildStarted("run_2", "write", "c1"), e.RunWaiting("child", ("wp_0",))]
    parts = message(log(*asks, *below(1, 2))).parts
    assert [part["type"] for part in parts] == ["step-start", "tool-write", "step-start", "tool-request_input", "tool-request_input"]
    shown = {"title": "Publish?", "body": "a draft", "runId": "run_2", "toolCallId": "c1"}
    assert [(part["state"], part["input"]) for part in parts[3:]] == [("approval-requested", shown)] * 2
    denied, approved = (
        e.ApprovalResolved("wp_2", "denied", "maria", run="run_2"),
        e.ApprovalResolved("wp_1", "approved", "tom", run="run_2"),
    )
    rest = [denied, *below(3), approved, e.ApprovalResolved("wp_3", "approved", run="run_2"), e.ToolOutput("c1", "written")]
    got = message(log(*asks, *below(1, 2), *rest, *turn(*said("p1", "Done.", "s2"), step="s2"), e.RunCompleted("x"), e.End("completed")))
    states = {id: part["state"] for id, part in got.calls().items()}
    assert states == {"c1": "output-available", "wp_1": "output-available", "wp_2": "output-denied", "wp_3": "output-available"}
    assert [part["type"] for part in got.parts].count("step-start") == 3


def test_a_run_is_up_to_people_while_it_waits_for_one_that_asks() -> None:
    projection = Projection("run_1")
    seen: list[bool] = []
    resolved, resumed = e.ApprovalResolved("wp_1", "approved", run="run_2"), e.RunAttempt(2, "resume")
    for entry in log(e.RunStarted("t"), *below(1), e.RunWaiting("child"), resolved, *below(2), e.RunProgress({}), resumed):
        projection.apply(entry)
        seen.append(projection.waits)
    assert seen == [False, False, True, False, True, True, False]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_question_of_a_child_that_is_open_at_the_end_is_closed(status: str) -> None:
    got = message(log(e.RunStarted("t"), e.RunWaiting("child"), *below(1), e.RunAttempt(2, "resume"), e.End(status)))
    assert got.calls()["wp_1"]["state"] == "output-error"
