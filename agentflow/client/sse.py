"""Server-sent events out of bytes, however these are cut."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its `id`, if it has one, and its `data`."""

    id: str | None
    data: str


class FrameParser:
    """Takes bytes, gives frames: lines may end with LF, CRLF or CR, and comments and unknown fields say nothing.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._id: str | None = None
        self._data: list[str] = []

    def feed(self, part: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete."""
        text = self._rest + self._decoder.decode(part)
        # A CR at the very end may be the first half of a CRLF.
        held = text.endswith("\r")
        lines = (text[:-1] if held else text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + ("\r" if held else "")
        for line in lines:
            if line:
                self._field(line)
                continue
            frame = self._take()
            if frame is not None:
                yield frame

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value

    def _take(self) -> Frame | None:
        id, data = self._id, self._data
        self._id, self._data = None, []
        return Frame(id, "\n".join(data)) if data else None
