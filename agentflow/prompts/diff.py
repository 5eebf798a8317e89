"""Two versions of a prompt side by side: messages word by word, model, parameters, tools and schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, cast

from agentflow.prompts.body import Body, canonical

Op = Literal["same", "removed", "added"]
Kind = Literal["same", "changed", "removed", "added"]

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
MOST = 4_000
"""Words of a passage above which it is shown as replaced, not compared."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage that both have, or one of them."""

    op: Op
    text: str


@dataclass(frozen=True, slots=True)
class TextChange:
    """A message or partial; `name` is its role, or that of the slot or partial."""

    kind: Kind
    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value that differs; `path` says where, as `params.temperature`. None stands for what is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs. `messages` has all messages in order, also the same ones; `partials` and `values` have what differs."""

    messages: tuple[TextChange, ...]
    partials: tuple[TextChange, ...]
    values: tuple[ValueChange, ...]

    @property
    def same(self) -> bool:
        """Whether both make the same call."""
        return not self.partials and not self.values and all(one.kind == "same" for one in self.messages)


def compare(before: Body, after: Body) -> Difference:
    """Lay two versions side by side.

    >>> compare(Body((user("Be brief."),)), Body((user("Be kind."),))).messages[0].pieces[1]
    Piece(op='removed', text='brief')
    """
    old, new = json.loads(before.json), json.loads(after.json)
    fields = ("engine", "model", "params", "tools", "response_schema", "fenced")
    return Difference(
        messages=tuple(_messages(old["messages"], new["messages"])),
        partials=tuple(_partials(old["includes"], new["includes"])),
        values=tuple(change for name in fields for change in _values(name, old[name], new[name])),
    )


def lines(found: Difference) -> Iterator[str]:
    """What differs, as plain text: `[-taken out-]{+put in+}`, and values before and after."""
    for kind, changes in (("message", found.messages), ("partial", found.partials)):
        for one in changes:
            if one.kind != "same":
                yield f"{_SIGNS[one.kind]} {kind} {one.name}: {''.join(_marked(piece) for piece in one.pieces)}"
    for value in found.values:
        before, after = (json.dumps(each, ensure_ascii=False) for each in (value.before, value.after))
        yield f"~ {value.path}: {before} → {after}"


_SIGNS = {"changed": "~", "removed": "-", "added": "+"}


def _marked(piece: Piece) -> str:
    if piece.op == "same":
        return piece.text
    return f"[-{piece.text}-]" if piece.op == "removed" else f"{{+{piece.text}+}}"


def words(before: str, after: str) -> tuple[Piece, ...]:
    """Two texts word by word. Of passages of many thousand words, lines are compared."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Piece] = []
    for op, i, j, k, m in SequenceMatcher(None, old, new).get_opcodes():
        if op == "equal":
            found.append(Piece("same", "".join(old[i:j])))
        else:
            found += _words(_WORD.findall("".join(old[i:j])), _WORD.findall("".join(new[k:m])))
    return tuple(_joined(found))


def _words(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    if len(old) + len(new) > MOST:
        yield from _replaced(old, new)
        return
    for op, i, j, k, m in SequenceMatcher(None, old, new).get_opcodes():
        if op == "equal":
            yield Piece("same", "".join(old[i:j]))
        else:
            yield from _replaced(old[i:j], new[k:m])


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    if old:
        yield Piece("removed", "".join(old))
    if new:
        yield Piece("added", "".join(new))


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    last: Piece | None = None
    for one in pieces:
        if last is not None and last.op == one.op:
            last = Piece(one.op, last.text + one.text)
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last


def _messages(old: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, str]]) -> Iterator[TextChange]:
    keys = [[json.dumps(one, sort_keys=True) for one in side] for side in (old, new)]
    for op, i, j, k, m in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if op == "equal":
            yield from (TextChange("same", _called(one), (Piece("same", one.get("content", "")),)) for one in old[i:j])
        else:
            yield from _paired(old[i:j], new[k:m])


def _paired(old: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, str]]) -> Iterator[TextChange]:
    """Messages that were replaced, those of one role in one place as one that was changed."""
    at = 0
    for one in old:
        partner = next((n for n in range(at, len(new)) if _called(new[n]) == _called(one)), None)
        if partner is None:
            yield TextChange("removed", _called(one), (Piece("removed", one.get("content", "")),))
            continue
        yield from (_added(other) for other in new[at:partner])
        yield TextChange("changed", _called(one), words(one.get("content", ""), new[partner].get("content", "")))
        at = partner + 1
    yield from (_added(other) for other in new[at:])


def _added(one: Mapping[str, str]) -> TextChange:
    return TextChange("added", _called(one), (Piece("added", one.get("content", "")),))


def _called(one: Mapping[str, str]) -> str:
    return f"slot {one['slot']}" if "slot" in one else one["role"]


def _partials(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[TextChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        kind: Kind = "added" if before is None else "removed" if after is None else "changed"
        yield TextChange(kind, name, words(before or "", after or ""))


def _values(path: str, before: Any, after: Any) -> Iterator[ValueChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        for key in sorted(old.keys() | new.keys()):
            yield from _values(f"{path}.{key}", old.get(key), new.get(key))
    elif canonical(before) != canonical(after):
        yield ValueChange(path, before, after)
