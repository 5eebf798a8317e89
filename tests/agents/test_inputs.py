"""Images and files: what an agent is asked, what its tools return, and how often the bytes are stored."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic_ai import BinaryContent, ImageUrl
from pydantic_ai.messages import ToolReturnPart, UserPromptPart

from agentflow import Agent
from agentflow.errors import InvalidPayload
from agentflow.streams.events import ToolOutput
from agentflow.testing import Engine
from agentflow.testing.models import ScriptedModel, call, scripted_model, text
from tests.agents.crashing import survived

LARGE = 400_000
PICTURE = BinaryContent(b"\x89PNG\xff" + bytes(LARGE), media_type="image/png")


def asked(model: ScriptedModel, turn: int = 0) -> Any:
    """What the person said, as the model heard it."""
    [part] = [part for part in model.requests[turn].messages[0].parts if isinstance(part, UserPromptPart)]
    return part.content


async def test_a_prompt_may_be_texts_images_and_files(engine: Engine) -> None:
    model = scripted_model([text("a cat")])
    run = await engine.start(Agent("seeing", model=model), ["What is it?", ImageUrl("https://example.com/cat.png"), PICTURE])
    assert await run.result() == "a cat"
    words, link, picture = asked(model)
    assert (words, link.url, picture.data) == ("What is it?", "https://example.com/cat.png", PICTURE.data)


async def test_a_prompt_of_parts_is_json_for_those_without_the_code(engine: Engine) -> None:
    model = scripted_model([text("a cat")])
    seeing = Agent("seeing", model=model)
    await (await engine.start(seeing, "known now")).result()
    parts = ["What is it?", {"kind": "binary", "data": base64.b64encode(b"\xff\x00").decode(), "media_type": "image/png"}]
    run = await engine.app.start("seeing", prompt=parts)
    assert await run.result() == "a cat"
    assert asked(model, -1)[1].data == b"\xff\x00"
    assert seeing.payload.schema["properties"]["prompt"]["type"] == "string"


async def test_a_part_that_cannot_be_is_refused_where_it_is_given(engine: Engine) -> None:
    with pytest.raises(InvalidPayload, match="prompt"):
        await engine.start(Agent("seeing", model=scripted_model([text("")])), [{"kind": "smell"}])  # pyright: ignore[reportArgumentType] # wrong on purpose


async def test_the_bytes_of_a_prompt_are_stored_once_however_many_turns_follow(engine: Engine) -> None:
    turns = [[call("look", id=f"c{turn}")] for turn in range(6)]
    model = scripted_model(*turns, [text("a cat")])

    async def look() -> str:
        return "fur"

    run = await engine.start(Agent("seeing", model=model, tools=[look]), ["What is it?", PICTURE])
    assert await run.result() == "a cat"
    journal = await engine.app.runs.journal(run.id)
    assert sum(len(entry.value or "") for entry in journal) < 20_000
    assert len(model.requests) == 7
    assert asked(model, -1)[1].data == PICTURE.data


async def test_a_picture_that_a_tool_returns_is_recorded_and_shown_without_its_bytes(engine: Engine) -> None:
    model = scripted_model([call("draw", id="c1")], [text("drawn")])

    async def draw() -> BinaryContent:
        return PICTURE

    drawer = Agent("drawer", model=model, tools=[draw])
    output, _ = await survived(lambda: drawer.plain("draw a cat"), model)
    assert output == "drawn"
    run = await engine.start(drawer, "draw a cat")
    assert await run.result() == "drawn"
    [returned] = [part for part in model.requests[-1].messages[-1].parts if isinstance(part, ToolReturnPart)]
    assert isinstance(returned.content, BinaryContent)
    assert returned.content.data == PICTURE.data
    [told] = [stored.event for stored in await engine.events(run) if isinstance(stored.event, ToolOutput)]
    assert told.output == {"kind": "binary", "media_type": "image/png", "bytes": len(PICTURE.data)}
    assert len(json.dumps(told.output)) < 200
