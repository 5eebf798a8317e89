"""Whatever a prompt says: written to a file and read again it is the same version."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow.prompts import files
from agentflow.prompts.body import Body, Message, Slot
from agentflow.prompts.files import PromptFile

LINES = ["---", "--- user", "---- system", "--- slot x", "-", "name: x", "{{a}}", "", " ", "\t", "\r", "\u2028", "\x85", "\ufeff", "#", "…"]
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(LINES) | st.text(max_size=6), max_size=6).map("\n".join))
names = st.one_of(st.sampled_from(["history", "rules", '"', "a b", "<<", "=", "yes", "1", "2001-01-01", ""]), st.text(max_size=12))
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
objects: Any = st.dictionaries(names, values, max_size=3)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts) | st.builds(Slot, names)
bodies = st.builds(
    Body,
    messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
    model=st.none() | names,
    params=objects,
    tools=st.lists(objects, max_size=2),
    response_schema=st.none() | objects,
    includes=st.dictionaries(names, texts, max_size=2),
    fenced=st.lists(names, max_size=2).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(bodies, st.text(max_size=20))
@example(Body((Message("user", ""),)), "")
@example(Body((Slot("a\nb"), Message("system", "\n---\n--- user\n"), Message("user", "-------- system"))), "\x00\ud800")
def test_the_hash_survives_a_file(body: Body, description: str) -> None:
    written = files.write(PromptFile("p", body, description, {"type": "object"}))
    read = files.parse(written.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass"))
    assert read.body.hash == body.hash
    assert read.body.json == body.json
    assert files.write(read) == written


@settings(max_examples=15, deadline=None)
@given(bodies)
@example(Body((Slot("x"),), fenced=("0\n",)))
def test_an_editor_that_changes_the_ends_of_lines_changes_no_version(body: Body) -> None:
    assert files.parse(files.write(PromptFile("p", body)).replace("\n", "\r\n")).body.hash == body.hash
