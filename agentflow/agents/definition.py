"""A tool as its author defined it: what is called, what a model is told of it, and the rules of a call."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

from agentflow.agents import schema
from agentflow.agents.answers import LIMIT, Errors
from agentflow.agents.approval import Approval
from agentflow.engine.context import StepOptions
from agentflow.engine.step import Step
from agentflow.engine.task import Task
from agentflow.serde import Payload

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_payloads: WeakKeyDictionary[Callable[..., Any], Payload] = WeakKeyDictionary()


def callable_name(name: str) -> str:
    """A name with which every provider lets its model call."""
    return _UNFIT.sub("_", name)


def own_name(target: Any) -> str:
    """What a task, step, tool or function is called; nothing for what has no name."""
    return getattr(target, "name", None) or getattr(target, "__name__", "")


@dataclass(frozen=True, slots=True)
class Definition:
    """A task, agent, step or function with the rules of `ai.tool`. The signature is its schema, the docstring its description.

    `target` is what is called, `options` how a step or function is tried. A task becomes a child run and has its own options.
    `idempotent`: a call may be carried out again after a crash in it, though people agreed to it once.
    """

    target: Any
    name: str
    says: str | None = None
    strict: bool = False
    approval: Approval | None = None
    options: StepOptions = field(default=StepOptions(kind="tool"))
    errors: Errors = "raise"
    limit: int | None = LIMIT
    idempotent: bool = False

    @property
    def task(self) -> Task[..., Any] | None:
        """The task that a call starts, if it is one."""
        target: object = self.target
        return cast("Task[..., Any]", target) if isinstance(target, Task) else None

    @property
    def home(self) -> str:
        """What a call is done to, for who agrees to it: the task, if it is one."""
        return "" if self.task is None else f"task:{self.task.name}"

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
        return _payload(self.function) if self.task is None else self.task.payload

    @property
    def description(self) -> str:
        """What the tool does: as it was given, or the docstring without what it says of the arguments and of errors."""
        return schema.written(self.function).text if self.says is None else self.says

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, with what the docstring or `Annotated[…, Field(description=…)]` says of each."""
        found = schema.described(self.payload.schema, schema.written(self.function).arguments)
        return schema.strict(found, self.name) if self.strict else found


def _payload(function: Callable[..., Any]) -> Payload:
    try:
        found = _payloads.get(function)
    except TypeError:
        return Payload(function)
    if found is None:
        found = _payloads[function] = Payload(function)
    return found
