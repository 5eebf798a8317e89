"""Numbered migrations, applied once, in order, under a lock.

A migration is `0001_name.sql` (a dialect's own text: `<dialect>/0001_name.sql`). Its statements each end with `;` at the end of a line.

On PostgreSQL workers may go on meanwhile: a statement that does not get its lock on a table within two seconds is given up with the whole
migration, which is tried again for as long as the database has patience (`patience=`). A migration that scans a big table holds its locks
for so long, so write it in small steps.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agentflow.clock import Clock
from agentflow.database.port import Database, Transaction, transaction
from agentflow.database.statements import Statements, make_statement
from agentflow.errors import SchemaNewer, StorageError

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")

_statement = Statements(Path(__file__).parent)
_lock = replace(_statement("schema/lock"), slow=True)
_open = _statement("schema/open")
_create = _statement("schema/create")
_applied = _statement("schema/applied")
_record = _statement("schema/record")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(database: Database, folder: Path, clock: Clock) -> list[int]:
    """Bring the schema up to the newest file in `folder`, all or nothing; returns the versions that were applied.

    Raises `SchemaNewer` when a newer agentflow has migrated the database, `StorageError` when an applied file has changed since.

    >>> await migrate(database, Path(agentflow.storage.__file__).parent / "migrations", clock)
    [1]
    """
    return await database.transact(_apply(read_migrations(folder, database.dialect), database.dialect, clock))


def read_migrations(folder: Path, dialect: str) -> list[Migration]:
    """The migrations in `folder` for one dialect; raises `StorageError` unless they are numbered 1, 2, 3, …"""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise StorageError(f"{path} does not continue the migrations.", hint=f"Name it {len(found) + 1:04}_what_it_does.sql.")
        own = folder / dialect / path.name
        text = (own if own.is_file() else path).read_text(encoding="utf-8")
        found.append(Migration(int(match[1]), match[2], text))
    return found


@transaction
def _apply(migrations: list[Migration], dialect: str, clock: Clock) -> Transaction[list[int]]:
    yield _lock()
    yield _open()
    yield _create()
    recorded = {row["version"]: row["checksum"] for row in (yield _applied())}
    newest = max(recorded, default=0)
    if newest > len(migrations):
        message = f"The database has schema {newest}, this agentflow knows {len(migrations)}."
        raise SchemaNewer(message, hint="Upgrade agentflow: pip install -U agentflow.", found=newest, known=len(migrations))
    missing: list[int] = []
    for migration in migrations:
        if migration.version not in recorded:
            for position, text in enumerate(split(migration.text)):
                yield make_statement(f"{migration.version:04}_{migration.name}#{position}", {dialect: text}, slow=True)()
            yield _record(version=migration.version, name=migration.name, checksum=migration.checksum, applied_at=clock.now())
            missing.append(migration.version)
        elif recorded[migration.version] != migration.checksum:
            message = f"Migration {migration.version:04}_{migration.name} is not the one that was applied to this database."
            raise StorageError(message, hint="Restore the file and write the change as a new migration.")
    return missing


def split(text: str) -> Iterator[str]:
    """The statements of a file. `$$` bodies and triggers stay whole; raises `StorageError` when the last one does not end with `;`."""
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        statement = "\n".join(lines)
        if line.rstrip().endswith(";") and statement.count("$$") % 2 == 0 and sqlite3.complete_statement(statement):
            yield statement
            lines.clear()
    rest = [line for line in lines if line.strip() and not line.lstrip().startswith("--")]
    if rest:
        raise StorageError(f"A migration ends in the middle of a statement: {rest[-1]!r}.", hint="End it with `;`.")
