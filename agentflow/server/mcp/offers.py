"""Which tools an MCP server offers, and what a client is told of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp_types import Tool, ToolAnnotations

from agentflow.agents.answers import LONGEST_PAGE
from agentflow.agents.tools import Tool as Offer
from agentflow.agents.tools import as_tool
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError

GET, CANCEL = "get_run", "cancel_run"

_RUN = {"type": "string", "description": "The id of a run, as a tool told it: run_…"}
_OF_RUNS = [
    Tool(
        name=GET,
        description="How a run is that another tool has started: its result once it has one. It goes on whether you ask or not.",
        input_schema={
            "type": "object",
            "properties": {
                "run": _RUN,
                "wait": {"type": "number", "minimum": 0, "description": "How many seconds to wait for its end; default 0."},
                "offset": {
                    "type": "integer",
                    "minimum": 0,
                    "description": f"Read {LONGEST_PAGE} characters of a long result from this one on.",
                },
            },
            "required": ["run"],
            "additionalProperties": False,
        },
        annotations=ToolAnnotations(read_only_hint=True),
    ),
    Tool(
        name=CANCEL,
        description="Stop a run that another tool has started.",
        input_schema={"type": "object", "properties": {"run": _RUN}, "required": ["run"], "additionalProperties": False},
        annotations=ToolAnnotations(idempotent_hint=True),
    ),
]


def offers(tasks: Iterable[Task[Any, Any]]) -> dict[str, Offer]:
    """The tasks by the names of their tools. Raises `DefinitionError` when two would have one name."""
    made: dict[str, Offer] = {}
    for task in tasks:
        one = as_tool(task)
        if one.name in made or one.name in (GET, CANCEL):
            raise DefinitionError(f"Two tools would be called {one.name!r}: a task is {task.name!r}.", hint="Give the task another name.")
        made[one.name] = one
    return made


def listed(known: Iterable[Offer]) -> list[Tool]:
    """What a client is told of the tools."""
    tasks = [Tool(name=one.name, description=one.description, input_schema=one.schema) for one in known]
    return [*sorted(tasks, key=lambda one: one.name), *_OF_RUNS]
