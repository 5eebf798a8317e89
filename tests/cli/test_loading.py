"""Finding a user's code, and telling why it cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentflow.cli.loading import Loaded, load
from agentflow.errors import DefinitionError
from tests.cli.conftest import Start

Load = Callable[[str | None], Loaded]


@pytest.fixture
def fresh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load in the folder, with nothing of it imported before or after."""
    monkeypatch.chdir(folder)
    path, known = list(sys.path), set(sys.modules)
    yield load
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) is None or str(folder) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere.py", "There is no file nowhere.py"),
        ("no.such.module", "There is no module no.such.module"),
        ("shop:other", "no Agentflow called 'other'"),
        ("lib/shop", "lib/shop is no file"),
        (None, "No app was named"),
    ],
)
def test_a_target_that_is_not_there_is_told_with_what_to_do(fresh: Load, target: str | None, told: str) -> None:
    with pytest.raises(DefinitionError, match=told) as caught:
        fresh(target)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1", "There is no task or agent in app_1.py"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "ended the process"),
        ("from agentflow import task\n@task\ndef f(*args): ...\n", "has no place"),
        ("from agentflow import task\n@task\ndef f(): ...\ng = f\n@task\ndef f(): ...\n", "Two tasks are called 'f'"),
    ],
)
def test_code_that_cannot_be_used_is_told_with_what_to_do(fresh: Load, folder: Path, source: str, told: str) -> None:
    (folder / "app_1.py").write_text(source)
    with pytest.raises(DefinitionError, match=told) as caught:
        fresh("app_1.py")
    assert caught.value.hint


def test_a_mistake_in_the_code_is_told_with_file_and_line_and_without_a_traceback(start: Start, folder: Path) -> None:
    (folder / "app.py").write_text("x = 1\n\nimport nothing_like_it\n")
    program = start("worker", "app.py")
    assert program.end() == 2
    assert f"{folder / 'app.py'}, line 3" in program.said
    assert len(program.lines) == 2


def test_a_file_that_hides_another_module_is_refused(fresh: Load, folder: Path) -> None:
    (folder / "json.py").write_text("x = 1")
    with pytest.raises(DefinitionError, match=r"json\.py has the name of a module"):
        fresh("json.py")


@pytest.mark.parametrize("target", ["lib_1/shop/app.py", "lib_1.shop.app"])
def test_tasks_are_found_in_packages_with_those_they_import(fresh: Load, folder: Path, target: str) -> None:
    package = folder / "lib_1/shop"
    package.mkdir(parents=True)
    (folder / "lib_1/__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "tools.py").write_text("from agentflow import task\n@task\nasync def wrap() -> int: return 1\n")
    (package / "app.py").write_text("import lib_1.shop.tools\nfrom agentflow import task\n@task\nasync def pack() -> int: return 1\n")
    assert {"pack", "wrap"} <= fresh(target).app.tasks.keys()


@pytest.mark.parametrize("target", ["made.py", "made:flow"])
def test_an_app_in_the_code_is_taken_as_it_is(fresh: Load, folder: Path, target: str) -> None:
    tasks = "from agentflow import Agentflow, task\n@task\nasync def pack(): ...\n@task\nasync def left_out(): ...\n"
    (folder / "made.py").write_text(f"{tasks}app = flow = Agentflow([pack], database='mine.db')\n")
    found = fresh(target)
    assert (list(found.app.tasks), found.app.database_url, found.made) == (["pack"], "mine.db", True)
