"""What people are asked, as the command line finds and shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.screen import ago, colour, short, text, visible
from agentflow.errors import WaitpointNotFound

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.waitpoints import Vote
    from agentflow.records import WaitpointRecord

Id = Annotated[str, typer.Argument(help="The approval (wp_…), or its run (run_…).", metavar="ID")]
RISKS = ("critical", "high", "medium", "low")
_COLOURS = {"critical": "bold red", "high": "yellow"}
_SILENCES = {"deny": "denied", "approve": "approved", "fail": "an error in its run", "default": "answered with its default"}


async def find(app: Agentflow, id: str) -> WaitpointRecord:
    """The approval of that id, or the one that a run waits for."""
    if not id.startswith("run_"):
        return await app.waitpoints.get(id)
    await app.runs.get(id)
    found = [one for one in await app.runs.waiting_for(id) if one.kind in ("approval", "input")]
    if len(found) != 1:
        hint = f"`agentflow runs show {id}` tells what it waits for."
        raise WaitpointNotFound(f"{id} waits for {len(found) or 'no'} approvals.", hint=hint, run_id=id)
    return found[0]


def subject_of(one: WaitpointRecord) -> dict[str, Any]:
    """What is asked, as it is stored."""
    from agentflow.serde import loads

    return loads(one.subject)


def title_of(one: WaitpointRecord) -> str:
    """What people are asked."""
    return visible(str(subject_of(one).get("title", "")))


def often(one: WaitpointRecord) -> str:
    """How often it is asked, where one decision is about more than one."""
    return f"  asked {one.times} times" if one.times > 1 else ""


def urgency(one: WaitpointRecord) -> tuple[int, float, int]:
    """Sorts what is risky first, then what ends soon, then what has waited longest."""
    risk = subject_of(one).get("risk")
    place = RISKS.index(risk) if risk in RISKS else RISKS.index("medium")
    return place, float("inf") if one.due_at is None else one.due_at, one.created_at


def state_of(one: WaitpointRecord) -> Any:
    """Where it is, in its colour."""
    from agentflow.engine.telling import decided

    if one.ended_at is None:
        return text("open", "yellow")
    return colour("answered" if one.kind == "input" and one.state == "answered" else decided(one))


def risk_of(one: WaitpointRecord) -> Any:
    """Its risk, in its colour."""
    risk = str(subject_of(one).get("risk") or "")
    return text(risk, _COLOURS.get(risk, ""))


def view(one: WaitpointRecord) -> Any:
    """As HTTP shows it."""
    from agentflow.server.views import waitpoint_view

    return waitpoint_view(one)


def exactly(value: Any) -> Any:
    """A JSON value over as many lines as it takes, to the letter; a text as it is."""
    return text(visible(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)))


def who_decides(one: WaitpointRecord) -> str:
    """Who may decide, and how many of them it takes."""
    subject = subject_of(one)
    users: list[str] = subject.get("users") or []
    groups = [f"the group {name}" for name in subject.get("groups") or ()]
    people = ", ".join([*users, *groups]) or "anybody"
    need, requesters = int(subject.get("need") or 1), subject.get("requesters") or [one for one in [subject.get("requester")] if one]
    told = f"{need} of {people}" if need > 1 else people
    return visible(f"{told}; not {' or '.join(requesters)}, who asked for it" if requesters else told)


def until(one: WaitpointRecord, now: int) -> str:
    """When it ends by itself, and how; empty when it does not."""
    if one.due_at is None:
        return ""
    subject = subject_of(one)
    default = ("default" if "default" in subject else "fail") if one.kind == "input" else subject.get("on_timeout") or "deny"
    return f"{ago(one.due_at, now)}, then {_SILENCES[default]}"


def ballots(votes: Sequence[Vote], now: int) -> list[tuple[str, ...]]:
    """What people said, as rows of a table."""
    rows: list[tuple[str, ...]] = []
    for one in votes:
        reason: Any = one.said.get("reason") if isinstance(one.said, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - JSON
        told = "" if one.counted else f"not counted: {one.why}"
        rows.append((visible(one.actor), one.choice, ago(one.at, now), told, visible(short(reason or ""))))
    return rows
