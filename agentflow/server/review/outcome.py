"""A call that was cut off: nobody knows how it ended, and one person says so on the review page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentflow.app.fields import Field, Form, fields_of, filled_in
from agentflow.records import WaitpointRecord
from agentflow.serde import loads
from agentflow.server.review.fields import shown
from agentflow.server.review.marks import exact

DONE = "done"


def is_outcome(subject: Mapping[str, Any]) -> bool:
    """Whether a question is about such a call."""
    return subject.get("kind") == "outcome"


def cut_off(subject: Mapping[str, Any]) -> str:
    """The call, with the arguments that people approved."""
    details: Any = subject.get("details") or {}
    told = "<p>It may have done all of its work, some of it, or none. Look there before you say what is to happen.</p>"
    return f"<section><h2>What was cut off</h2>{told}<pre>{exact(details.get('arguments'))}</pre></section>"


def asked(one: WaitpointRecord, value: Any, problems: Mapping[str, str]) -> str:
    """The field for what the call returned."""
    opened = " open" if problems or value is not None else ""
    fields = shown(_value(one), {"value": value}, problems)
    return f"<details{opened}><summary>Say what it returned</summary>{fields}</details>"


def buttons(choices: Sequence[str]) -> str:
    """What may be said: run it again, it was done, it failed."""
    again = '<button class="yes" name="choice" value="approve">Run it again</button>' if "approve" in choices else ""
    done = f'<button name="choice" value="{DONE}">It was done</button>' if {"approve", "edit"} <= set(choices) else ""
    failed = '<button class="no" name="choice" value="deny">It failed</button>' if "deny" in choices else ""
    return again + done + failed


def done(one: WaitpointRecord, form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """The edits that say that it was done, with what it returned; and what is wrong with that."""
    value, problems = filled_in(_value(one), form)
    return {"outcome": DONE, "value": value.get("value")}, problems


def said(answer: Mapping[str, Any]) -> str:
    """What somebody said became of it."""
    if answer.get("approved") is not True:
        return "It failed, as told"
    edits: Any = answer.get("edits") or {}
    return "It was done, as told" if edits.get("outcome") == DONE else "It runs again, as told"


def _value(one: WaitpointRecord) -> list[Field]:
    return [field for field in fields_of(loads(one.schema or "{}")) if field.path == ("value",)]
