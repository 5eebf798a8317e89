"""Values to JSON text and back."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentflow.errors import DefinitionError, InvalidPayload, RunFailed, UnserializableValue
from agentflow.serde import ANY, Payload, codec, decode_failure, digest, encode_failure, failure, rebuild


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Order:
    id: UUID
    at: dt.datetime
    cents: Decimal
    colour: Colour
    lines: list[Point] = field(default_factory=list[Point])


ORDER = Order(UUID(int=7), dt.datetime(2027, 1, 1, tzinfo=dt.UTC), Decimal("1.10"), Colour.RED, [Point(x=1)])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_value_comes_back_as_it_was(value: Any) -> None:
    assert ANY.decode(ANY.encode(value, what="it"), what="it") == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Order, ORDER), (list[Point], [Point(x=1)]), (tuple[int, str], (1, "a")), (set[int], {1, 2}), (bytes, b"abc"), (Point | None, None)],
)
def test_a_value_comes_back_in_the_type_of_its_annotation(annotation: Any, value: Any) -> None:
    known = codec(annotation)
    assert known.decode(known.encode(value, what="it"), what="it") == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, object()]}, r"\.a\[1\] is object"),
        (object(), r"the value is object"),
        ([{"deep": {"er": lambda: 1}}], r"\[0\]\.deep\.er is function"),
        (b"\xff\xfe", r"bytes"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_by_path_and_type(value: Any, told: str) -> None:
    with pytest.raises(UnserializableValue, match=told):
        ANY.encode(value, what="the result")


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnserializableValue):
        ANY.encode(endless, what="the result")


def test_a_value_that_does_not_fit_its_annotation_is_refused() -> None:
    with pytest.raises(UnserializableValue, match="str, which does not fit its annotation int"):
        codec(int).encode("seven", what="the result")


def test_a_stored_value_that_fits_no_longer_says_that_the_annotation_changed() -> None:
    with pytest.raises(UnserializableValue, match="The annotation changed"):
        codec(int).decode('"seven"', what="the result")


def test_what_cannot_be_json_is_refused_when_it_is_annotated() -> None:
    class Connection:
        pass

    with pytest.raises(DefinitionError, match="cannot be stored as JSON"):
        codec(Connection)


# -- payloads ----------------------------------------------------------------------------------------------------------------------------


def refund(order: str, /, cents: int, *, at: Point | None = None, copy: bool = False) -> None:
    """Has names that pydantic's models use themselves."""


def test_a_payload_is_one_object_with_an_entry_per_argument() -> None:
    payload = Payload(refund)
    text = payload.encode(("o-1", 5), {"at": Point(x=1)})
    assert text == '{"order":"o-1","cents":5,"at":{"x":1,"y":0},"copy":false}'
    assert payload.arguments(text) == (["o-1"], {"cents": 5, "at": Point(x=1), "copy": False})


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ((), {}, "missing a required argument: 'order'"),
        (("o-1", "much"), {}, "cents: Input should be a valid integer"),
        (("o-1", 5), {"why": 1}, "unexpected keyword argument 'why'"),
    ],
)
def test_arguments_that_do_not_fit_are_named(args: tuple[Any, ...], kwargs: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidPayload, match=told) as caught:
        Payload(refund).encode(args, kwargs)
    assert "Its arguments are" in caught.value.hint


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"order":"o-1"}', '{"order":"o-1","cents":5,"why":1}'])
def test_json_from_outside_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(InvalidPayload):
        Payload(refund).check(text)


def test_the_schema_of_a_payload_names_the_arguments() -> None:
    schema = Payload(refund).schema
    assert schema["required"] == ["order", "cents"]
    assert set(schema["properties"]) == {"order", "cents", "at", "copy"}
    assert schema["additionalProperties"] is False


def test_the_text_of_a_schema_is_made_once() -> None:
    payload = Payload(refund)
    assert payload.schema_text is payload.schema_text
    assert json.loads(payload.schema_text) == payload.schema


def test_open_ended_arguments_have_no_place_in_a_payload() -> None:
    def spread(*items: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"\*items"):
        Payload(spread)


# -- failures ----------------------------------------------------------------------------------------------------------------------------


class Told(Exception):
    def __init__(self, *, why: str) -> None:
        super().__init__(why)


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError("k"), OSError(2, "gone"), RunFailed("no", hint="look", run_id="run_1"), ValueError()]
)
def test_an_exception_of_a_known_type_comes_back_as_itself(error: Exception) -> None:
    back = rebuild(decode_failure(encode_failure(failure(error))))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert getattr(back, "details", None) == getattr(error, "details", None)


@pytest.mark.parametrize("error", [Told(why="no"), ValueError(object()), type("Local", (Exception,), {})("no")])
def test_an_exception_that_cannot_be_made_again_says_so(error: Exception) -> None:
    assert rebuild(decode_failure(encode_failure(failure(error)))) is None


def test_a_failure_keeps_where_it_came_from() -> None:
    with pytest.raises(ValueError, match="no") as caught:
        raise ValueError("no")
    assert 'raise ValueError("no")' in failure(caught.value).traceback


def test_equal_inputs_have_equal_digests_and_others_do_not() -> None:
    assert digest(((1, "a"), {"b": Point(x=1)})) == digest(((1, "a"), {"b": Point(x=1)}))
    assert digest(((1,), {})) != digest(((2,), {}))
    assert digest(((object(),), {})) == digest(((object(),), {}))
