"""Writes the TypeScript types of events and HTTP bodies from their Python definitions: `make types`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agentflow.server.models import Problem
from agentflow.server.routes import OPERATIONS
from agentflow.streams.events import KINDS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "frontend-hooks/client/src/generated"
_HEAD = "// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.\n"
_PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", Any: "unknown", object: "unknown", NoneType: "null"}


def files() -> Mapping[Path, str]:
    """What the generated files are to hold, by path: one per Python module, and an index."""
    told: dict[str, dict[str, str]] = {}
    for one in (*KINDS, *_reached()):
        told.setdefault(one.__module__.rpartition(".")[2], {})[one.__name__] = _declared(one)
    told["events"]["KnownEvent"] = _union()
    home = {name: module for module, names in told.items() for name in names}
    index = "".join(f'export type * from "./{module}.ts";\n' for module in sorted(told))
    modules = {FOLDER / f"{module}.ts": _file(module, names, home) for module, names in told.items()}
    return {FOLDER / "index.ts": f"{_HEAD}\n{index}", **modules}


def _file(module: str, told: Mapping[str, str], home: Mapping[str, str]) -> str:
    text = "\n".join(told.values())
    needed: dict[str, list[str]] = {}
    for name in sorted(set(re.findall(r"\b[A-Z]\w+\b", re.sub(r'/\*\*.*?\*/|"[^"]*"', "", text)))):
        if home.get(name, module) != module:
            needed.setdefault(home[name], []).append(name)
    imports = "".join(f'import type {{ {", ".join(names)} }} from "./{other}.ts";\n' for other, names in sorted(needed.items()))
    return "\n".join(part for part in (_HEAD, imports, text) if part)


def main() -> None:
    """Write the files that differ."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path.relative_to(ROOT)}\n")


def _declared(one: type[Any]) -> str:
    return _model(one) if issubclass(one, BaseModel | Enum) else _event(one)


def _union() -> str:
    names = "".join(f"\n  | {kind.__name__}" for kind in KINDS)
    return f"/** Any event of a run's log that this version knows. */\nexport type KnownEvent ={names};\n"


def _event(kind: type[Any]) -> str:
    """What is `None` or empty is left out of an event, so all that may be is optional; only deltas have no time."""
    hints = get_type_hints(kind)
    clock = [] if kind.type.endswith(".delta") else ["ts: number;"]
    told = [f"{field.name}{'' if _always(field, hints) else '?'}: {_type(_some(hints[field.name]))};" for field in fields(kind)]
    return _interface(kind.__name__, _doc(kind), [f'type: "{kind.type}";', *clock, *told])


def _always(field: Field[Any], hints: Mapping[str, Any]) -> bool:
    return hints[field.name] is not Any and (field.default is MISSING or field.default not in (None, ()))


def _reached() -> list[type[BaseModel] | type[Enum]]:
    """Every model and enumeration that the route table speaks of, in a stable order."""
    queue: list[Any] = [Problem, *(part for one in OPERATIONS for part in (one.body, one.query, one.answer, one.later) if part is not None)]
    found: dict[str, Any] = {}
    while queue:
        one = queue.pop(0)
        if isinstance(one, type) and issubclass(one, BaseModel | Enum):
            if one.__name__ not in found and (issubclass(one, Enum) or one.model_fields):
                found[one.__name__] = one
                queue.extend(
                    [
                        *(one.__bases__ if issubclass(one, BaseModel) else ()),
                        *(field.annotation for field in getattr(one, "model_fields", {}).values()),
                    ]
                )
        else:
            queue.extend(get_args(one))
    return [found[name] for name in sorted(found)]


def _model(one: type[BaseModel] | type[Enum]) -> str:
    if issubclass(one, Enum):
        return f"{_comment(_doc(one))}export type {one.__name__} = {_type(one, open_enums=True)};\n"
    given = one.model_config.get("extra") == "forbid"
    lines = [
        f"{field.serialization_alias or name}{'?' if given and not field.is_required() else ''}: {_type(_sent(field, given=given))};"
        for name, field in one.model_fields.items()
        if name in one.__annotations__
    ]
    name = f"{one.__name__}{_extends(one)}"
    return _interface(name, _doc(one), lines)


def _extends(one: type[BaseModel]) -> str:
    parent = one.__bases__[0]
    return f" extends {parent.__name__}" if getattr(parent, "model_fields", None) else ""


def _sent(field: FieldInfo, *, given: bool) -> Any:
    return _some(field.annotation) if given and not field.is_required() else field.annotation


def _some(hint: Any) -> Any:
    """The type without `None`: leaving it out says the same."""
    rest = [one for one in get_args(hint) if one is not NoneType]
    return Union[tuple(rest)] if get_origin(hint) in (Union, UnionType) else hint  # noqa: UP007 - built at run time


def _type(hint: Any, *, open_enums: bool = False) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum) and open_enums:
        return " | ".join(f'"{one.value}"' for one in hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None:
        return hint.__name__
    if origin is Literal:
        return " | ".join(f'"{one}"' for one in arguments)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type(one) for one in arguments))
    return _collection(origin, arguments)


def _collection(origin: Any, arguments: tuple[Any, ...]) -> str:
    if issubclass(origin, Mapping):
        return f"Readonly<Record<string, {_type(arguments[1])}>>"
    return f"readonly {_grouped(_type(arguments[0]))}[]"


def _grouped(text: str) -> str:
    return f"({text})" if " " in text and "<" not in text else text


def _doc(kind: type[Any]) -> str:
    first = re.sub(r"\s+", " ", (kind.__doc__ or "").partition("\n\n")[0]).strip()
    return first.replace("*/", "*\\/")


def _comment(doc: str) -> str:
    return f"/** {doc} */\n" if doc else ""


def _interface(name: str, doc: str, lines: list[str]) -> str:
    body = "".join(f"  {line}\n" for line in lines)
    return f"{_comment(doc)}export interface {name} {{\n{body}}}\n"


if __name__ == "__main__":
    main()
