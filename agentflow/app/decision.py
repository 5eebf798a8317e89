"""The answer to an approval, as it comes from outside."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agentflow.errors import InvalidAnswer


class DecisionBody(BaseModel):
    """Yes or no, why, and what was changed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    approved: bool
    reason: str | None = None
    edits: dict[str, Any] | None = None

    @classmethod
    def checked(cls, value: Any) -> str:
        """JSON text of a decision. Raises `InvalidAnswer` saying what does not fit."""
        try:
            return cls.model_validate(value).model_dump_json(exclude_none=True)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            at = ".".join(map(str, problem["loc"])) or "the answer"
            raise InvalidAnswer(
                f"This answers no approval: {at}: {problem['msg']}.", hint='Send {"approved": true} or {"approved": false, "reason": "…"}.'
            ) from None
