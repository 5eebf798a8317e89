"""An agent: a task whose body is a conversation with a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from agentflow.agents.handoff import Handoff, Speaker
from agentflow.agents.options import AgentOptions, instructions_of
from agentflow.agents.outputs import result_type
from agentflow.agents.prompt import Prompt, content, prompt_type
from agentflow.agents.prompting import check_prompt, output_of, prompt_of
from agentflow.agents.tools import as_tool
from agentflow.clock import microseconds
from agentflow.engine.budget import budgets_of, turns_of
from agentflow.engine.calls import in_thread
from agentflow.engine.queue import DEFAULT_QUEUE, queue_of
from agentflow.engine.task import Task, TaskOptions, source_hash
from agentflow.errors import ConfigurationError, DefinitionError
from agentflow.handle import RunHandle
from agentflow.prompts.body import canonical
from agentflow.retry import NO_RETRY

if TYPE_CHECKING:
    import pydantic_ai
    from pydantic_ai.output import OutputSpec

R = TypeVar("R")

_loading = threading.RLock()
"""Held by the thread that makes an agent, which loads pydantic-ai and SDKs: of two threads that load modules which need each other, one is
shown half of a module."""


class Agent(Task[[Prompt], R]):
    """A model with instructions and tools, as a durable task: `start`, `map`, `using`, and callable inside runs as a child run.

    Every turn of the model and every tool call is recorded; thoughts, text and calls go to the run's stream while the model speaks. Called
    outside of a run it talks to the model and records nothing. `options` are those of `AgentOptions`. `output` is the type of the result,
    or what pydantic-ai takes for one: several types, functions that the model calls with its answer, `NativeOutput`, `PromptedOutput`.
    Those functions, and `validators`, run in the agent's own code: what they do beyond looking belongs into steps.

    It is asked a text, or a list of texts, images and files (of pydantic-ai: `ImageUrl`, `DocumentUrl`, `BinaryContent`, …); as JSON a part
    is `{"kind": "image-url", "url": …}` or `{"kind": "binary", "data": <base64>, "media_type": …}`.

    What a tool raises: `TellModel` tells the model why the call failed, as does `ToolFailed` of pydantic-ai; `ModelRetry` asks it to try
    again. Of a failed child run it hears that the tool failed; any other exception fails the run. `errors` of `ai.tool` changes that.

        support = Agent("support", model="anthropic:claude-sonnet-4-6", instructions="You help.", output=Answer,
                        tools=[ai.tool(fulfil), ai.tool(refund, approval=True), look_up])
        run = await support.start("Where is my order?")
        more = await support.start("Make it express.", thread="t-7")     # knows what was said in thread t-7
    """

    @overload
    def __init__(self: Agent[str], name: str, **options: Unpack[AgentOptions]) -> None: ...
    @overload
    def __init__(self, name: str, *, output: OutputSpec[R], **options: Unpack[AgentOptions]) -> None: ...
    def __init__(self, name: str, *, output: Any = None, **options: Any) -> None:
        if unknown := options.keys() - AgentOptions.__annotations__.keys():
            raise DefinitionError(
                f"Agent({name!r}) knows no {', '.join(sorted(unknown))}.", hint=f"It knows {', '.join(AgentOptions.__annotations__)}."
            )
        self.handoffs = [one for one in options.get("tools", ()) if isinstance(one, Handoff)]
        self.agent_options: AgentOptions = AgentOptions(**options)
        self.output: Any = output_of(self.agent_options, output)
        check_prompt(name, self.agent_options, self.output)
        self._built: dict[tuple[str | None, str], pydantic_ai.Agent[Any, Any]] = {}
        super().__init__(self._body(name, self.output), name, _as_task(self.agent_options))
        self.code = self._surface()

    kind = "agent"

    async def start(self, prompt: Prompt, *, thread: str | None = None) -> RunHandle[R]:
        """Start a run and return at once.

        `thread` is the id of a conversation, yours to choose: the run has its turn when those that were started before it in that thread
        have ended, knows what they said, and adds what it says. A run that fails adds nothing. Start options and a thread:
        `support.using(thread="t-7", delay="1h").start("…")`.

        Raises `InvalidPayload`, `DefinitionError` for an id that cannot be, and `NotInRun` when neither a run nor an open app is around.

            run = await support.start("Where is my order?", thread="t-7")
        """
        started = self if thread is None else self.using(thread=thread)
        return await started.launch(self.payload.encode((prompt,), {}))

    def warm(self) -> None:
        """Load pydantic-ai and the model's SDK, which takes seconds the first time."""
        with suppress(ConfigurationError):
            _ = self.pydantic

    @property
    def pydantic(self) -> pydantic_ai.Agent[Any, Any]:
        """The pydantic-ai agent that does the talking; made when it is first needed."""
        return self.speaking(None)

    def speaking(self, model: str | None, response: Mapping[str, Any] | None = None) -> pydantic_ai.Agent[Any, Any]:
        """The pydantic-ai agent that asks the model of this name, for an answer of this schema, both of which a prompt gave.

        None is the agent's own.
        """
        key = (model, canonical(response))
        if key not in self._built:
            with _loading:
                return self._build(key, response)
        return self._built[key]

    def _build(self, key: tuple[str | None, str], response: Mapping[str, Any] | None) -> pydantic_ai.Agent[Any, Any]:
        if key not in self._built:
            from agentflow.agents.binding import answer_of, build

            given = [one for one in self.agent_options.get("tools", ()) if not isinstance(one, Handoff)]
            # A tool of pydantic-ai is taken as it is.
            tools = [one if hasattr(one, "tool_def") else as_tool(one).to_pydantic_ai() for one in given]
            answer = self.output if response is None else answer_of(response)
            outputs = [answer, *(one.to_output() for one in self.handoffs)] if self.handoffs else answer
            self._built[key] = build(self.name, outputs, self._asking(key[0]), tools)
        return self._built[key]

    def _asking(self, model: str | None) -> AgentOptions:
        one = prompt_of(self.agent_options)
        asking = self.agent_options.copy()
        if (named := model or (one.body.model if one is not None and "model" not in asking else None)) is not None:
            asking["model"] = named
        return asking

    async def close(self) -> None:
        """Close the connections to a model that was given by name; the next use opens them again."""
        built, self._built = self._built, {}
        if built:
            from agentflow.agents.binding import close

            for (model, _), one in built.items():
                await close(one, self._asking(model))

    def _body(self, name: str, output: Any) -> Callable[..., Any]:
        async def converse(prompt: Prompt) -> Any:
            await _no_other_loads()
            _ = self.pydantic
            from agentflow.agents import binding, budget

            options = self.agent_options
            turns = options.get("turns", turns_of(self.options.budgets))
            speaker = Speaker(self)
            with budget.turns_as_budget(speaker, turns):
                return await binding.converse(speaker, content(prompt), turns, options.get("compact"))

        converse.__annotations__ |= {"prompt": prompt_type(), "return": self._result_type(output)}
        converse.__name__ = converse.__qualname__ = name
        converse.__doc__ = self.agent_options.get("description") or f"The agent {name}."
        return converse

    def _result_type(self, output: Any) -> Any:
        if any(isinstance(one.agent, str) for one in self.handoffs):
            return Any
        others: list[Any] = [one.agent for one in self.handoffs]
        return result_type([output, *(one.codec.annotation for one in others)])

    def _surface(self) -> str:
        """A hash of what the agent is made of, so that a changed one is noticed."""
        given = self.agent_options
        tools = [getattr(one, "target", one) for one in given.get("tools", ())]
        told = [
            *(one if isinstance(one, str) else source_hash(one) for one in instructions_of(given)),
            repr(self.output),
            *(source_hash(getattr(one, "function", one)) for one in tools if callable(one)),
        ]
        return blake2b("\0".join(told).encode(), digest_size=8).hexdigest()


def _as_task(options: AgentOptions) -> TaskOptions:
    queue, longest = options.get("queue", DEFAULT_QUEUE), options.get("max_duration")
    return TaskOptions(
        queue=queue_of(queue),
        retry=options.get("retry", NO_RETRY),
        max_duration=None if longest is None else microseconds(longest),
        version=options.get("version"),
        accepts=tuple(options.get("accepts", ())),
        budgets=budgets_of(options.get("budget")),
    )


async def _no_other_loads() -> None:
    """Return once no other thread makes an agent; the event loop goes on meanwhile."""
    if _loading.acquire(blocking=False):
        _loading.release()
    else:
        await in_thread(_loaded)


def _loaded() -> None:
    with _loading:
        pass
