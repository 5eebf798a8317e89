"""The answer to an approval, as it comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agentflow.app.form import problems
from agentflow.errors import InvalidAnswer
from agentflow.policy import Policy, Rule
from agentflow.policy.matching import with_defaults
from agentflow.records import WaitpointRecord
from agentflow.serde import dumps, loads
from agentflow.storage.terms import unusable


class EditDenied(InvalidAnswer):
    """The rules forbid the call with the arguments that somebody made of it; `details["rule"]` is the one that does."""

    code = "edit_denied"


class DecisionBody(BaseModel):
    """Yes or no, why, and what was changed; `stop` ends the turn with the no."""

    model_config = ConfigDict(extra="forbid", strict=True)
    approved: bool
    reason: str | None = None
    edits: dict[str, Any] | None = None
    stop: bool | None = None

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
        if read.stop and (read.approved or loads(asked.subject).get("kind") != "tool"):
            hint = "Deny a tool call with `stop`; for anything else, cancel the run."
            raise InvalidAnswer(f"This cannot stop the run of {asked.id}.", hint=hint)
        if read.edits and loads(asked.subject).get("can_edit") is False:
            # Approved without them, the call would run as the person did not want it.
            hint = "Approve them as they are, or deny them with a reason."
            raise InvalidAnswer(f"The arguments of {asked.id} cannot be edited.", hint=hint)
        if read.edits and "budgets" in (subject := loads(asked.subject)):
            _new_limits(subject, read.edits, asked)
        if read.edits and asked.schema is not None:
            # Refused here and not where they run: a model is not to be blamed for what a person wrote.
            fitting(read.edits, asked)
        if read.edits:
            _check_rules(read.edits, asked)
        return read.model_dump_json(exclude_none=True)


def _check_rules(edits: Mapping[str, Any], asked: WaitpointRecord) -> None:
    """Edits are judged by the rules that held when it was asked. What asks for others to decide is asked of them by the run itself."""
    subject = loads(asked.subject)
    rules = Policy(Rule.of(one) for one in subject.get("rules", ()))
    judged = rules.judge(str(subject.get("tool", "")), with_defaults(loads(asked.schema or "{}"), edits))
    if judged.effect == "deny":
        hint = "Leave the arguments as they are, or deny the call."
        raise EditDenied(f"The rules forbid the call with these arguments: {judged.why}", hint=hint, rule=judged.rule)


def _new_limits(subject: dict[str, Any], edits: dict[str, Any], asked: WaitpointRecord) -> None:
    """Raise `InvalidAnswer` for edits that leave a budget as it is: the run would be stopped by it at once, or ask again."""
    if found := unusable(subject, edits):
        example = dumps({"approved": True, "edits": subject["body"]})
        raise InvalidAnswer(
            f"This sets no new limits for {asked.id}: {'; '.join(found)}.",
            hint=f"Give more than was used, such as {example}, or a plain yes, which grants everything once more.",
        )


def fitting(value: Any, asked: WaitpointRecord) -> Any:
    """The value, which fits the schema of what was asked. Raises `InvalidAnswer`: its `details["problems"]` say where it does not."""
    found = problems(value, loads(asked.schema or "{}"))
    if not found:
        return value
    told = "; ".join(f"{one.at or 'the answer'}: {one.problem}" for one in found[:5])
    listed = [{"at": one.at, "problem": one.problem} for one in found[:50]]
    raise InvalidAnswer(
        f"This does not fit what {asked.id} asks for: {told}.", hint="GET the waitpoint: its `schema` describes it.", problems=listed
    )
