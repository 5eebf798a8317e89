"""How a question looks in Slack: blocks, in which all that others wrote is text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentflow.channels.notice import Notice, Question
from agentflow.channels.wording import facts, headline, is_cut, line, outcome, shown

_MARKS = {"requested": "", "reminded": "⏰ ", "escalated": "⏫ ", "reassigned": "↪ "}


@dataclass(frozen=True, slots=True)
class Card:
    """A message: `text` for where no blocks are shown."""

    text: str
    blocks: list[dict[str, Any]]


def card(question: Question, notice: Notice | None = None) -> Card:
    """A question as it stands; with the notice that tells of it, its link and what is new."""
    said = f"{outcome(question)}: {line(question.title)}" if notice is None or not question.open else headline(notice)
    mark = "" if notice is None else _MARKS.get(notice.event, "")
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(f"{mark}{said}"[:150])}]
    if question.body is not None:
        blocks.append({"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [_text(shown(question.body))]}]})
    link = None if notice is None else notice.link
    told = [f"{name}: {value}" for name, value in facts(question)]
    if question.can_decide and not _can_approve(question):
        told.append(f"To approve it, open {'your dashboard' if link is None else 'it'}.")
    if told:
        blocks.append({"type": "context", "elements": [_plain(one) for one in told]})
    buttons = _buttons(question, link)
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return Card(_escaped(f"{mark}{said}"), blocks)


def _can_approve(question: Question) -> bool:
    """Whether whoever reads the message knows what a yes is to: all of it is shown, and a yes means one thing."""
    return question.can_decide and question.about != "outcome" and not is_cut(question.body)


def _buttons(question: Question, link: str | None) -> list[dict[str, Any]]:
    if not question.open:
        return []
    found: list[dict[str, Any]] = []
    if _can_approve(question):
        found.append({"type": "button", "action_id": "approve", "style": "primary", "text": _plain("Approve"), "value": question.id})
    if _can_approve(question) and question.can_edit:
        found.append({"type": "button", "action_id": "edit", "text": _plain("Edit…"), "value": question.id})
    if question.can_decide:
        found.append({"type": "button", "action_id": "deny", "style": "danger", "text": _plain("Deny"), "value": question.id})
    if link is not None:
        found.append({"type": "button", "action_id": "open", "text": _plain("Open"), "url": link})
    return found


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _escaped(text: str) -> str:
    """Outside of blocks Slack reads these three as its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
