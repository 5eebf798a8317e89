"""The project's files as the gates see them: paths, syntax trees, imports."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its full dotted name."""

    module: str
    line: int


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the project, in order."""
    return [path for path in _files(folders) if path.suffix == ".py"]


def typescript_files() -> list[Path]:
    """Every TypeScript file of the packages for browsers, in order."""
    return [path for path in _files(["frontend-hooks"]) if path.suffix in {".ts", ".tsx"}]


def _files(folders: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        for place, inner, names in os.walk(ROOT / folder):
            inner[:] = [name for name in inner if name not in {"node_modules", "__pycache__", "dist"} and not name.startswith(".")]
            found += [Path(place, name) for name in names]
    return sorted(found)


def place(path: Path, line: int) -> str:
    """`path:line`, as an editor understands it."""
    return f"{path.relative_to(ROOT)}:{line}"


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    """The dotted name a file of the project is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    """What a relative import in this file starts from."""
    name = module_name(path)
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands: in a function and under TYPE_CHECKING too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(name.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, package_of(path))
            for name in node.names:
                yield Import(f"{source}.{name.name}" if _is_module(f"{source}.{name.name}") else source, node.lineno)


@cache
def aliases(path: Path) -> Mapping[str, str]:
    """What each imported name of a file stands for: `from time import sleep as nap` gives `{"nap": "time.sleep"}`."""
    known: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                known[name.asname or name.name.partition(".")[0]] = name.name if name.asname else name.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                known[name.asname or name.name] = f"{_absolute(node, package_of(path))}.{name.name}"
    return known


def dotted(node: ast.expr, known: Mapping[str, str]) -> str:
    """The full name an expression refers to through imports, or an empty string."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in known:
        return ""
    return ".".join([known[node.id], *reversed(attributes)])


def calls(path: Path) -> Iterator[ast.Call]:
    """Every call in a file."""
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parent = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parent, *([node.module] if node.module else [])])


@cache
def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path.is_dir() and any(path.glob("*.py")))
