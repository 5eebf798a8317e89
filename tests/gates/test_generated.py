"""What is written from Python definitions is what they are now."""

from __future__ import annotations

from tests.frontend import folds
from tests.gates.sources import ROOT
from tools import typescript


def test_the_typescript_types_are_those_of_the_python_definitions() -> None:
    wanted = {str(path.relative_to(ROOT)): text for path, text in typescript.files().items()}
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in typescript.FOLDER.iterdir()}
    assert found == wanted, "run make types"


def test_the_folds_that_typescript_is_held_to_are_those_of_python() -> None:
    assert folds.PATH.read_text(encoding="utf-8") == folds.fixture(), "run make types"


def test_the_lock_file_of_npm_names_no_registry() -> None:
    lock = (ROOT / "frontend-hooks/package-lock.json").read_text(encoding="utf-8")
    assert "://" not in "".join(line for line in lock.splitlines() if '"resolved"' in line), (
        "npm reads .npmrc in frontend-hooks: install there"
    )
