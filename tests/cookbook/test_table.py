"""The table in cookbook/README.md: all recipes, each with a test, and commands that do what they say."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cookbook.conftest import Repository, program
from tests.gates.sources import ROOT, imports, module_name, python_files

PAGE = (ROOT / "cookbook/README.md").read_text(encoding="utf-8")
ROWS = {name.removesuffix(".py"): command for name, command in re.findall(r"^\| \[(.+?)\]\(\1\) \| .+ \| `(.+)` \|$", PAGE, re.MULTILINE)}
PROGRAMS = {name: words for name, command in ROWS.items() if (words := shlex.split(command))[0] == "python"}


def top(module: str) -> str:
    """The file or folder of the cookbook that a module is in."""
    return module.split(".")[1]


def recipes() -> set[str]:
    """What the cookbook has, without what its recipes share."""
    files = python_files("cookbook")
    own = {top(module_name(file)) for file in files}
    uses = {
        (top(module_name(file)), top(found.module)) for file in files for found in imports(file) if found.module.startswith("cookbook.")
    }
    return own - {used for user, used in uses if user != used}


def test_every_recipe_has_a_row_and_every_row_a_recipe() -> None:
    assert recipes() == set(ROWS)


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_has_a_test(name: str) -> None:
    named = re.compile(rf"\bcookbook[./]{name}\b")
    tests = python_files("tests", "integrations")
    assert [file for file in tests if named.search(file.read_text(encoding="utf-8"))], "execute it in tests/cookbook"


def test_every_command_is_of_its_recipe_or_a_target_of_make() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name, command in ROWS.items():
        program, *words = shlex.split(command)
        assert (program == "make" and words[0] in targets) or words[:2] == ["-m", f"cookbook.{name}"], command


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_the_command_works_as_it_is_written_without_a_key(repository: Repository, name: str) -> None:
    (repository.folder / "notes.md").write_text("call Ann\n", encoding="utf-8")
    done = program(repository.folder, *PROGRAMS[name][1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
