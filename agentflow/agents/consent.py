"""What people agreed to is what runs, and once: with the arguments that they saw, and after a crash in it only if they say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from agentflow.agents.approval import Approval, Settled, ToolCall, asked_of, decided, remark, seal
from agentflow.engine.context import TaskContext
from agentflow.engine.waits import Decision, ask_approval
from agentflow.policy import Policy

_OUTCOME: Mapping[str, Any] = {
    "type": "object",
    "title": "Outcome",
    "properties": {
        "outcome": {"title": "Outcome", "enum": ["retry", "done"], "default": "retry"},
        "value": {
            "title": "What the call returned, if it was done",
            "description": "As JSON: a text in quotes, or null for nothing.",
            "default": None,
        },
    },
    "required": ["outcome"],
    "additionalProperties": False,
}
"""What people may say instead of a plain yes, which is a retry; a no says that the call has failed."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A yes to a call with the arguments in it, which must fit `seal`. `waitpoint` is where people said it, None where nobody was asked.

    `approval` is that of the tool; `asked` how people were asked, which may be more strictly.
    `final`: these arguments take the place of those that come to the tool, for it is these that people saw.
    """

    call: ToolCall
    approval: Approval | None
    seal: str
    waitpoint: str | None
    asked: Approval | None = None
    final: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """How a call ended, as people say who looked: what it returned, or what the model is told of its failure."""

    value: Any = None
    failed: str | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """As a step records it."""
        return {"kind": "tool_return", "result": self.value} if self.failed is None else {"kind": "tool_failed", "message": self.failed}


async def agreed(run: TaskContext, key: str, call: ToolCall, approval: Approval | None, policy: Policy | None = None) -> Settled:
    """As `decided`, about the call as it is now: what people said of it with other arguments, or another schema, counts no more."""
    for again in count(1):
        settled = await decided(run, key if again == 1 else f"{key}/{again}", call, approval, policy)
        answer = settled.decision
        if not answer.approved or not _differs(answer.digest, seal(call)):
            return settled
        call = replace(call, supersedes=answer.waitpoint_id)
    raise AssertionError  # The count has no end.


def consent_of(call: ToolCall, approval: Approval | None, settled: Settled, shown: Any) -> Consent:
    """The consent to a call with the arguments that people saw, or made of what they saw; `shown` are these as JSON."""
    waitpoint = None if call.idempotent else settled.decision.waitpoint_id or None
    return Consent(replace(call, shown=shown), approval, seal(call, shown), waitpoint, settled.asked)


async def told_by_people(run: TaskContext, key: str, consent: Consent | None) -> Known | None:
    """What people say became of a call whose worker died in it, each time that this happened; None to carry it out, as it may be now."""
    if consent is None or consent.waitpoint is None or consent.asked is None:
        return None
    for time in range(1, run.unsettled(key) + 1):
        place = f"{key}/outcome" if time == 1 else f"{key}/outcome.{time}"
        answer = await ask_approval(run, place, _subject(consent, consent.asked, time), consent.asked.expires)
        if not answer.approved:
            return Known(failed=_failed(consent.call.tool, answer))
        edits = answer.edits or {}
        if edits.get("outcome") == "done":
            return Known(edits.get("value"))
    return None


class ArgumentsChanged(Exception):
    """A call has come to its tool with other arguments than those that people agreed to: it is not carried out."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__("The arguments of the call have changed since people agreed to it.")
        self.arguments = arguments


def let_through(consent: Consent | None, arguments: dict[str, Any], shown: Callable[[Any], Any]) -> dict[str, Any]:
    """The arguments with which a call may be carried out. Raises `ArgumentsChanged` for those that nobody has seen."""
    if consent is None:
        return arguments
    if consent.final is not None:
        return dict(consent.final)
    if seal(consent.call, shown(arguments)) != consent.seal:
        raise ArgumentsChanged(arguments)
    return arguments


def stopped(answer: Decision) -> str:
    """Why a run ends whose call was denied with a stop."""
    return f"{answer.by or 'somebody'} stopped it{f': {answer.reason}' if answer.reason else '.'}"


def _differs(agreed: str | None, now: str) -> bool:
    """Digests of another kind were written by code that had no seals."""
    return agreed is not None and agreed.startswith("sha256:") and agreed != now


def _subject(consent: Consent, asked: Approval, time: int) -> dict[str, Any]:
    call = consent.call
    return {
        "kind": "outcome",
        "title": f"Run {call.tool} again? It began and nobody knows how it ended.",
        "body": {"outcome": "retry", "value": None},
        "details": {"arguments": call.shown, "approved_at": consent.waitpoint, "time": time},
        "agent": call.agent,
        "tool": call.tool,
        "call": call.id,
        "schema": _OUTCOME,
        "can_edit": True,
        # Silence is no yes to this, whatever it was to the call.
        **{name: value for name, value in asked_of(asked).items() if name != "on_timeout"},
        "digest": seal(call, {"outcome of": call.shown, "time": time}),
    }


def _failed(tool: str, answer: Decision) -> str:
    said = "nobody looked in time" if answer.expired else "a person says that it failed"
    told = f"{tool} began and was cut off: {said}. Do not call it again unless you are asked to."
    return f"{told} {remark(answer.reason)}" if answer.reason and not answer.expired else told
