"""`agentflow prompts …`: what is there, what is live, and releases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli import experiments, prompt_archive, prompt_files, prompt_metrics, prompt_moves, prompt_rules
from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.prompt_moves import flags, live
from agentflow.cli.prompt_options import Env, Name, Said, Which, which
from agentflow.cli.screen import ago, say, show_json, table, text
from agentflow.records import dollars

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.prompts import PromptRecord
    from agentflow.prompts.diff import Difference, Piece, TextChange
    from agentflow.storage.holders import HolderRecord
    from agentflow.storage.measuring import Lately
    from agentflow.storage.prompts import VersionRecord

prompts = typer.Typer(no_args_is_help=True, help="Versions of prompts, and which of them is live.")
_STYLES = {"same": "", "removed": "red strike", "added": "green"}
_SIGNS = {"same": "  ", "changed": "~ ", "removed": "- ", "added": "+ "}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    prompt_files.add_to(prompts)
    experiments.add_to(prompts)
    prompt_metrics.add_to(prompts)
    prompt_moves.add_to(prompts)
    prompt_rules.add_to(prompts)
    prompt_archive.add_to(prompts)
    app.add_typer(prompts, name="prompts")


@prompts.command("list")
@unfolded
def list_prompts(env: Env = None, as_json: Json = False, *, connection: Connection) -> None:
    """Prompts, what is live of them, and whether the code has another version."""
    (found, day), now = ask(connection, lambda app: _with_time(app, lambda: _listed(app, env)))
    if as_json:
        from agentflow.server.prompts import prompt_view

        show_json([prompt_view(one, day.get(one.name)) for one in found])
    elif not found:
        say(text("No prompts. Start a worker whose code has some, or `agentflow prompts push` a folder.", "dim"))
    else:
        titles = ("prompt", ">versions", "live", "moved", "", ">calls of 24 h", ">errors", ">USD", "description")
        say(table(titles, [_row(one, day.get(one.name), now) for one in found]))


@prompts.command("show")
@unfolded
def show_prompt(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="A version, to see what it says.", metavar="VERSION", show_default=False)] = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """A prompt: what is live where, and its versions; or one version, as a file."""
    if version is not None:
        _show_version(name, version, as_json, connection)
        return
    (one, versions), now = ask(connection, lambda app: _with_time(app, lambda: _whole(app, name)))
    if as_json:
        from agentflow.server.prompts import prompt_view, version_view

        show_json({"prompt": prompt_view(one), "versions": [version_view(each) for each in versions]})
        return
    say(text(one.name, "bold") + text(f"  {one.description}", "dim"))
    bindings = [(each.env, each.label, live(each), f"rev {each.rev}", ago(each.updated_at, now), flags(each)) for each in one.bindings]
    say(table(("environment", "label", "live", "", "moved", ""), bindings))
    rows = [(f"v{each.number}", each.hash[7:15], each.source, each.actor, ago(each.created_at, now), _noted(each)) for each in versions]
    say("", table(("version", "hash", "source", "by", "made", "note"), rows))


@prompts.command("diff")
@unfolded
def diff(name: Name, before: Which, after: Which, as_json: Json = False, *, connection: Connection) -> None:
    """What differs between two versions, word by word."""
    found = ask(connection, lambda app: _compared(app, name, before, after))
    if as_json:
        from dataclasses import asdict

        show_json({"same": found.same, **asdict(found)})
    elif found.same:
        say(text("They make the same call.", "dim"))
    else:
        say(*_differences(found))


@prompts.command("revoke")
@unfolded
def revoke(
    name: Name,
    version: Which,
    policy: Annotated[str, typer.Option(help="What runs do that hold it: repin:5, pause or fail.", metavar="POLICY")],
    *,
    said: Said,
    connection: Connection,
) -> None:
    """Take a version back: nobody begins with it any more."""
    taken = which(version)
    one = ask(connection, lambda app: _revoked(app, name, taken, policy, said.options))
    _say_done(f"v{one.number} of {name} is revoked: {one.revoke_policy}.")


@prompts.command("pins")
@unfolded
def pins(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="A version: 3, v3 or its hash.", metavar="VERSION", show_default=False)] = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """The runs that hold a version and have not ended: they go on with it, whatever is released."""
    wanted = None if version is None else which(version)
    found, now = ask(connection, lambda app: _with_time(app, lambda: _holders(app, name, wanted)))
    if as_json:
        from agentflow.server.prompts import pin_view

        show_json([pin_view(one) for one in found])
    elif not found:
        say(text(f"Nobody holds {name}.", "dim"))
    else:
        rows = [(one.run_id, one.state, one.thread or "", f"v{one.number}", one.label, ago(one.at, now)) for one in found]
        say(table(("run", "status", "thread", "version", "label", "since"), rows))


@prompts.command("repin")
@unfolded
def repin(
    run: Annotated[str, typer.Argument(help="The run.", metavar="RUN")],
    name: Name,
    to: Annotated[str, typer.Option("--to", help="The version: 3, v3 or its hash.", metavar="VERSION")],
    *,
    said: Said,
    connection: Connection,
) -> None:
    """Have a run hold another version when it goes on. One that is paused is resumed after that."""
    version = which(to)
    one = ask(connection, lambda app: app.prompts.repin(run, name, to=version, **said.options))
    _say_done(f"{run} holds {name} v{one.number} from now on.")


@prompts.command("upgrade")
@unfolded
def upgrade(
    thread: Annotated[str, typer.Argument(help="The thread.", metavar="THREAD")],
    name: Name,
    *,
    said: Said,
    connection: Connection,
) -> None:
    """Have the next run of a thread take what is live then."""
    if ask(connection, lambda app: app.prompts.upgrade(thread, name, **said.options)):
        _say_done(f"The next run of {thread} takes what is live of {name} then.")
    else:
        say(text(f"{thread} holds nothing of {name}.", "dim"))


async def _with_time(app: Agentflow, question: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    return await question(), app.clock.now()


async def _listed(app: Agentflow, env: str | None) -> tuple[list[PromptRecord], Mapping[str, Lately]]:
    return await app.prompts.list(env), await app.prompts.lately(env)


async def _whole(app: Agentflow, name: str) -> tuple[PromptRecord, list[VersionRecord]]:
    return await app.prompts.get(name), await app.prompts.versions(name)


async def _revoked(app: Agentflow, name: str, version: int | str, policy: str, said: dict[str, str]) -> VersionRecord:
    number = (await app.prompts.version(name, version)).number
    return await app.prompts.revoke(name, number, policy=policy, **said)


async def _holders(app: Agentflow, name: str, version: int | str | None) -> list[HolderRecord]:
    number = None if version is None else (await app.prompts.version(name, version)).number
    return await app.prompts.pins(name, number)


async def _compared(app: Agentflow, name: str, before: str, after: str) -> Difference:
    from agentflow.prompts.body import Body
    from agentflow.prompts.diff import compare

    sides = [await app.prompts.version(name, which(one)) for one in (before, after)]
    return compare(*(Body.from_json(one.body) for one in sides))


def _show_version(name: str, version: str, as_json: bool, connection: Connection) -> None:
    asked = which(version)
    kept = ask(connection, lambda app: app.prompts.version(name, asked))
    if as_json:
        from agentflow.server.prompts import version_view

        show_json(version_view(kept))
        return
    from agentflow.prompts import files
    from agentflow.prompts.body import Body

    typer.echo(files.write(files.PromptFile(name, Body.from_json(kept.body))), nl=False)


def _row(one: PromptRecord, day: Lately | None, now: int) -> tuple[Any, ...]:
    holds = text("nothing", "dim") if one.live is None else live(one.live)
    moved = "" if one.live is None else ago(one.live.updated_at, now)
    did = ("", "", "") if day is None else (day.calls, day.errors, dollars(day.cost) if day.priced else "")
    return one.name, one.versions, holds, moved, "" if one.live is None else flags(one.live), *did, text(one.description, "dim")


def _noted(one: VersionRecord) -> Any:
    return text(f"revoked: {one.revoke_policy}", "red") if one.revoked_at is not None else text(one.note, "dim")


def _say_done(what: str) -> None:
    say(text("✓ ", "green") + text(what))


def _differences(found: Difference) -> list[Any]:
    lines = [_passages(one) for one in found.messages] + [_passages(one, "partial ") for one in found.partials]
    for one in found.values:
        lines.append(
            text(f"~ {one.path}: ", "bold") + text(_told(one.before), "red") + text(" → ", "dim") + text(_told(one.after), "green")
        )
    return lines


def _passages(one: TextChange, kind: str = "") -> Any:
    made = text(f"{_SIGNS[one.kind]}{kind}{one.name}", "dim" if one.kind == "same" else "bold")
    for piece in one.pieces if one.kind != "same" else ():
        made += text("\n    " if piece is one.pieces[0] else "") + text(_marked(piece).replace("\n", "\n    "), _STYLES[piece.op])
    return made


def _marked(piece: Piece) -> str:
    """With marks, for a terminal without colours."""
    from agentflow.cli.screen import screen

    if screen().is_terminal or piece.op == "same":
        return piece.text
    return f"[-{piece.text}-]" if piece.op == "removed" else f"{{+{piece.text}+}}"


def _told(value: Any) -> str:
    import json

    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
