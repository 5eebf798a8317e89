"""Two versions side by side."""

from __future__ import annotations

from agentflow.prompts.body import Body, slot, system, user
from agentflow.prompts.diff import Piece, TextChange, ValueChange, compare, words


def test_the_same_version_differs_in_nothing() -> None:
    body = Body((system("a"), slot("history"), user("b")), params={"t": 1})
    found = compare(body, Body.from_json(body.json))
    assert found.same
    assert [one.kind for one in found.messages] == ["same", "same", "same"]


def test_a_message_is_compared_word_by_word() -> None:
    found = compare(
        Body((system("You are kind and brief."), user("{{q}}"))), Body((system("You are kind, and very brief."), user("{{q}}")))
    )
    pieces = (Piece("same", "You are kind"), Piece("added", ","), Piece("same", " and "), Piece("added", "very "), Piece("same", "brief."))
    assert found.messages == (TextChange("changed", "system", pieces), TextChange("same", "user", (Piece("same", "{{q}}"),)))
    assert not found.same


def test_messages_that_come_and_go_are_told_as_such() -> None:
    found = compare(Body((system("a"), user("b"))), Body((system("a"), slot("history"), user("c"))))
    assert [(one.kind, one.name) for one in found.messages] == [("same", "system"), ("added", "slot history"), ("changed", "user")]
    found = compare(Body((system("a"), user("b"))), Body((user("b"),)))
    assert [(one.kind, one.name) for one in found.messages] == [("removed", "system"), ("same", "user")]


def test_everything_that_changes_the_call_is_compared() -> None:
    before = Body((user("x"),), model="a", params={"t": 0.1, "k": 1}, response_schema={"properties": {"a": {}}}, includes={"r": "one"})
    after = Body(
        (user("x"),), model="b", params={"t": 0.2}, response_schema={"properties": {"b": {}}}, includes={"s": "two"}, tools=[{"name": "x"}]
    )
    found = compare(before, after)
    assert found.values == (
        ValueChange("model", "a", "b"),
        ValueChange("params.k", 1, None),
        ValueChange("params.t", 0.1, 0.2),
        ValueChange("tools", [], [{"name": "x"}]),
        ValueChange("response_schema.properties.a", {}, None),
        ValueChange("response_schema.properties.b", None, {}),
    )
    assert [(one.kind, one.name) for one in found.partials] == [("removed", "r"), ("added", "s")]
    assert not compare(Body((user("x"),), params={"t": 1}), Body((user("x"),), params={"t": True})).same


def test_each_side_can_be_read_off_the_pieces() -> None:
    before, after = "a b\nc d\n\ne " * 700, "a x\nc d\ne y " * 700
    found = words(before, after)
    assert "".join(one.text for one in found if one.op != "added") == before
    assert "".join(one.text for one in found if one.op != "removed") == after
