"""The answer to an approval, as it comes from outside."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agentflow.errors import InvalidAnswer
from agentflow.records import WaitpointRecord
from agentflow.serde import loads


class DecisionBody(BaseModel):
    """Yes or no, why, and what was changed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    approved: bool
    reason: str | None = None
    edits: dict[str, Any] | None = None

    @classmethod
    def checked(cls, value: Any, asked: WaitpointRecord) -> str:
        """JSON text of a decision about what was asked. Raises `InvalidAnswer` saying what does not fit."""
        try:
            read = cls.model_validate(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            at = ".".join(map(str, problem["loc"])) or "the answer"
            raise InvalidAnswer(
                f"This answers no approval: {at}: {problem['msg']}.", hint='Send {"approved": true} or {"approved": false, "reason": "…"}.'
            ) from None
        if read.edits and loads(asked.subject).get("can_edit") is False:
            # Approved without them, the call would run as the person did not want it.
            hint = "Approve them as they are, or deny them with a reason."
            raise InvalidAnswer(f"The arguments of {asked.id} cannot be edited.", hint=hint)
        return read.model_dump_json(exclude_none=True)
