"""No file outgrows a reader. What a function may hold, ruff checks."""

from __future__ import annotations

from tests.gates.sources import ROOT, python_files, typescript_files

MOST_LINES = 400


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (*python_files("agentflow", "cookbook", "integrations", "tests", "tools"), *typescript_files())
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}, "split it by what it is about"


def test_the_architecture_is_read_in_one_sitting() -> None:
    lines = len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines())
    assert lines <= 250, "shorten a decision, or take away one that the code tells by now"
