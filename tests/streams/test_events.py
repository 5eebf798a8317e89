from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agentflow.errors import CursorInvalid
from agentflow.streams import Cursor, StoredEvent, UnknownEvent, decode, encode
from agentflow.streams.events import KINDS, Data, Event, RunAttempt, RunCompleted, StepStarted, TextDelta, TextEnd, Usage

_VALUES: dict[str, Any] = {
    "str": "x",
    "str | None": "y",
    "int": 2,
    "int | None": 3,
    "bool | None": True,
    "float | None": 0.5,
    "Record": {"code": "error"},
    "Record | None": {"input": 1},
    "Any": [1, {"a": None}],
    "tuple[str, ...]": ("a", "b"),
}


def _event(kind: type[Any], values: dict[str, Any]) -> Event:
    return kind(**values)


def _filled(kind: type[Any]) -> Event:
    return _event(kind, {field.name: _VALUES[str(field.type)] for field in fields(kind)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_every_kind_of_event_survives_storage_with_all_its_fields(kind: type[Any]) -> None:
    event = _filled(kind)
    t, p, d = encode(event)
    assert decode(t, p, d.decode()) == event


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_the_json_of_an_event_is_one_line_with_its_type_first_and_no_nulls(kind: type[Any]) -> None:
    required = {field.name: _VALUES[str(field.type)] for field in fields(kind) if str(field.type) in {"str", "int", "Record"}}
    required |= {name: [1] for name in ("input", "data") if name in {field.name for field in fields(kind)} and name not in required}
    required = {"step": "s1"} if kind is Usage else required
    text = StoredEvent(Cursor(1, 2), 7, _event(kind, required)).json()
    assert b"\n" not in text
    sent = json.loads(text)
    assert next(iter(sent)) == "type"
    assert None not in sent.values()
    assert ("ts" in sent) != kind.type.endswith(".delta")
    assert required.items() <= sent.items()


@given(some.text(), some.text(min_size=1).filter(lambda text: text.isprintable()))
def test_a_delta_carries_any_text(delta: str, part: str) -> None:
    event = TextDelta(part, delta)
    t, p, d = encode(event)
    assert decode(t, p, d.decode()) == event
    assert json.loads(StoredEvent(Cursor(1, 0), 1, event).json()) == {"type": "text.delta", "part": part, "delta": delta}


def test_what_json_cannot_say_does_not_stop_a_stream() -> None:
    assert json.loads(encode(Data("d", {"worst": math.nan, "odd": object}))[2])["data"]["worst"] is None
    assert encode(TextDelta("p", "half \ud83d"))[2] == b"half ?"
    assert encode(RunCompleted({"text": "half \ud83d"}))[2]


def test_an_event_of_a_newer_version_is_read_as_unknown_and_passed_on() -> None:
    entry = StoredEvent.stored("1-4", "step.dreamt", "s1", '{"depth":3}', "99")
    assert entry.event == UnknownEvent("step.dreamt", "s1", {"depth": 3})
    assert json.loads(entry.json()) == {"type": "step.dreamt", "ts": 99, "about": "s1", "depth": 3}


def test_fields_of_a_newer_version_are_ignored_and_missing_ones_make_it_unknown() -> None:
    assert decode("step.started", "s1", '{"name":"a","mood":"blue"}') == StepStarted("s1", "a")
    assert decode("step.started", "s1", "{}") == UnknownEvent("step.started", "s1", {})


def test_an_event_that_says_nothing_more_has_no_data() -> None:
    assert encode(TextEnd("p1")) == ("text.end", "p1", b"")
    assert encode(RunAttempt(2, "retry"))[2] == b'{"epoch":2,"reason":"retry"}'


@given(some.integers(0, 2**64 - 1), some.integers(0, 2**64 - 1))
def test_a_cursor_reads_what_it_writes(epoch: int, seq: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, seq))) == (epoch, seq)


def test_cursors_compare_as_numbers() -> None:
    assert Cursor.parse("9-10") < Cursor.parse("10-2")
    assert Cursor.parse("1-9") < Cursor.parse("1-10")


@pytest.mark.parametrize("text", ["", "3", "-3", "3-", "a-b", "1-2-3", " 1-2", "1-2\n", "\uff11-2"])
def test_a_malformed_cursor_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(CursorInvalid) as refused:
        Cursor.parse(text)
    assert refused.value.hint
