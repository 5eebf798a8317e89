"""`agentflow migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentflow.cli.opening import run
from agentflow.cli.options import Connection, unfolded
from agentflow.cli.screen import say, text

if TYPE_CHECKING:
    from agentflow.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


@unfolded
def migrate(connection: Connection) -> None:
    """Make the database, or bring its schema up to date. An app does the same when it opens."""
    from agentflow.settings import find_settings, shown

    settings = find_settings(connection.given())
    applied = run(_migrate(settings))
    done = f"migrations {', '.join(map(str, applied))} applied" if applied else "nothing to do"
    say(text("✓ ", "green") + text(f"{shown(settings.database_url)}: {done}"))


async def _migrate(settings: Settings) -> list[int]:
    from agentflow.clock import SystemClock
    from agentflow.database import migrate as schema
    from agentflow.database import open_database
    from agentflow.storage.statements import MIGRATIONS

    database = open_database(settings.database_url)
    try:
        return await schema.migrate(database, MIGRATIONS, SystemClock())
    finally:
        await database.close()
