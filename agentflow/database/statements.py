"""SQL lives in `.sql` files: `sql/<group>/<name>.sql`, and `sql/<dialect>/<group>/<name>.sql` where a dialect needs its own.

`sql/<dialect>/<group>/<name>.many.sql` answers many calls of a statement at once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from agentflow.database.port import DIALECTS, Statement
from agentflow.errors import StorageError

# What may hide a colon comes first, so that only true parameters are left for the last alternative.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|::|:([A-Za-z_]\w*)", re.DOTALL)

_MANY = ".many.sql"


class Statements:
    """The statements of one package, by name.

    `package_folder` is the folder that holds `sql/`.

    >>> statement = Statements(Path(__file__).parent)
    >>> lock = statement("runs/lock")
    >>> rows = yield lock(id=run_id)
    """

    def __init__(self, package_folder: Path) -> None:
        self._folder = package_folder / "sql"

    def __call__(self, name: str) -> Statement:
        """The statement `<group>/<name>`; raises `StorageError` when a dialect has no text for it, or its texts differ in parameters."""
        many = {dialect: path.read_text(encoding="utf-8") for dialect in DIALECTS if (path := self._many(dialect, name)).is_file()}
        return make_statement(name, {dialect: self._text(dialect, name) for dialect in DIALECTS}, many)

    def names(self) -> list[str]:
        """Every `<group>/<name>` that has a file, sorted."""
        found: set[str] = set()
        for path in self._folder.rglob("*.sql"):
            if path.name.endswith(_MANY):
                continue
            parts = path.relative_to(self._folder).with_suffix("").parts
            found.add("/".join(parts[1:] if parts[0] in DIALECTS else parts))
        return sorted(found)

    def _many(self, dialect: str, name: str) -> Path:
        return self._folder / dialect / f"{name}{_MANY}"

    def _text(self, dialect: str, name: str) -> str:
        for path in (self._folder / dialect / f"{name}.sql", self._folder / f"{name}.sql"):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise StorageError(f"There is no statement {name} for {dialect}.", hint=f"Write {self._folder / name}.sql.")


def make_statement(name: str, texts: dict[str, str], many: dict[str, str] | None = None, *, slow: bool = False) -> Statement:
    """A statement of these texts, one for each dialect it will run on; raises `StorageError` when their parameters differ."""
    many = many or {}
    taken = [(dialect, parameters_of(text)) for dialect, text in (*texts.items(), *many.items())]
    parameters = frozenset[str]().union(*(names for _, names in taken))
    for dialect, names in taken:
        if names != parameters:
            lacking = ", ".join(sorted(parameters - names))
            raise StorageError(f"The {dialect} text of {name} takes no {lacking}.", hint="Make its texts agree.")
    return Statement(name, texts, parameters, many, slow)


def parameters_of(text: str) -> frozenset[str]:
    """The `:name` parameters of a statement, but not what looks like one inside a string, a comment or a `::cast`."""
    return frozenset(name for name in _TOKEN.findall(text) if name)


@lru_cache(maxsize=4096)
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `$1`, `$2`, … for its `:name` parameters, and their names in that order."""
    names: list[str] = []

    def number(token: re.Match[str]) -> str:
        name = token[1]
        if name is None:
            return token[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _TOKEN.sub(number, text), tuple(names)
