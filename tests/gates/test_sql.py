"""SQL lives in .sql files, where it can be read, overridden per database and counted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.gates.sources import place, python_files, tree_of

STATEMENT = (
    r"(SELECT\b.+\bFROM\b|INSERT\s+(OR\s+\w+\s+)?INTO\b|UPDATE\b.+\bSET\b|DELETE\s+FROM\b"
    r"|(CREATE|ALTER|DROP)\s+(\w+\s+)?(TABLE|INDEX)\b)"
)

# In capitals it is SQL anywhere; in small letters only at the start, since an error message may say "delete from".
IN_CAPITALS = re.compile(rf"\b{STATEMENT}", re.DOTALL)
AT_THE_START = re.compile(rf"[\s(]*{STATEMENT.lower()}", re.DOTALL)


def text_of(node: ast.expr) -> str:
    """The text of a string however it is put together; `?` stands for what is known only at run time."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) for value in values)
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return text_of(left) + text_of(right)
        case _:
            return "?"


def strings(path: Path) -> Iterator[tuple[int, str]]:
    tree = tree_of(path)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in prose:
            yield node.lineno, text_of(node)


def test_no_sql_stands_in_python_strings() -> None:
    wrong = {
        place(path, line)
        for path in python_files("agentflow", "cookbook", "integrations")
        for line, text in strings(path)
        if IN_CAPITALS.search(text) or AT_THE_START.match(text)
    }
    assert sorted(wrong) == [], "move the statement into a .sql file"
