"""What the contract of integrations talks about: a conversation with a scripted model, and the tools that it calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from agentflow import ai, step, task
from agentflow.engine.task import Task
from agentflow.testing.models import Said


class _Refused(Enum):
    REFUSED = "refused"


REFUSED: Literal[_Refused.REFUSED] = _Refused.REFUSED
"""In place of a turn: the provider refuses one request with status 503, and would take it a moment later."""

Turn = Sequence[Said] | Literal[_Refused.REFUSED]
"""What the model says in one turn, or that it is refused once before the next."""

Pace = Callable[[], Awaitable[None]]
"""Awaited before each piece that the model says, so that a test decides when it comes."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A loop on the integration under test, and what its model saw.

    `task` takes a prompt, asks the model, runs the calls of `TOOLS` that it asks for, and returns the model's last words. `requests` says
    how many requests reached the model, refused ones too; `results` what the last of them told it about its calls, by the ids of the calls.
    """

    task: Task[..., str]
    requests: Callable[[], int]
    results: Callable[[], Mapping[str, str]]


@step
async def pack(order: str) -> str:
    """Put an order into a box."""
    return f"{order} packed"


@task(name="contract_dispatch")
async def dispatch(order: str) -> str:
    """Send an order off."""
    return f"{await pack(order)} and sent"


@step
async def refund(order: str, cents: int) -> str:
    """Pay money back."""
    return f"{order} refunded {cents}"


TOOLS = (ai.tool(dispatch, name="dispatch"), ai.tool(refund, name="refund", approval=True))
"""The tools of every conversation: `dispatch` is a task, `refund` a step that a person must agree to."""
