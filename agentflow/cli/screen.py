"""What the terminal shows: colours where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from agentflow.errors import AgentflowError, DefinitionError, WaitpointError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

COLOURS = {
    "completed": "green",
    "failed": "red",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "magenta",
    "cancelled": "dim",
    "expired": "dim",
    "scheduled": "blue",
    "queued": "blue",
    "live": "green",
    "draining": "yellow",
    "dead": "red",
}
_PIPE_WIDTH = 200
_UNCOUNTED = {403: 3, 409: 4, 410: 5, 412: 6, 422: 7}
# Control characters but line breaks and tabs, and what is invisible or turns the direction of the text around it.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


def screen(*, errors: bool = False) -> Console:
    """The terminal; what is piped has room enough for whole ids."""
    from rich.console import Console

    made = Console(stderr=errors, highlight=False, emoji=False)
    if not made.is_terminal:
        made = Console(stderr=errors, highlight=False, emoji=False, width=_PIPE_WIDTH)
    return made


def say(*lines: Any) -> None:
    """Print lines."""
    made = screen()
    for line in lines:
        made.print(line, soft_wrap=True)


def whisper(*lines: Any) -> None:
    """Print lines for people, beside what a program reads."""
    made = screen(errors=True)
    for line in lines:
        made.print(line, soft_wrap=True, style="dim")


def text(words: Any, style: str = "") -> Text:
    """Words as they are: no markup is read into them."""
    from rich.text import Text

    # A style of the whole would spread over what is added to it.
    return Text().append(str(words), style)


def colour(state: str) -> Text:
    """A state in its colour."""
    return text(state, COLOURS.get(state, ""))


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Text:
    """A plain table. Ids and numbers stay whole: only the last column is cut to the width of the terminal. `>` aligns to the right."""
    heads = [text(title.lstrip(">"), "dim") for title in titles]
    cells = [heads, *([text(cell) if isinstance(cell, str | int) else cell for cell in row] for row in rows)]
    widths = [max(row[place].cell_len for row in cells) for place in range(len(titles))]
    left = max(10, screen().width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    lines = [_line(row, titles, [*widths[:-1], min(widths[-1], left)]) for row in cells]
    return text("\n").join(lines)


def _line(row: Sequence[Text], titles: Sequence[str], widths: Sequence[int]) -> Text:
    cells = [cell.copy() for cell in row]
    for cell, title, width in zip(cells, titles, widths, strict=True):
        cell.truncate(width, overflow="ellipsis")
        cell.align("right" if title.startswith(">") else "left", width)
    made = text("  ").join(cells)
    made.rstrip()
    return made


def show_json(value: Any) -> None:
    """Print JSON: a pydantic model, or what `json` knows."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=lambda one: one.model_dump(mode="json", by_alias=True)))


def complain(error: AgentflowError) -> int:
    """Tell of an error; returns the exit code."""
    made = screen(errors=True)
    made.print(text("✗ ", "bold red") + text(error.message, "red"), soft_wrap=True)
    if error.hint:
        made.print(text(f"  {error.hint}"), soft_wrap=True)
    return exit_code(error)


def exit_code(error: AgentflowError) -> int:
    """2 where the command was wrong, one of its own where an answer to a question does not count, 1 where something could not be done."""
    if isinstance(error, WaitpointError):
        return _UNCOUNTED.get(error.http_status, 1)
    return 2 if isinstance(error, DefinitionError) else 1


def visible(words: str) -> str:
    """Text that says nothing to the terminal, and hides nothing: what cannot be seen is written as its number.

    >>> visible("ok\u202etxt")
    'ok<U+202E>txt'
    """
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", words)


def span(micros: int) -> str:
    """A length of time for people.

    >>> span(2_300_000)
    '2.3 s'
    """
    seconds = micros / 1_000_000
    if seconds < 1:
        return f"{max(0, micros) // 1_000} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, rest, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            left = int(seconds % size // rest)
            return f"{int(seconds // size)} {unit}" + (f" {left} {small}" if left else "")
    return ""


def ago(then: int | None, now: int) -> str:
    """How long ago something was, or how soon it will be."""
    if then is None:
        return ""
    return f"{span(now - then)} ago" if then <= now else f"in {span(then - now)}"


def clock_time(millis: int) -> str:
    """The time of day here, of milliseconds since 1970."""
    return f"{datetime.fromtimestamp(millis / 1_000, tz=UTC).astimezone():%H:%M:%S}"


def moment(millis: int, seen: int) -> str:
    """The time of day, and the day where it is not that of `seen`; both in milliseconds since 1970."""
    then, day = (datetime.fromtimestamp(one / 1_000, tz=UTC).astimezone() for one in (millis, seen))
    return f"{then:%H:%M:%S}" if then.date() == day.date() else f"{then:%a %d %b, %H:%M}"


def short(value: Any, limit: int = 100) -> str:
    """A JSON value in one short line."""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(words.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
