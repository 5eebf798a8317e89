"""An agent's prompt: which version it speaks by in a run, and with which variables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from agentflow.agents.fitting import ANSWER, check_fit, tools_of
from agentflow.agents.options import AgentOptions
from agentflow.agents.prompt import Prompt as Asked
from agentflow.engine.context import recording
from agentflow.engine.task import defined
from agentflow.errors import ContractError, DefinitionError, PromptError
from agentflow.prompts.body import Body, Message
from agentflow.prompts.filled import Filled
from agentflow.prompts.pinning import Choosing, body_of, version_for
from agentflow.prompts.prompt import Prompt
from agentflow.storage.generations import Spoken

INPUT = "input"
"""The variable that is what the agent is asked."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What an agent is told in a run: its instructions, the model and settings, what it is asked, and which version says so.

    `tools` are those that the model is offered, with what is said of them: none for all of the agent; `response` is the schema of the
    answer where the prompt says what that is.
    """

    asked: Asked | None
    instructions: str | None = None
    model: str | None = None
    settings: Mapping[str, Any] | None = None
    spoken: Spoken | None = None
    tools: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    response: Mapping[str, Any] | None = None


def prompt_of(options: AgentOptions) -> Prompt[...] | None:
    """The prompt of an agent: `prompt=`, or one that is given as its instructions."""
    given: object = options.get("prompt") or options.get("instructions")
    return given if isinstance(given, Prompt) else None


def output_of(options: AgentOptions, output: Any) -> Any:
    """What an agent answers with: what it was given, else what its prompt says, else text."""
    one = prompt_of(options)
    if output is None or output == ANSWER:
        return ANSWER if one is not None and one.body.response_schema is not None else output or str
    return output


def check_prompt(name: str, options: AgentOptions, output: Any) -> None:
    """Raise `DefinitionError` for a prompt that no agent can speak by, or not this one, and for an agent without a model."""
    one = prompt_of(options)
    if one is None and options.get("prompt") is not None:
        raise DefinitionError(f"Agent({name!r}): prompt= is no prompt.", hint='Make one: prompt("support", messages=[…]).')
    if "model" not in options and (one is None or one.body.model is None):
        raise DefinitionError(f"Agent({name!r}) has no model.", hint='Name one: model="anthropic:claude-sonnet-4-6".')
    roles = [] if one is None else [message.role for message in one.body.messages if isinstance(message, Message)]
    if set(roles[:-1]) - {"system"} or roles[-1:] == ["assistant"]:
        hint = "Give it system messages, and at most one user message at its end; what was said before comes from the thread."
        raise DefinitionError(f"Agent({name!r}) cannot speak by its prompt.", hint=hint)
    try:
        if one is not None:
            check_fit(name, options, output, one.body)
    except PromptError as error:
        raise DefinitionError(f"Agent({name!r}) cannot speak by its prompt: {error.message}", hint=error.hint) from error


def check_speakers(prompt: str, body: Body) -> None:
    """Raise `ContractError` for a version by which an agent of this process cannot speak whose prompt this is."""
    for _, one in list(defined.items()):
        agent: Any = one
        its = prompt_of(agent.agent_options) if agent.kind == "agent" else None
        if its is not None and its.name == prompt:
            try:
                check_fit(agent.name, agent.agent_options, agent.output, body)
            except PromptError as error:
                raise ContractError(error.message, hint=error.hint, prompt=prompt) from error


async def brief(name: str, options: AgentOptions, output: Any, asked: Asked | None) -> Brief:
    """What an agent is told: in a run by the version that the run holds, or its thread. Raises what `Prompt.get` raises.

    A version that it cannot speak by does not fit, as one that its code cannot fill.
    """
    one = prompt_of(options)
    if one is None:
        return Brief(asked)
    values = one.values(**await _variables(one, options, asked))
    wanted = one.wanted(values, None, Choosing(pin=options.get("pin", "thread")))

    def fits(body: str) -> str:
        check_fit(name, options, output, body_of(body))
        return wanted.fits(body)

    version = await version_for(replace(wanted, fits=fits))
    filled = version.fill(values)
    model = None if "model" in options else filled.model or one.body.model
    return Brief(
        asked=_asked(filled, asked),
        instructions=filled.system or None,
        model=model,
        settings=dict(filled.params) or None,
        spoken=filled.spoken,
        tools=tools_of(version.body),
        response=filled.response_schema if output is ANSWER else None,
    )


async def _variables(one: Prompt[...], options: AgentOptions, asked: Asked | None) -> dict[str, Any]:
    """What `variables=` returns; else what the run's metadata has under the names of variables."""
    make, names = options.get("variables"), one.variables.model_fields.keys()
    if make is not None:
        given = make()
        given = await given if inspect.isawaitable(given) else given
        if isinstance(given, one.variables):
            return given.model_dump()
        found = dict(cast("Mapping[str, Any]", given))
    else:
        run = recording()
        found = {} if run is None else {name: run.metadata[name] for name in names if name in run.metadata}
    return {INPUT: _text(asked), **found} if INPUT in names else found


def _text(asked: Asked | None) -> str:
    if asked is None or isinstance(asked, str):
        return asked or ""
    return "\n\n".join(one for one in cast("Sequence[Any]", asked) if isinstance(one, str))


def _asked(filled: Filled, asked: Asked | None) -> Asked | None:
    """What the prompt's user message says in place of the text that the agent was asked; images and files stay."""
    if asked is None or not filled.conversation:
        return asked
    if len(filled.conversation) > 1 or filled.conversation[0].get("role") != "user":
        raise PromptError(
            f"{filled.ref} has messages that no agent can say.", hint="Release one with system messages and one user message."
        )
    text = filled.conversation[0]["content"]
    rest = [] if isinstance(asked, str) else [one for one in cast("Sequence[Any]", asked) if not isinstance(one, str)]
    return [text, *rest] if rest else text
