"""Waitpoints, whom they were told to, and what may answer them by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from agentflow.records.states import WaitKind, WaitState


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitpointRecord:
    """A waitpoint, as stored. `subject` and `answer` are JSON texts.

    Of an open question that somebody looks at: `times` is how many equal ones there are, with it, which one decision ends; `held` is why
    people are not asked it: `same`, an equal one is open; `full`, as many of its family are as people are asked at once.
    """

    id: str
    kind: WaitKind
    state: WaitState
    run_id: str | None
    key: str | None
    target: str | None
    subject: str
    schema: str | None
    answer: str | None
    answered_by: str | None
    due_at: int | None
    attempt: int
    created_at: int
    ended_at: int | None
    wake: int
    times: int = 1
    held: Literal["same", "full"] | None = None


class DeliveryState(StrEnum):
    """What became of a message: it waits to be sent, was taken by its channel, became one for each of many people, was not worth telling
    any more, or could not be sent however often it was tried."""

    PENDING = "pending"
    SENT = "sent"
    SPREAD = "spread"
    DROPPED = "dropped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A message about a waitpoint on its way to an address of a channel; `person` alone reads it there, if anybody alone does.

    `event` is requested, reminded, escalated, reassigned or resolved; `reference` what the channel calls the message; `due_at` when it is
    tried next, in microseconds since 1970 as all times.
    """

    waitpoint: str
    seq: int
    channel: str
    address: str
    person: str | None
    event: str
    state: DeliveryState
    attempts: int
    due_at: int
    reference: str | None
    error: str | None
    created_at: int
    ended_at: int | None

    @property
    def id(self) -> str:
        """The same each time that it is told again."""
        return f"{self.waitpoint}.{self.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedCall:
    """A call that a grant may stand for. `exactly`: only one for just these `arguments`; a grant of one of the `requesters` does not
    count, nor one that was given where others than these `users` and `groups` were asked."""

    tool: str
    arguments: Mapping[str, Any]
    agent: str
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    exactly: bool = False
    requesters: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRecord:
    """A standing yes to calls of a tool, in a `scope`: of the run, thread or agent `scope_id`, or of all.

    `fits` says which calls, as JSON: `{"digest": …}` one with just these arguments, `{"args": …}` what they must be. It counts until
    `expires_at`, microseconds since 1970, for `max_uses` calls at most. `waitpoint` is the question that it was given with, and `who` says
    who was asked it, as JSON of `users` and `groups`: it counts where the same are asked, and without a question where nobody is named.
    """

    id: str
    scope: str
    scope_id: str
    tool: str
    fits: str
    granted_by: str
    waitpoint: str | None
    reason: str | None
    max_uses: int | None
    uses: int
    created_at: int
    expires_at: int
    revoked_at: int | None
    revoked_by: str | None
    who: str | None = None

    def counts(self, now: int) -> bool:
        """Whether it can still be used."""
        return self.revoked_at is None and self.expires_at > now and (self.max_uses is None or self.uses < self.max_uses)
