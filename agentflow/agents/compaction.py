"""When what was said in a thread is summed up, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentflow.errors import DefinitionError

if TYPE_CHECKING:
    from pydantic_ai.models import Model

INSTRUCTIONS = (
    "You sum up a conversation so that it can go on from your summary alone. Keep names, numbers, ids, decisions, what was promised, and "
    "what is still open. Leave out greetings and what was corrected later. Write no introduction."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """When a run begins in a thread that is longer than `above` tokens, a model sums up the older part, in a step of the run.

    The log keeps all messages; this run and later ones begin with the summary and the last `keep` messages, from a question on. `above` is
    estimated from the length of the messages, four characters to a token. `model` writes the summary (default: the agent's own), as
    `instructions` say. Raises `DefinitionError` for values that cannot be.

        short = Compaction(above=50_000, model="anthropic:claude-haiku-4-5")
        support = Agent("support", model="anthropic:claude-sonnet-4-6", compact=short)
    """

    above: int = 100_000
    keep: int = 20
    model: str | Model | None = None
    instructions: str = INSTRUCTIONS

    def __post_init__(self) -> None:
        if self.above < 1 or self.keep < 1:
            raise DefinitionError(
                f"Compaction(above={self.above}, keep={self.keep}) cannot be.", hint="Give tokens and messages, one or more of each."
            )
