"""Hand-off: the conversation goes on with another agent, in the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from agentflow.agents.definition import callable_name
from agentflow.agents.deps import provided
from agentflow.agents.offering import offering
from agentflow.agents.prompting import brief
from agentflow.engine.context import StepCall, StepOptions, current_step, recording
from agentflow.engine.speaking import speaking_by
from agentflow.engine.task import defined
from agentflow.errors import DefinitionError
from agentflow.serde import ANY
from agentflow.streams.events import ToolOutput

if TYPE_CHECKING:
    import pydantic_ai
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.usage import RunUsage, UsageLimits

    from agentflow.agents.options import AgentOptions
    from agentflow.agents.prompt import Prompt

TRANSFER = "transfer_to_"
"""Begins the name of the tool that a model calls to hand over."""


class Talking(Protocol):
    """What an `Agent` is to a conversation."""

    name: str
    output: Any
    agent_options: AgentOptions
    handoffs: list[Handoff]

    @property
    def pydantic(self) -> pydantic_ai.Agent[Any, Any]:
        """The agent of pydantic-ai that does the talking."""
        ...

    def speaking(self, model: str | None, response: Mapping[str, Any] | None = None) -> pydantic_ai.Agent[Any, Any]:
        """The same, asking the model of this name, for an answer of this schema."""
        ...


@dataclass(frozen=True, slots=True)
class Handoff:
    """A tool that hands the conversation to `agent`, an `Agent` or the name of one; `description` is what the model is told of it."""

    agent: Talking | str
    description: str = ""

    @property
    def name(self) -> str:
        """What the model calls."""
        return TRANSFER + callable_name(self.agent if isinstance(self.agent, str) else self.agent.name)

    def found(self) -> Talking:
        """The agent that takes over. Raises `DefinitionError` when no agent of that name is loaded."""
        if not isinstance(self.agent, str):
            return self.agent
        try:
            one: Any = defined[self.agent]
        except KeyError:
            one = None
        if getattr(one, "kind", "") != "agent":
            raise DefinitionError(f"There is no agent {self.agent!r} to hand over to.", hint="Import the module that makes it.")
        return one

    def to_output(self) -> Any:
        """The output tool of pydantic-ai that ends the turn of the agent that hands over."""
        from pydantic_ai import ToolOutput as OutputTool

        def over() -> HandedOver:
            return HandedOver(self.name)

        told = self.description or f"Hand the conversation over to {self.name.removeprefix(TRANSFER)}, who goes on with it."
        return OutputTool(over, name=self.name, description=told)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How an agent's part ends that hands over, by the tool of this name."""

    by: str


@dataclass(frozen=True, slots=True)
class Said:
    """How a conversation went: what it ended with, and all that was said."""

    output: Any
    _all: Sequence[ModelMessage]
    _new: Sequence[ModelMessage]

    def all_messages(self) -> list[ModelMessage]:
        """The whole conversation."""
        return list(self._all)

    def new_messages(self) -> list[ModelMessage]:
        """What this run added."""
        return list(self._new)


@dataclass(slots=True)
class Speaker:
    """Whoever of several agents has the word in a run; each with its own instructions, tools and deps, all with one history.

    `said` is what those said who have handed over, `used` what all have used.
    """

    agent: Talking
    said: list[ModelMessage] = field(default_factory=list["ModelMessage"])
    used: RunUsage | None = None

    async def run(
        self, prompt: Prompt | None, *, message_history: Sequence[ModelMessage] | None = None, usage_limits: UsageLimits | None = None
    ) -> Said:
        """Talk until an agent has an answer; limits count for all that have the word."""
        from pydantic_ai.usage import RunUsage

        self.used, history = RunUsage(), message_history
        while True:
            async with provided(self.agent.agent_options.get("deps")) as deps:
                told = await brief(self.agent.name, self.agent.agent_options, self.agent.output, prompt)
                with speaking_by(told.spoken), offering(self.agent.name, told.tools):
                    result = await self.agent.speaking(told.model, told.response).run(
                        told.asked,
                        message_history=history,
                        deps=deps,
                        usage=self.used,
                        usage_limits=usage_limits,
                        instructions=told.instructions,
                        model_settings=cast("Any", told.settings),
                    )
            if not isinstance(result.output, HandedOver):
                return Said(result.output, result.all_messages(), [*self.said, *result.new_messages()])
            word = f"{result.output.by.removeprefix(TRANSFER)} has the word now."
            self.said += result.new_messages(output_tool_return_content=word)
            history, prompt = result.all_messages(output_tool_return_content=word), None
            await self._hand_over(result.output.by, history)

    async def _hand_over(self, by: str, messages: Sequence[ModelMessage]) -> None:
        self.agent = next(one for one in self.agent.handoffs if one.name == by).found()
        run = recording()
        if run is None:
            return
        made = [part for message in messages for part in message.parts if getattr(part, "tool_name", None) == by]
        call, to = cast("Any", made[-1]).tool_call_id, self.agent.name

        async def tell() -> str:
            current_step().publish(ToolOutput(call, {"agent": to}))
            return to

        await run.step(run.key("handoff"), StepCall(by, tell, ANY, to, StepOptions(kind="tool"), inner=True))
