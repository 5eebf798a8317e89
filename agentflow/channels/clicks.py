"""What people do in Slack, as Slack tells of it: buttons that they press, and forms that they send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, cast

from pydantic_core import from_json

FORM = "agentflow_edit"
"""What Slack calls a form of ours."""
_LONG = 2_000


@dataclass(frozen=True, slots=True)
class Click:
    """A button that somebody pressed: `user` of Slack's `team`, on the message `ts`. `reply_to` takes what they are told.

    `trigger` opens a form before them, once and within three seconds.
    """

    team: str
    user: str
    ts: str
    action: Literal["approve", "deny", "edit"]
    waitpoint: str
    reply_to: str = field(repr=False)
    trigger: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """The same click is the same decision, however often Slack or an impatient person sends it."""
        return f"slack:{self.team}:{self.ts}:{self.user}:{self.action}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A form that somebody sent: `values` by the name of its field. `seen` is the digest of what they were shown."""

    team: str
    user: str
    view: str
    waitpoint: str
    seen: str | None
    values: Mapping[str, tuple[str, ...]]

    def key(self, decision: str) -> str:
        """The same form with the same in it is the same decision, however often it is sent."""
        return f"slack:{self.team}:{self.view}:{self.user}:{blake2b(decision.encode(), digest_size=8).hexdigest()}"


def told(payload: Any) -> Click | Sent | None:
    """What a payload tells of; None for what asks nothing of us. Odd ones raise whatever reading them does."""
    if payload["type"] == "view_submission":
        return _sent(payload)
    return _click(payload) if payload["type"] == "block_actions" else None


def _click(payload: Any) -> Click | None:
    action = payload["actions"][0]
    if action["action_id"] not in ("approve", "deny", "edit"):
        return None
    ts = payload.get("message", {}).get("ts") or payload["container"]["message_ts"]
    user, trigger = payload["user"], payload.get("trigger_id", "")
    names = _texts(_team(payload), user["id"], ts, action["value"], payload["response_url"], trigger)
    return None if names is None else Click(names[0], names[1], names[2], action["action_id"], *names[3:])


def _sent(payload: Any) -> Sent | None:
    view = payload["view"]
    if view["callback_id"] != FORM:
        return None
    about = from_json(view["private_metadata"])
    names = _texts(_team(payload), payload["user"]["id"], view["id"], about["waitpoint"], about["seen"] or "")
    if names is None:
        return None
    values = {str(name): _given(next(iter(one.values()))) for name, one in view["state"]["values"].items()}
    team, user, id, waitpoint, seen = names
    return Sent(team, user, id, waitpoint, seen or None, values)


def _team(payload: Any) -> Any:
    return payload["team"]["id"] if payload.get("team") else payload["user"].get("team_id", "")


def _texts(*names: Any) -> tuple[str, ...] | None:
    return cast("tuple[str, ...]", names) if all(isinstance(one, str) and len(one) < _LONG for one in names) else None


def _given(element: Any) -> tuple[str, ...]:
    """What is in a field, as a browser would send it."""
    match element["type"]:
        case "checkboxes" | "multi_static_select":
            return tuple(str(one["value"]) for one in element["selected_options"] or ())
        case "static_select":
            return () if element["selected_option"] is None else (str(element["selected_option"]["value"]),)
        case "datepicker":
            return () if element["selected_date"] is None else (str(element["selected_date"]),)
        case _:
            return () if element["value"] is None else (str(element["value"]),)
