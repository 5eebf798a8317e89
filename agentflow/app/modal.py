"""The form that a click in Slack opens: the arguments of a call, to be changed before it is approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, cast

from agentflow.app.fields import NOTHING, Field, edited, fields_of, is_same, text_of, value_at
from agentflow.channels.clicks import FORM
from agentflow.channels.wording import line, plain
from agentflow.records import WaitpointRecord
from agentflow.serde import dumps, loads

_MOST = 90
"""Fields: Slack shows a hundred blocks."""
_LONGEST = 3_000
"""Characters of a text that Slack lets people write."""
_OPTIONS, _OPTION = 100, 75
"""How many options Slack shows, and how many characters of each."""
_LONGEST_REASON = 2_000
_SHORT = 80
REASON = "reason"


def form(one: WaitpointRecord) -> dict[str, Any] | None:
    """The form for a question; None where Slack cannot show all of it."""
    subject = loads(one.subject)
    body, fields = subject["body"], _fields(one)
    blocks = [_block(field, value_at(body, field.path)) for field in fields]
    if not 0 < len(blocks) <= _MOST or None in blocks:
        return None
    reason = {"type": "plain_text_input", "action_id": "value", "multiline": True, "max_length": _LONGEST_REASON}
    return {
        "type": "modal",
        "callback_id": FORM,
        # Slack keeps it and brings it back signed; it names the question, and gives no right.
        "private_metadata": dumps({"waitpoint": one.id, "seen": subject.get("digest")}),
        "title": _text("Edit and approve"),
        "submit": _text("Approve"),
        "close": _text("Cancel"),
        "blocks": [
            {"type": "section", "text": _text(line(str(subject.get("title") or "Approve?")))},
            *blocks,
            {"type": "input", "block_id": REASON, "optional": True, "label": _text("Why?"), "element": reason},
        ],
    }


def notice(text: str) -> dict[str, Any]:
    """What takes the place of a form that was sent: how it went."""
    blocks = [{"type": "section", "text": _text(plain(text)[:_LONGEST])}]
    return {"type": "modal", "title": _text("Edit and approve"), "close": _text("Close"), "blocks": blocks}


def said(one: WaitpointRecord, values: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], dict[str, str]]:
    """The decision that a form says, and what of it can be no value, by field."""
    fields = _fields(one)
    edits, problems = edited(fields, values, loads(one.subject)["body"])
    reason = "".join(values.get(REASON, ())).strip()
    decision = {"approved": True, **({"reason": reason} if reason else {}), **({} if edits is None else {"edits": edits})}
    return decision, _placed(fields, problems)


def changed(one: WaitpointRecord, edits: Mapping[str, Any]) -> list[str]:
    """What edits change, a line for each field: whoever sent them sees what Slack made of what they wrote."""
    found: list[str] = []
    for field in _fields(one):
        was, now = (value_at(value, field.path) for value in (loads(one.subject)["body"], edits))
        if dumps(_shown(was)) != dumps(_shown(now)):
            found.append(f"{field.at}: {line(_word(_shown(was)))} → {line(_word(_shown(now)))}")
    return found


def errors(one: WaitpointRecord, problems: Mapping[str, str], otherwise: str) -> dict[str, str]:
    """What is wrong, by field; at the first one what belongs to none."""
    fields = _fields(one)
    return _placed(fields, problems) or {fields[0].name if fields else REASON: otherwise}


def _placed(fields: Sequence[Field], problems: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, problem in problems.items():
        field = next((one for one in fields if place == one.at or place.startswith(f"{one.at}.")), None)
        if field is not None:
            within = place.removeprefix(field.at).lstrip(".")
            found.setdefault(field.name, f"{within}: {problem}" if within else problem)
    return found


def _fields(one: WaitpointRecord) -> list[Field]:
    return fields_of(loads(one.schema or "{}"))


def _block(field: Field, value: Any) -> dict[str, Any] | None:
    value = field.schema.get("default", NOTHING) if value is NOTHING else value
    element = _element(field, value)
    if element is None:
        return None
    label = " / ".join((*field.path[:-1], field.title))
    # What is empty already may stay so; what is not ticked sends nothing.
    optional = not field.required or field.kind in ("bool", "several") or value in ("", None)
    block: dict[str, Any] = {"type": "input", "block_id": field.name, "optional": optional, "label": _text(line(label))}
    if about := field.schema.get("description"):
        block["hint"] = _text(line(str(about)))
    return {**block, "element": {"action_id": "value", **element}}


def _element(field: Field, value: Any) -> dict[str, Any] | None:
    """How a field is filled in, with a value in it; None for what Slack cannot show."""
    match field.kind:
        case "bool":
            ticked = [_option("1", "yes")]
            return {"type": "checkboxes", "options": ticked, **({"initial_options": ticked} if value is True else {})}
        case "choice" | "several":
            return _choice(field, value)
        case "date" if _is_day(value):
            return {"type": "datepicker", **({"initial_date": value} if value else {})}
        case _:
            text = text_of(field, value)
            if len(text) > _LONGEST:
                return None
            several = field.kind == "json" or len(text) > _SHORT or "\n" in text
            first = {"initial_value": text} if text else {}
            return {"type": "plain_text_input", "multiline": several, "max_length": _LONGEST, **first}


def _is_day(value: Any) -> bool:
    """Whether Slack's calendar can show it: what it cannot would be lost."""
    if value in (NOTHING, None, ""):
        return True
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _choice(field: Field, value: Any) -> dict[str, Any] | None:
    words = [_word(one) for one in field.options]
    if not 0 < len(words) <= _OPTIONS or any(not 0 < len(word) <= _OPTION for word in words):
        return None
    options = [_option(str(number), word) for number, word in enumerate(words)]
    if field.kind == "choice":
        first = [one for one, known in zip(options, field.options, strict=True) if is_same(known, value)]
        return {"type": "static_select", "options": options, **({"initial_option": first[0]} if first else {})}
    ticked = cast("list[Any]", value) if isinstance(value, list) else []
    first = [one for one, known in zip(options, field.options, strict=True) if any(is_same(known, each) for each in ticked)]
    return {"type": "multi_static_select", "options": options, **({"initial_options": first} if first else {})}


def _word(one: Any) -> str:
    if isinstance(one, bool):
        return "yes" if one else "no"
    return plain(one if isinstance(one, str) else dumps(one))


def _shown(value: Any) -> Any:
    return None if value is NOTHING else value


def _option(value: str, word: str) -> dict[str, Any]:
    return {"text": _text(word), "value": value}


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
