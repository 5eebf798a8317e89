"""An agent's prompt: which version it speaks by in a run, and with which variables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentflow.agents.options import AgentOptions
from agentflow.agents.prompt import Prompt as Asked
from agentflow.engine.context import recording
from agentflow.errors import DefinitionError, PromptError
from agentflow.prompts.body import Message
from agentflow.prompts.filled import Filled
from agentflow.prompts.pinning import Choosing, version_for
from agentflow.prompts.prompt import Prompt
from agentflow.storage.generations import Spoken

INPUT = "input"
"""The variable that is what the agent is asked."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What an agent is told in a run: its instructions, the model and settings, what it is asked, and which version says so."""

    asked: Asked | None
    instructions: str | None = None
    model: str | None = None
    settings: Mapping[str, Any] | None = None
    spoken: Spoken | None = None


def prompt_of(options: AgentOptions) -> Prompt[...] | None:
    """The prompt of an agent: `prompt=`, or one that is given as its instructions."""
    given: object = options.get("prompt") or options.get("instructions")
    return given if isinstance(given, Prompt) else None


def check_prompt(name: str, options: AgentOptions) -> None:
    """Raise `DefinitionError` for a prompt that no agent can speak by, and for an agent without a model."""
    one = prompt_of(options)
    if one is None and options.get("prompt") is not None:
        raise DefinitionError(f"Agent({name!r}): prompt= is no prompt.", hint='Make one: prompt("support", messages=[…]).')
    if "model" not in options and (one is None or one.body.model is None):
        raise DefinitionError(f"Agent({name!r}) has no model.", hint='Name one: model="anthropic:claude-sonnet-4-6".')
    roles = [] if one is None else [message.role for message in one.body.messages if isinstance(message, Message)]
    if set(roles[:-1]) - {"system"} or roles[-1:] == ["assistant"]:
        hint = "Give it system messages, and at most one user message at its end; what was said before comes from the thread."
        raise DefinitionError(f"Agent({name!r}) cannot speak by its prompt.", hint=hint)


async def brief(options: AgentOptions, asked: Asked | None) -> Brief:
    """What an agent is told: in a run by the version that the run holds, or its thread. Raises what `Prompt.get` raises."""
    one = prompt_of(options)
    if one is None:
        return Brief(asked)
    values = one.values(**await _variables(one, options, asked))
    wanted = one.wanted(values, None, Choosing(pin=options.get("pin", "thread")))
    filled = (await version_for(wanted)).fill(values)
    model = None if "model" in options else filled.model or one.body.model
    return Brief(_asked(filled, asked), filled.system or None, model, dict(filled.params) or None, filled.spoken)


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
