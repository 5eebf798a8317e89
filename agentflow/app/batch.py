"""Several decisions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentflow.errors import InvalidAnswer
from agentflow.records import WaitKind, WaitpointRecord
from agentflow.serde import loads
from agentflow.storage.deciding import Ballot
from agentflow.storage.policy import Voter


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A decision about one approval: `value` as for `answer`, `seen` the digest of what was shown."""

    waitpoint_id: str
    value: Any
    seen: str | None = None


def ballots(choices: Sequence[Choice], asked: Sequence[WaitpointRecord], voter: Voter, key: str | None) -> list[tuple[str, Ballot]]:
    """The ballots of a person. Raises `InvalidAnswer` for what answers no approval."""
    # pydantic is loaded with the first answer.
    from agentflow.app.decision import DecisionBody

    made: list[tuple[str, Ballot]] = []
    for choice, one in zip(choices, asked, strict=True):
        if one.kind is not WaitKind.APPROVAL:
            raise InvalidAnswer(f"{one.id} is of kind {one.kind.value}: it is answered by itself.", hint="Leave it out.")
        answer = DecisionBody.checked(choice.value, one)
        if loads(answer).get("stop"):
            raise InvalidAnswer(f"A no with `stop` ends the turn of {one.id} at once.", hint="Say it about this one alone.")
        word = "approve" if loads(answer)["approved"] else "deny"
        own = None if key is None else f"{key}:{one.id}"
        made.append((one.id, Ballot(voter=voter, choice=word, answer=answer, seen=choice.seen, key=own)))
    return made
