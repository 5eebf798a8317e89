"""What a model may call: tasks, agents, steps and plain functions, for whoever runs the loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, get_args

from agentflow.agents.answers import Errors
from agentflow.agents.approval import Approval
from agentflow.agents.definition import Definition, callable_name, own_name
from agentflow.clock import Duration, microseconds
from agentflow.engine.context import StepOptions
from agentflow.engine.step import Step
from agentflow.engine.task import Task
from agentflow.errors import DefinitionError
from agentflow.retry import Retry

if TYPE_CHECKING:
    import agents
    import claude_agent_sdk
    import pydantic_ai

Api = Literal["responses", "chat"]


class ToolOptions(TypedDict, total=False):
    """The options of `ai.tool`, which says what they mean."""

    name: str | None
    description: str | None
    strict: bool
    approval: Approval | bool
    retry: Retry | None
    timeout: Duration | None
    errors: Errors | None
    limit: int | None
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Tool(Definition):
    """A tool of a model, made by `ai.tool`, in the form that each SDK takes."""

    def to_anthropic(self) -> dict[str, Any]:
        """For `tools=` of the Anthropic Messages API."""
        made = {"name": self.name, "description": self.description, "input_schema": self.schema}
        return {**made, "strict": True} if self.strict else made

    def to_openai(self, api: Api = "responses") -> dict[str, Any]:
        """For `tools=` of OpenAI's Responses API, or of Chat Completions with `api="chat"`."""
        function = {"name": self.name, "description": self.description, "parameters": self.schema, "strict": self.strict}
        return {"type": "function", **function} if api == "responses" else {"type": "function", "function": function}

    def to_pydantic_ai(self) -> pydantic_ai.Tool[Any]:
        """For `tools=` of a pydantic-ai agent that has the `Durability` capability."""
        from agentflow.agents.binding import bind

        return bind(self)

    def to_openai_agents(self) -> agents.FunctionTool:
        """For `tools=` of an agent of the OpenAI Agents SDK (`pip install openai-agents`).

        Inside a run a call is a child run or a step under the id that the model gave it: when the SDK asks for the same call again, as it
        does when it goes on after an interruption or a replay, it gets the recorded answer. People are asked by agentflow, so the SDK's own
        `needs_approval` is not used. Raises `ConfigurationError` where the SDK is missing.
        """
        from agentflow.agents.foreign import openai_agents

        return openai_agents.function_tool(self)

    def to_claude_agent_sdk(self) -> claude_agent_sdk.SdkMcpTool[Any]:
        """For `create_sdk_mcp_server(tools=…)` of the Claude Agent SDK (`pip install claude-agent-sdk`).

        Inside a run a call is a child run or a step under the id that the model gave it. The SDK does not tell a tool that id; the hooks of
        `ai.claude_hooks()` do. Without them the key is made of the arguments and of how many calls with these arguments there were before:
        that finds the recorded answers when the conversation is replayed from its beginning, not when a session is resumed.
        The SDK lets no error out, so `errors="raise"` is as `"hide"` here. Raises `ConfigurationError` where the SDK is missing.
        """
        from agentflow.agents.foreign import claude

        return claude.sdk_tool(self)


def as_tool(target: Any, **options: Unpack[ToolOptions]) -> Tool:
    """A `Tool` of a task, an agent, a step or a function, with what is given changed. See `ai.tool`."""
    _check(options)
    made = target if isinstance(target, Tool) else _plain(target, options.get("name"))
    changed = replace(made, options=_tried(made, options), errors=options.get("errors") or made.errors)
    if options.get("name"):
        changed = replace(changed, name=callable_name(options.get("name") or ""))
    if "approval" in options:
        asked = options["approval"]
        changed = replace(changed, approval=Approval() if asked is True else asked or None)
    changed = replace(changed, limit=options.get("limit", made.limit), says=options.get("description", made.says))
    changed = replace(changed, strict=options.get("strict", made.strict), idempotent=options.get("idempotent", made.idempotent))
    if changed.strict:
        _ = changed.schema
    return changed


def _plain(target: Any, name: str | None) -> Tool:
    if not callable(target):
        raise DefinitionError(f"{target!r} is no tool.", hint="Give a task, an agent, a step or a function.")
    found = name or own_name(target)
    if not found or found == "<lambda>":
        raise DefinitionError(f"{target!r} has no name that a model could call.", hint='Name it: ai.tool(function, name="look_up").')
    options = replace(target.options, kind="tool") if isinstance(target, Step) else StepOptions(kind="tool")
    # A child run has its own retries behind it, and the agent may find another way; what a function raises is a defect of the agent itself.
    return Tool(target, callable_name(found), options=options, errors="hide" if isinstance(target, Task) else "raise")


def _tried(made: Tool, given: ToolOptions) -> StepOptions:
    retry, timeout = given.get("retry"), given.get("timeout")
    if made.task is not None and (retry is not None or timeout is not None):
        raise DefinitionError(
            f"ai.tool({made.task.name}): a task has its own retry and timeout.", hint="Say it there: @task(retry=…, max_duration=…)."
        )
    tried = made.options if retry is None else replace(made.options, retry=retry)
    return tried if timeout is None else replace(tried, timeout=microseconds(timeout))


def _check(given: ToolOptions) -> None:
    if unknown := given.keys() - ToolOptions.__annotations__.keys():
        known = ", ".join(ToolOptions.__annotations__)
        raise DefinitionError(f"ai.tool() knows no {', '.join(sorted(unknown))}.", hint=f"It knows {known}.")
    limit, errors = given.get("limit"), given.get("errors")
    if limit is not None and limit < 1:
        raise DefinitionError(f"limit={limit!r} is no size.", hint="Give bytes, such as 32 * 1024, or None for results of any size.")
    if errors is not None and errors not in get_args(Errors):
        raise DefinitionError(f"errors={errors!r} is not known.", hint=f"Give one of {get_args(Errors)}.")
