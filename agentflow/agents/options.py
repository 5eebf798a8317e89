"""What an agent is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from agentflow.agents.compaction import Compaction
from agentflow.clock import Duration
from agentflow.engine.budget import Budget
from agentflow.engine.task import Queue
from agentflow.errors import DefinitionError
from agentflow.policy import Policy
from agentflow.retry import Retry

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from agentflow.prompts.prompt import Prompt


class AgentOptions(TypedDict, total=False):
    """What an agent is made of. Only a model is required: `model`, or that of its prompt.

    The model and how it is asked: `model` is a name (`anthropic:claude-sonnet-4-6`, `openai:gpt-5`, `openai-chat:…`) or an object of
    pydantic-ai, or several, of which one is asked when those before it fail; `base_url` another server; `settings` pydantic-ai's model
    settings; `model_retry` how a failed request is tried (default: 5 times); `idle_timeout` how long the model may say nothing (default: 5
    minutes).

    A registered prompt in place of instructions: `prompt` (its system messages are the instructions; its model is asked where the agent
    names none, with its params; one user message at its end is what the model is asked; where it names `tools`, the model is offered those
    of the agent, described as there; its `response_schema` is what an agent without an `output` answers with), `variables` (a function,
    maybe async, called in the run's own code, that returns the prompt's variables; default: the run's metadata of those names; a variable
    `input` is what the agent was asked), `pin` ("thread", the default: the runs of a thread hold one version until it is upgraded; "run":
    each takes what is live).

    What it does: `instructions` (text, a function that returns it, or several; or a prompt), `tools` (functions, steps, tasks, agents,
    `ai.tool(…)`, `ai.handoff(…)`), `toolsets` (of pydantic-ai: MCP servers), `capabilities` (of pydantic-ai), `validators` (functions that
    return the answer or raise `ModelRetry`), `corrections` (how often the model may correct a call or an answer, default 1), `turns` (how
    many requests one run may make, `None` for no limit; default: what its budget says, or 50), `description` (for people, and for another
    model), `policy` (rules for its calls, beside those of the app).

    What its tools need: `deps` is a function, called wherever a run begins or goes on after it has left a worker's memory; what it returns
    is `ctx.deps` of tools and instructions, and never stored. It may be async, and return a context manager, which is entered and left.

    In a thread: `compact` (when and how what was said is summed up, by default never).

    As a task: `budget` (a `Budget`, or several), `queue`, `retry` (of whole runs), `max_duration`, `version`, `accepts` (versions whose
    runs it takes, too).
    """

    model: str | Model | Sequence[str | Model]
    base_url: str | None
    settings: dict[str, Any]
    model_retry: Retry
    idle_timeout: Duration
    instructions: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | Prompt[...]
    prompt: Prompt[...]
    variables: Callable[[], Any]
    pin: Literal["run", "thread"]
    deps: Callable[[], Any]
    tools: Sequence[Any]
    toolsets: Sequence[Any]
    capabilities: Sequence[Any]
    validators: Sequence[Callable[..., Any]]
    corrections: int
    policy: Policy
    turns: int | None
    description: str
    compact: Compaction
    budget: Budget | Sequence[Budget]
    queue: str | Queue
    retry: Retry
    max_duration: Duration
    version: str
    accepts: Sequence[str]


def models_of(options: AgentOptions) -> str | Model | Sequence[str | Model]:
    """The model that is asked, or the several of which one is. Raises `DefinitionError` where none is named."""
    given = options.get("model")
    if given is None:
        raise DefinitionError("The agent has no model.", hint='Name one: model="anthropic:claude-sonnet-4-6".')
    return given


def instructions_of(options: AgentOptions) -> list[str | Callable[..., Any]]:
    """The instructions, one by one; those of a prompt come with each run."""
    given: Any = options.get("instructions", ())
    if hasattr(given, "wanted"):
        return []
    return [given] if isinstance(given, str) or callable(given) else list(given)
