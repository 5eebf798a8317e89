"""The public surface: pinned, sorted, documented, and in the changelog."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from types import ModuleType
from typing import cast

import agentflow
from agentflow import adapters, channels
from tests.gates.sources import ROOT, python_files, tree_of

PINNED = ROOT / "tests/gates/public_names.txt"
ADAPTERS = ROOT / "tests/gates/adapter_names.txt"
CHANNELS = ROOT / "tests/gates/channel_names.txt"


def public_names() -> list[str]:
    """What `agentflow` declares; empty as long as it declares nothing."""
    return list(cast("list[str]", getattr(agentflow, "__all__", [])))


def documented_assignments() -> set[str]:
    """Constants and type aliases that have a docstring on the line below."""
    return {
        target.id
        for path in python_files("agentflow")
        for statement, below in zip(tree_of(path).body, tree_of(path).body[1:], strict=False)
        for target in _targets(statement)
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _targets(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target):
            return [target]
        case _:
            return []


def _is_documented(name: str) -> bool:
    value = getattr(agentflow, name)
    if not (inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, ModuleType)):
        return name in documented_assignments()
    text = value.__doc__ or ""
    written_by_dataclass = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return bool(text.strip()) and not written_by_dataclass


def test_public_names_are_pinned() -> None:
    pinned = PINNED.read_text(encoding="utf-8").split()
    assert public_names(), "agentflow/__init__.py must declare __all__"
    assert public_names() == pinned, f"a change of the surface needs a line in CHANGELOG.md, and in {PINNED.relative_to(ROOT)}"


def test_the_names_that_integrations_may_use_are_pinned_and_documented() -> None:
    written = [name for name in adapters.__all__ if getattr(getattr(adapters, name), "__doc__", "") or name in documented_assignments()]
    assert written == ADAPTERS.read_text(encoding="utf-8").split(), f"a change needs a line in {ADAPTERS.relative_to(ROOT)}"


def test_the_names_of_channels_are_pinned_and_documented() -> None:
    written = [name for name in channels.__all__ if (getattr(channels, name).__doc__ or "").strip()]
    assert written == CHANNELS.read_text(encoding="utf-8").split(), f"a change needs a line in {CHANNELS.relative_to(ROOT)}"


def test_public_names_are_sorted_and_said_once() -> None:
    assert public_names() == sorted(set(public_names()))


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in public_names() if not hasattr(agentflow, name)] == []


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in public_names() if not _is_documented(name)] == [], "say what it is for"


def test_the_changelog_has_an_entry_for_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE)
