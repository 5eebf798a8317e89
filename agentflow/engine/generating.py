"""What is recorded of the model calls in a try of a step that a version of a prompt spoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.engine.context import StepOptions
from agentflow.storage.generations import Ending, Generated, Spoken
from agentflow.storage.usage import CallUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A try of a step: by which version it spoke, in which environment, when it began and told its first token, and how it ended.

    `error` is the name of what failed, `again` whether another try follows. Times are microseconds since 1970.
    """

    spoken: Spoken | None
    env: str
    began: int
    first_at: int | None
    ended: Ending
    error: str | None = None
    again: bool = False


def generated(tried: Tried, told: Sequence[CallUsage], options: StepOptions) -> list[Generated]:
    """A row for each model call that told what it used, and for one that told nothing. What a tool asks on its own is not the prompt's."""
    spoken = tried.spoken
    if spoken is None or options.kind == "tool" or not (told or options.kind == "llm") or _goes_on(tried, options):
        return []
    calls = told or [CallUsage()]
    return [_made(spoken, tried, one, options, last=one is calls[-1]) for one in calls]


def _goes_on(tried: Tried, options: StepOptions) -> bool:
    """Whether the provider goes on with the call: it was only begun here, or is followed again."""
    if options.share == "first":
        return tried.ended == "answered"
    return options.share == "rest" and tried.ended == "failed" and (tried.again or tried.error == "StepTimeout")


def _made(spoken: Spoken, tried: Tried, used: CallUsage, options: StepOptions, *, last: bool) -> Generated:
    return Generated(
        spoken=spoken,
        used={name: getattr(used, name) for name in CallUsage.__slots__},
        env=tried.env,
        began=tried.began,
        first_at=tried.first_at,
        ended=tried.ended if last else "answered",
        error=tried.error if last else None,
        call=options.call if options.share == "rest" else None,
    )
