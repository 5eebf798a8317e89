"""What an agent may call: tasks, steps and plain functions, and the rules around them."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from agentflow.agents.approval import Approval
from agentflow.engine.context import StepOptions
from agentflow.engine.step import Step
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError
from agentflow.serde import Payload

if TYPE_CHECKING:
    import pydantic_ai

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
Api = Literal["responses", "chat"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A task, step or function with the rules of `ai.tool`. The signature is its schema, the docstring its description.

    `target` is what is called, `options` how a step or function is tried. A task becomes a child run and has its own options.
    """

    target: Any
    name: str
    description: str
    approval: Approval | None = None
    options: StepOptions = field(default=StepOptions(kind="tool"))

    @property
    def task(self) -> Task[..., Any] | None:
        """The task that a call starts, if it is one."""
        target: object = self.target
        return cast("Task[..., Any]", target) if isinstance(target, Task) else None

    @property
    def function(self) -> Callable[..., Any]:
        """The function that was written."""
        return cast("Callable[..., Any]", getattr(self.target, "function", self.target))

    @property
    def body(self) -> Callable[..., Any]:
        """What a call runs, with the signature of the function that was written."""
        target: object = self.target
        if not isinstance(target, Step):
            return self.function
        one = cast("Step[..., Any]", target)

        @functools.wraps(one.function)
        async def body(*args: Any, **kwargs: Any) -> Any:
            return await one.plain(*args, **kwargs)

        return body

    @property
    def payload(self) -> Payload:
        """Reads and checks arguments."""
        return Payload(self.function) if self.task is None else self.task.payload

    def to_anthropic(self) -> dict[str, Any]:
        """For `tools=` of the Anthropic Messages API."""
        return {"name": self.name, "description": self.description, "input_schema": self.payload.schema}

    def to_openai(self, api: Api = "responses") -> dict[str, Any]:
        """For `tools=` of OpenAI's Responses API, or of Chat Completions with `api="chat"`."""
        function = {"name": self.name, "description": self.description, "parameters": self.payload.schema, "strict": False}
        return {"type": "function", **function} if api == "responses" else {"type": "function", "function": function}

    def to_pydantic_ai(self) -> pydantic_ai.Tool[Any]:
        """For `tools=` of a pydantic-ai agent that has the `Durability` capability."""
        from agentflow.agents.binding import bind
        from agentflow.agents.units import ToolSettings

        settings = ToolSettings(approval=self.approval, options=self.options)
        return bind(self.name, self.description, self.task or self.body, settings)


def as_tool(target: Any, *, name: str | None = None, approval: Approval | bool = False, options: StepOptions | None = None) -> Tool:
    """A `Tool` of a task, a step or a function. Raises `DefinitionError` for anything else, and for a function without a name."""
    if isinstance(target, Tool):
        return target
    if not callable(target):
        raise DefinitionError(f"{target!r} is no tool.", hint="Give a task, a step or a function.")
    found = name or getattr(target, "name", None) or getattr(target, "__name__", "")
    if not found or found == "<lambda>":
        raise DefinitionError(f"{target!r} has no name that a model could call.", hint='Name it: ai.tool(function, name="look_up").')
    chosen = Approval() if approval is True else approval or None
    if options is None:
        options = replace(target.options, kind="tool") if isinstance(target, Step) else StepOptions(kind="tool")
    return Tool(target, _UNFIT.sub("_", found), _description(target), chosen, options)


def _description(target: Any) -> str:
    return target.description if isinstance(target, Task) else inspect.getdoc(getattr(target, "function", target)) or ""
