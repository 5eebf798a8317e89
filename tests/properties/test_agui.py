"""Whatever a run's log says, and wherever a reader is cut off: an AG-UI client accepts what it is told, and ends with the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.server.frames import merged
from agentflow.server.projections.agui_projection import Names, Projection
from agentflow.streams.codec import StoredEvent
from agentflow.streams.fold import Fold
from tests.properties.agui_logs import logs
from tests.properties.agui_reader import AguiReader, Event, Message

NAMES = Names("thread", "run-1", "run_1")
USER: list[Message] = [{"id": "u1", "role": "user", "content": "hello"}]
BEFORE: list[Message] = [{"id": "r0", "role": "reasoning", "content": "an old thought"}, {"id": "a0", "role": "assistant", "content": "hi"}]
quick = settings(max_examples=80)
others = st.sampled_from((USER, [*BEFORE, *USER]))


def page(messages: Sequence[Message]) -> AguiReader:
    """A client that has these messages."""
    reader = AguiReader()
    reader.messages = [dict(one) for one in messages]
    return reader


def told(log: Sequence[StoredEvent], messages: Sequence[Message], known: int | None = None) -> list[list[Event]]:
    """The client's runs over a log, in order: each question ends one, and with the answer the next begins with how things stand."""
    projection = Projection(NAMES, messages)
    if known is not None:
        projection.absorb(log[:known], log[known - 1].id if known else None)
    runs = [projection.begin()]
    for at in range(known or 0, len(log)):
        if projection.finished:
            answered = projection.answered | {one["id"] for one in runs[-1][-1]["outcome"]["interrupts"]}
            projection = Projection(NAMES, messages)
            projection.answered = answered
            projection.absorb(log[:at], log[at - 1].id)
            runs.append(projection.begin())
        runs[-1] += projection.apply(log[at])
    return runs


def follow(reader: AguiReader, runs: Sequence[Sequence[Event]]) -> AguiReader:
    """Tell a client of its runs."""
    for run in runs:
        reader.connect()
        reader.take(list(run))
        assert reader.over, "a run without a last word"
    return reader


def ours(reader: AguiReader) -> list[Message]:
    """The messages, where one without content has an empty one."""
    return [{**one, "content": one.get("content", "")} for one in reader.messages]


@quick
@given(logs(), others)
def test_a_client_accepts_every_stream_and_ends_with_what_counts(log: list[StoredEvent], before: list[Message]) -> None:
    reader = follow(page(before), told(log, before))
    fold = Fold().apply_all(log)
    said = "".join(one.get("content", "") for one in reader.messages if one["role"] == "assistant" and one["id"] != "a0")
    thought = "".join(one["content"] for one in reader.messages if one["role"] == "reasoning" and one["id"] != "r0")
    assert (Counter(said), Counter(thought)) == (Counter(fold.text), Counter(fold.reasoning))
    asked = [call for one in reader.messages for call in one.get("toolCalls", ())]
    assert Counter(call["id"] for call in asked) == Counter(f"run_1:{call}" for call in fold.calls)
    for call in asked:
        given = fold.calls[call["id"].removeprefix("run_1:")].input
        assert given is None or json.loads(call["function"]["arguments"]) == given
    ended = {f"run_1:{call.id}" for call in fold.calls.values() if call.state in ("completed", "failed", "denied")}
    assert Counter(one["toolCallId"] for one in reader.messages if one["role"] == "tool") == Counter(ended)
    assert [one for one in reader.messages if one["id"] in ("u1", "a0", "r0")] == before
    assert reader.interrupts == [] or fold.state == "failed", "a client forgets what it was asked at RUN_FINISHED"


@quick
@given(logs(), others, st.data())
def test_a_client_that_is_cut_off_anywhere_and_attaches_again_ends_with_the_same(
    log: list[StoredEvent], before: list[Message], data: st.DataObject
) -> None:
    runs = told(log, before)
    whole = follow(page(before), runs)
    heard = data.draw(st.integers(0, sum(map(len, runs))), "events heard")
    reader = page(before)
    for run in runs:
        reader.connect()
        reader.take(run[:heard])
        heard -= min(heard, len(run))
        if not heard:
            break
    # The run went on meanwhile, for as long as it takes to come back.
    known = data.draw(st.integers(_behind(log, before, reader), len(log)), "events until it is back")
    follow(reader, told(log, reader.messages, known))
    assert ours(reader) == ours(whole)
    assert reader.state == whole.state


def _behind(log: Sequence[StoredEvent], before: Sequence[Message], reader: AguiReader) -> int:
    """A place in the log at which all that the reader has is told."""
    projection, place = Projection(NAMES, before), 0
    wanted = {one["id"] for one in reader.messages} | {call["id"] for one in reader.messages for call in one.get("toolCalls", ())}
    seen: set[Any] = {one["id"] for one in before}
    for place, event in enumerate(log):  # noqa: B007
        if wanted <= seen:
            break
        projection.apply(event)
        for one in projection.speech.messages.snapshot():
            seen |= {one["id"], *(call["id"] for call in one.get("toolCalls", ()))}
    return place


@quick
@given(logs(), st.data())
def test_a_reader_that_goes_on_behind_an_event_it_had_misses_nothing_and_hears_nothing_twice(
    log: list[StoredEvent], data: st.DataObject
) -> None:
    runs = told(log, USER)
    at = data.draw(st.integers(1, len(log)), "the place")
    resumed = Projection(NAMES, USER)
    resumed.absorb(log[:at], log[at - 1].id)
    straight = Projection(NAMES, USER)
    for event in log[:at]:
        straight.apply(event)
    for event in log[at:]:
        assert resumed.apply(event) == straight.apply(event)
    assert runs


@quick
@given(logs(), st.data())
def test_a_stream_that_is_lost_on_the_way_changes_nothing_in_the_end(log: list[StoredEvent], data: st.DataObject) -> None:
    whole = follow(page(USER), told(log, USER))
    projection = Projection(NAMES, USER)
    reader = page(USER)
    reader.take(projection.begin())
    lost = data.draw(st.integers(1, len(log)), "events until it is lost")
    for at, event in enumerate(log):
        if reader.over:
            break
        if at == lost:
            reader.take(projection.restart(log[:at], log[at - 1].id))
        reader.take(projection.apply(event))
    if reader.over and not reader.interrupts:
        assert ours(reader) == ours(whole)


@quick
@given(logs(), st.data())
def test_deltas_that_are_joined_say_the_same(log: list[StoredEvent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)), "where a batch ends")
    joined = [*merged(log[:cut]), *merged(log[cut:])]
    assert ours(follow(page(USER), told(joined, USER))) == ours(follow(page(USER), told(log, USER)))
