"""What a form takes is what its JSON schema says: our reader of schemas and the reference one agree on every value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from agentflow.app.form import problems
from agentflow.serde import json_schema


class Leaf(BaseModel):
    kind: Literal["leaf"]
    size: int = Field(ge=0, lt=10)


class Twig(BaseModel):
    kind: Literal["twig"]
    leaves: list[Leaf] = Field(min_length=1, max_length=3)
    name: str | None = Field(None, pattern="^[a-c]*$", max_length=3)
    model_config = {"extra": "forbid"}


class Branch(BaseModel):
    parts: list[Annotated[Leaf | Twig, Field(discriminator="kind")]] = []
    below: Branch | None = None
    weights: dict[str, float] = {}


TYPES: list[Any] = [
    Leaf,
    Twig,
    Branch,
    int | None,
    list[int | str],
    tuple[int, bool],
    set[int],
    dict[str, Leaf],
    Literal[1, "a", None],
    bool,
    float,
]
SCHEMAS = [json_schema(one) for one in TYPES]
NAMES = st.sampled_from(["kind", "size", "leaves", "name", "parts", "below", "weights", "other"])
SIMPLE = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.floats(-3, 12, width=16), st.sampled_from(["leaf", "twig", "a", "abc", "abcd", "x"])
)
VALUES = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12)
LEAVES = st.fixed_dictionaries({"kind": st.just("leaf"), "size": SIMPLE})
TWIGS = st.fixed_dictionaries({"kind": st.just("twig"), "leaves": st.lists(LEAVES, max_size=4)}, optional={"name": SIMPLE, "other": SIMPLE})
NEARLY = st.fixed_dictionaries({"parts": st.lists(LEAVES | TWIGS, max_size=3)}, optional={"below": LEAVES | SIMPLE, "weights": VALUES})


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(VALUES, LEAVES, TWIGS, NEARLY))
@example(value=[1, True])
@example(value=1.0)
@example(value={"below": {"below": {"below": {}}}})
def test_our_reader_of_schemas_and_the_reference_one_agree(value: Any) -> None:
    for schema in SCHEMAS:
        reference: Any = Draft202012Validator(schema)
        assert (problems(value, schema) == []) is reference.is_valid(value), schema
