"""`agentflow audit …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import say, show_json, text
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.storage.audit import Head, Verdict

audit = typer.Typer(no_args_is_help=True, help="Who decided what, in a chain that shows what was changed since.")
_PAGE = 1_000


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit, name="audit")


@audit.command("export")
@unfolded
def export(
    type: Annotated[str | None, typer.Option(help="Only entries of this type, as decision or timeout.", metavar="TYPE")] = None,
    after: Annotated[int, typer.Option(help="Only entries after this number.", min=0, metavar="N")] = 0,
    *,
    connection: Connection,
) -> None:
    """Print the entries, one JSON object a line. Keep the last line elsewhere: it shows later whether anything before it was changed."""
    ask(connection, lambda app: _export(app, type, after))


async def _export(app: Agentflow, type: str | None, after: int) -> None:
    from agentflow.server.audits import line

    while found := await app.audit.entries(after=after, type=type, limit=_PAGE):
        typer.echo("".join(line(one) for one in found), nl=False)
        after = found[-1]["seq"]


@audit.command("verify")
@unfolded
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export, in place of the database.", metavar="FILE")] = None,
    head: Annotated[str | None, typer.Option(help="An entry that was kept elsewhere, as NUMBER:HASH.", metavar="N:HASH")] = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Check that no entry was changed, taken out, put in or moved. Exits with 1, and names the first that was."""
    expected = None if head is None else _head(head)
    found = ask(connection, lambda app: app.audit.verify(expected)) if file is None else _of_file(file, expected)
    if as_json:
        show_json({"rows": found.rows, "head": f"{found.head.place}:{found.head.hash}", "broken": found.broken, "why": found.why})
    elif found.broken is None:
        say(text("✓ ", "green") + text(f"{found.rows} entries hold", "bold"), text(f"head {found.head.place}:{found.head.hash}", "dim"))
    else:
        say(text("✗ ", "red") + text(f"entry {found.broken} is broken", "bold") + text(f"  {found.why}"))
    if found.broken is not None:
        raise typer.Exit(1)


def _head(given: str) -> Head:
    from agentflow.storage.audit import Head

    place, _, hashed = given.partition(":")
    if not place.isdecimal() or len(hashed) != 64:
        raise ConfigurationError(f"{given!r} is no head of an audit.", hint="Give what `agentflow audit verify` has printed: NUMBER:HASH.")
    return Head(int(place), hashed.lower())


def _of_file(file: Path, expected: Head | None) -> Verdict:
    from agentflow.storage.audit import Chain

    chain = Chain(*(() if expected is None else (expected,)), first=None)
    for number, entry in enumerate(_lines(file), 1):
        if not isinstance(entry, dict):
            raise ConfigurationError(f"Line {number} of {file} is no entry.", hint="Give a file that `agentflow audit export` has written.")
        chain.add(cast("dict[str, Any]", entry))
    return chain.verdict()


def _lines(file: Path) -> list[Any]:
    import json

    try:
        return [json.loads(one) for one in file.read_text(encoding="utf-8").splitlines() if one.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}.", hint="Give a file that `agentflow audit export` has written."
        ) from None
