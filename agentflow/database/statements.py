"""SQL lives in `.sql` files: `sql/<group>/<name>.sql`, and `sql/<dialect>/<group>/<name>.sql` where a dialect needs its own."""

from __future__ import annotations

import re
from pathlib import Path

from agentflow.database.port import DIALECTS, Statement
from agentflow.errors import StorageError

# What may hide a colon comes first, so that only true parameters are left for the last alternative.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|::|:([A-Za-z_]\w*)", re.DOTALL)


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
        return make_statement(name, {dialect: self._text(dialect, name) for dialect in DIALECTS})

    def names(self) -> list[str]:
        """Every `<group>/<name>` that has a file, sorted."""
        found: set[str] = set()
        for path in self._folder.rglob("*.sql"):
            parts = path.relative_to(self._folder).with_suffix("").parts
            found.add("/".join(parts[1:] if parts[0] in DIALECTS else parts))
        return sorted(found)

    def _text(self, dialect: str, name: str) -> str:
        for path in (self._folder / dialect / f"{name}.sql", self._folder / f"{name}.sql"):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise StorageError(f"There is no statement {name} for {dialect}.", hint=f"Write {self._folder / name}.sql.")


def make_statement(name: str, texts: dict[str, str]) -> Statement:
    """A statement of these texts, one for each dialect it will run on; raises `StorageError` when their parameters differ."""
    taken = {dialect: parameters_of(text) for dialect, text in texts.items()}
    parameters = frozenset[str]().union(*taken.values())
    for dialect, names in taken.items():
        if names != parameters:
            lacking = ", ".join(sorted(parameters - names))
            raise StorageError(f"The {dialect} text of {name} takes no {lacking}.", hint="Make its texts agree.")
    return Statement(name, texts, parameters)


def parameters_of(text: str) -> frozenset[str]:
    """The `:name` parameters of a statement, but not what looks like one inside a string, a comment or a `::cast`."""
    return frozenset(name for name in _TOKEN.findall(text) if name)
