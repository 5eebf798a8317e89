"""Rules of the house that no linter knows. Each has no exceptions."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from tests.gates.sources import ROOT, aliases, calls, dotted, imports, place, python_files, tree_of, typescript_files

EVERYWHERE = ("agentflow", "cookbook", "integrations", "tests", "tools")
TESTS = ("tests", "integrations")

EMPTY_STEM = re.compile(r"^_*(utils?|helpers?|commons?|bases?|managers?|misc)$")
SLEEPS = {"asyncio.sleep", "anyio.sleep", "time.sleep"}
WALL_CLOCKS = {
    "time.time",
    "time.time_ns",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
}


def test_no_file_has_a_name_that_says_nothing() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in (*python_files(*EVERYWHERE), *typescript_files())
        if any(EMPTY_STEM.match(part) for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert wrong == [], "name it after what it holds"


def test_only_the_clock_reads_the_time() -> None:
    wrong = [
        place(path, node.lineno)
        for path in python_files("agentflow")
        if path != ROOT / "agentflow/clock.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute | ast.Name) and dotted(node, aliases(path)) in WALL_CLOCKS
    ]
    assert wrong == [], "take the time as an argument, or from a Clock"


def test_tests_never_sleep() -> None:
    wrong = [
        place(path, call.lineno)
        for path in python_files(*TESTS)
        for call in calls(path)
        if dotted(call.func, aliases(path)) in SLEEPS and not _is_zero(call)
    ]
    assert wrong == [], "wait for an event, or for a predicate with a timeout"


def test_nothing_is_mocked() -> None:
    wrong = sorted(
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files(*EVERYWHERE)
        for name in {found.module for found in imports(path)} | set(aliases(path).values())
        if re.match(r"(unittest\.mock|mock|pytest_mock)\b", name)
    )
    assert wrong == [], "use a real server, or a fake from agentflow.testing"


def test_our_own_code_is_never_patched() -> None:
    wrong = [
        place(path, call.lineno)
        for path in python_files(*EVERYWHERE)
        for call in calls(path)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "setattr" and call.args and not _is_foreign(call, aliases(path))
    ]
    assert wrong == [], "pass what the code needs as an argument; setattr is for modules of others"


def _is_zero(call: ast.Call) -> bool:
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


def _is_foreign(call: ast.Call, known: Mapping[str, str]) -> bool:
    target = call.args[0]
    name = target.value if isinstance(target, ast.Constant) and isinstance(target.value, str) else dotted(target, known)
    return bool(name) and name.partition(".")[0] not in {"agentflow", "cookbook", "tests"} and not name.startswith("agentflow_")
