"""The words of a notice. What a model may have written is only ever text: nothing in it is a link, a control or a change of direction."""

from __future__ import annotations

import unicodedata
from typing import Any

from pydantic_core import to_json

from agentflow.channels.notice import Notice, Question

LONG = 2_500
"""Characters of what is asked about that a message shows."""
_SHORT = 150
_SAID = {
    "requested": "Needs your decision",
    "reminded": "Still waits for a decision",
    "escalated": "Nobody has decided: you may, too",
    "reassigned": "Is for others to decide now",
}


def plain(text: str) -> str:
    """Text without what is not seen or changes how the rest is seen: controls, zero-width and direction marks. Line breaks stay."""
    return "".join(
        one if one == "\n" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn") else "\N{REPLACEMENT CHARACTER}"
        for one in text
    )


def line(text: str, limit: int = _SHORT) -> str:
    """Text on one line, cut where it is long."""
    joined = " ".join(plain(text).split())
    return joined if len(joined) <= limit else f"{joined[: limit - 1]}…"


def headline(notice: Notice) -> str:
    """What a notice says, on one line.

    >>> headline(notice)
    'Needs your decision: Refund o-1?'
    """
    question = notice.question
    return f"{_SAID.get(notice.event, 'Needs your decision') if question.open else outcome(question)}: {line(question.title)}"


def outcome(question: Question) -> str:
    """How a question ended, and by whom."""
    by = f" by {line(question.by)}" if question.by else ""
    return f"{question.state.capitalize()}{by}"


def shown(body: Any) -> str:
    """What is asked about, as indented JSON or as the text that it is."""
    text = _text(body)
    return text if len(text) <= LONG else f"{text[:LONG]}\n… ({len(text) - LONG} characters more: open it to see them)"


def is_cut(body: Any) -> bool:
    """Whether not all of it is shown."""
    return len(_text(body)) > LONG


def _text(body: Any) -> str:
    return plain(body if isinstance(body, str) else to_json(body, indent=2).decode())


def facts(question: Question) -> list[tuple[str, str]]:
    """What else there is to know."""
    told = [("Risk", question.risk), ("Tool", question.tool), ("Agent", question.agent), ("Run", question.run), ("Reason", question.reason)]
    return [(name, line(value, 500)) for name, value in told if value]
