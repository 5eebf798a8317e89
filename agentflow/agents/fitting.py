"""What an agent makes of a version of its prompt: which of its tools the model is offered, and what it answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentflow.agents.definition import callable_name, own_name
from agentflow.agents.options import AgentOptions
from agentflow.agents.outputs import result_type
from agentflow.errors import PromptError
from agentflow.prompts.body import Body, canonical

ANSWER = dict[str, Any]
"""The output of an agent whose prompt says what it answers with."""


def tools_of(body: Body) -> dict[str, str | None]:
    """The tools that a version names, and what it says of each: as a name, or in the form of Anthropic or of OpenAI.

    Raises `PromptError` for what names none.
    """
    found: dict[str, str | None] = {}
    for one in body.tools:
        told: Any = cast("Mapping[str, Any]", one) if isinstance(one, Mapping) else {"name": one}
        told = told.get("function", told)
        if not isinstance(told.get("name"), str):
            raise PromptError(f"{one!r} names no tool.", hint='Write "look_up", or {"name": "look_up", "description": "…"}.')
        found[told["name"]] = told.get("description")
    return found


def check_fit(name: str, options: AgentOptions, output: Any, body: Body) -> None:
    """Raise `PromptError` for a version by which an agent cannot speak: it names tools that the agent lacks, or another answer."""
    known = _known(options)
    unknown = sorted(tools_of(body).keys() - known) if known is not None else []
    if unknown:
        raise PromptError(f"{name} has no tool {unknown[0]!r}.", hint=f"It has {', '.join(sorted(known or ())) or 'none'}.")
    schema = body.response_schema
    if output is ANSWER:
        if schema is None or schema.get("type") != "object":
            raise PromptError(f"{name} answers with an object.", hint="Give the prompt a response_schema of type object.")
    elif schema is not None and _plain(schema) != _plain(_schema(output)):
        hint = "Make them one: prompt(…, response=T) and Agent(…, output=T), or leave output= out."
        raise PromptError(f"{name} answers with something else than the prompt's response_schema says.", hint=hint)


def _known(options: AgentOptions) -> set[str] | None:
    """The names of an agent's tools; None where toolsets or capabilities bring more of them."""
    if options.get("toolsets") or options.get("capabilities"):
        return None
    return {callable_name(own_name(one)) for one in options.get("tools", ())}


def _schema(output: Any) -> Any:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        return TypeAdapter[Any](result_type(output)).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None


def _plain(schema: Any) -> str:
    """A schema without what only describes it."""
    return canonical(_bare(schema))


def _bare(schema: Any, *, names: bool = False) -> Any:
    """`names`: the keys are names of fields, and not words of the schema."""
    if isinstance(schema, Mapping):
        told = cast("Mapping[str, Any]", schema)
        inside = ("properties", "$defs")
        return {
            key: _bare(value, names=key in inside and not names)
            for key, value in told.items()
            if names or key not in ("title", "description")
        }
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_bare(one) for one in cast("Sequence[Any]", schema)]
    return schema
