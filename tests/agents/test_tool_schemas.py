"""What a model is told of a tool: names, words, schemas, and what strict mode cannot say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from agentflow import Agent, ai, step, task
from agentflow.agents.tools import Tool
from agentflow.errors import DefinitionError
from agentflow.testing.models import scripted_model, text


class Parcel(BaseModel):
    title: str
    weight: float = Field(gt=0, description="In kilograms.")
    kind: Literal["letter", "box"] = "box"


@step
async def send_parcel(order: str, parcel: Parcel, *, note: str | None = None, express: bool = False) -> str:
    """Send a parcel.

    It leaves today.

    Args:
        order: The order's number.
        express: Whether it must arrive
            tomorrow.

    Returns:
        The label.

    Raises:
        ValueError: The connection string is wrong.
    """
    return f"{order} {parcel.kind} {note} {express}"


def numpy_style(order: str, count: Annotated[int, Field(description="How many.", ge=1)]) -> str:
    """Count an order.

    Parameters
    ----------
    order : str
        The order's number.
    count : int
        Not this one: the annotation says it.
    """
    return order * count


@task
async def sphinx_style_tool(order: str) -> str:
    """Look an order up.

    :param order: The order's number.
    :raises ValueError: never.
    """
    return order


def entries(made: Tool) -> dict[str, Any]:
    return made.schema["properties"]


def test_the_docstring_is_the_description_and_describes_each_argument() -> None:
    made = ai.tool(send_parcel)
    assert made.description == "Send a parcel.\n\nIt leaves today.\n\nReturns: The label."
    found = entries(made)
    assert found["order"] == {"type": "string", "description": "The order's number."}
    assert found["express"] == {"type": "boolean", "default": False, "description": "Whether it must arrive\ntomorrow."}
    assert made.schema["required"] == ["order", "parcel"]
    assert made.schema["$defs"]["Parcel"]["properties"]["title"] == {"type": "string"}
    counted = entries(ai.tool(numpy_style))
    assert (counted["order"]["description"], counted["count"]["description"]) == ("The order's number.", "How many.")
    looked_up = ai.tool(sphinx_style_tool)
    assert (looked_up.description, entries(looked_up)["order"]["description"]) == ("Look an order up.", "The order's number.")


def test_a_name_and_a_description_can_be_given_and_a_tool_can_be_changed() -> None:
    made = ai.tool(send_parcel, name="send it!", description="Sends.", approval=True)
    assert (made.name, made.description, made.to_anthropic()["description"]) == ("send_it_", "Sends.", "Sends.")
    again = ai.tool(made, approval=False, limit=None, timeout="2s")
    assert (again.name, again.description, again.approval) == ("send_it_", "Sends.", None)
    assert (again.limit, again.options.timeout) == (None, 2_000_000)
    assert made.approval is not None


def test_every_api_is_told_the_same() -> None:
    for target in (send_parcel, numpy_style, sphinx_style_tool):
        made = ai.tool(target)
        schema = made.schema
        assert made.to_anthropic()["input_schema"] == schema
        assert made.to_openai()["parameters"] == made.to_openai("chat")["function"]["parameters"] == schema
        theirs = made.to_pydantic_ai().tool_def
        assert theirs.description == made.description
        told = theirs.parameters_json_schema["properties"]
        assert {name: one.get("description") for name, one in told.items()} == {
            name: one.get("description") for name, one in schema["properties"].items()
        }


def test_an_agent_is_a_tool_with_its_prompt_as_the_only_argument() -> None:
    expert = Agent("schema-expert", model=scripted_model([text("42")]), description="Knows the answer.")
    made = ai.tool(expert)
    asked = {"type": "string", "description": "What the agent is asked. It knows nothing else of this conversation."}
    assert (made.name, made.description) == ("schema-expert", "Knows the answer.")
    assert made.schema == {"type": "object", "properties": {"prompt": asked}, "required": ["prompt"], "additionalProperties": False}
    assert made.to_pydantic_ai().tool_def.parameters_json_schema["properties"]["prompt"] == asked


def test_a_strict_schema_is_closed_and_asks_for_everything() -> None:
    made = ai.tool(send_parcel, strict=True)
    schema = made.schema
    assert schema["required"] == ["order", "parcel", "note", "express"]
    parcel = schema["$defs"]["Parcel"]
    assert (parcel["required"], parcel["additionalProperties"]) == (["title", "weight", "kind"], False)
    assert parcel["properties"]["kind"] == {"enum": ["letter", "box"], "type": "string", "description": '(usually "box")'}
    assert schema["properties"]["express"]["description"] == "Whether it must arrive\ntomorrow. (usually false)"
    assert "default" not in str(schema)
    assert made.to_openai()["strict"] is made.to_openai("chat")["function"]["strict"] is made.to_anthropic()["strict"] is True
    assert made.to_pydantic_ai().tool_def.strict is True
    given = {"order": "o-1", "parcel": {"title": "t", "weight": 1, "kind": "box"}, "note": None, "express": True}
    jsonschema.validate(given, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**given, "parcel": {"title": "t"}}, schema)
    assert "strict" not in ai.tool(send_parcel).to_anthropic()


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (dict[str, int], "given may have any keys"),
        (Any, "given may be anything"),
        (list[Any], r"given\[\] may be anything"),
        (list[dict[str, str]], r"given\[\] may have any keys"),
    ],
)
def test_what_strict_mode_cannot_say_is_an_error_where_the_tool_is_made(annotation: Any, why: str) -> None:
    def take(given: Any) -> str:
        return str(given)

    take.__annotations__["given"] = annotation
    ai.tool(take)
    with pytest.raises(DefinitionError, match=why):
        ai.tool(take, strict=True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"limit": 0}, "limit=0"),
        ({"errors": "swallow"}, "swallow"),
        ({"tmeout": "3s"}, "tmeout"),
        ({"timeout": "3s"}, "max_duration"),
    ],
)
def test_options_that_cannot_be_are_errors(options: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        ai.tool(sphinx_style_tool, **options)
