"""Text as people may see it: what cannot be seen, or turns text around, is told by its number."""

from __future__ import annotations

import json
import re
import unicodedata
from html import escape
from typing import Any

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*")
_LONGEST = 100_000
"""Characters of one text: a page is to be read."""


def seen(text: str, *, lines: bool = True) -> str:
    """The text with everything that cannot be seen as `\\u202e`; with `lines`, its line ends and tabs stay."""
    kept = "\n\t" if lines else ""
    if not (lines and _PLAIN.fullmatch(text)):
        text = "".join(one if one in kept or not _is_hidden(one) else _number(one) for one in text)
    return text


def marked(text: str, *, lines: bool = True) -> str:
    """The same as HTML."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… and {len(text) - _LONGEST} characters more: look at it in the dashboard"
    return escape(seen(text, lines=lines), quote=True)


def exact(value: Any) -> str:
    """A JSON value exactly as it is, as HTML: texts in quotes, numbers and order as they are stored."""
    return marked(json.dumps(value, indent=2, ensure_ascii=False))


def _is_hidden(one: str) -> bool:
    return one in _BLANK or 0xFE00 <= ord(one) <= 0xFE0F or 0xE0100 <= ord(one) <= 0xE01EF or unicodedata.category(one) in _HIDDEN


def _number(one: str) -> str:
    code = ord(one)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"
