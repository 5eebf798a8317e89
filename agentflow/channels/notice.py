"""What is told, and what a channel is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentflow.errors import AgentflowError, NonRetryable

Event = Literal["requested", "reminded", "escalated", "reassigned", "resolved"]
EVENTS: frozenset[str] = frozenset({"requested", "reminded", "escalated", "reassigned", "resolved"})


class ChannelError(AgentflowError, NonRetryable):
    """What a channel says no to for good: an address or a credential that is wrong. Any other exception is tried again."""

    code = "channel"
    http_status = 502


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A waitpoint as it is told: `body` is what it is about, as JSON; texts of it may be a model's, so show them as text.

    `state` is pending, approved, denied, answered, expired or cancelled; `by` who decided, `reason` why. `expires_at` in milliseconds since
    1970. `about`: what an approval is about, such as "tool", a call that is `body`, or "outcome", what became of one that was cut off: a
    mere yes has it run again. `can_decide`: whether a yes or a no answers it; `can_edit`: whether `body` may be changed with the yes.
    """

    id: str
    kind: str
    title: str
    about: str | None = None
    body: Any = None
    risk: str | None = None
    run: str | None = None
    agent: str | None = None
    tool: str | None = None
    expires_at: int | None = None
    state: str = "pending"
    by: str | None = None
    reason: str | None = None
    can_edit: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits for an answer."""
        return self.state == "pending"

    @property
    def can_decide(self) -> bool:
        """Whether a yes or a no answers it."""
        return self.open and self.kind == "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell one address. `id` is the same when it is told again; `at` is when it happened, in milliseconds since 1970.

    `person` alone reads what is sent there, if anybody alone does, and `link` is then for them: it lets whoever has it decide as them.
    `link` is None where the server's address is not known. `reference` is what the channel returned for the first notice of this waitpoint
    there.
    """

    id: str
    event: Event
    at: int
    address: str
    question: Question
    person: str | None = None
    link: str | None = None
    reference: str | None = None


class Channel(Protocol):
    """A way to tell. `name` is what `notify` calls it; `events` are those that it tells, others are dropped.

    `reaches_people`: it is not told what is out of date by the time that it is told, and addresses like `user:maria`, `group:ops`, or none,
    are looked up (`People`).
    """

    @property
    def name(self) -> str: ...

    @property
    def reaches_people(self) -> bool: ...

    @property
    def events(self) -> frozenset[str]: ...

    def owner(self, address: str) -> str | None:
        """Who alone reads an address that `People` does not know; None where that cannot be known."""
        ...

    async def send(self, notice: Notice) -> str | None:
        """Tell. Returns what the channel calls the message, or None.

        Raises `ChannelError` for what no further try cures; anything else is tried again.
        """
        ...
