"""`agentflow prompts …`: what is there, what is live, and releases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli import experiments, prompt_archive, prompt_files, prompt_metrics
from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.prompt_options import Env, Name, Said, Which, which
from agentflow.cli.screen import ago, say, show_json, table, text
from agentflow.errors import PromptError
from agentflow.records import dollars

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.prompts import MoveOptions, PromptRecord
    from agentflow.prompts.diff import Difference, Piece, TextChange
    from agentflow.storage.bindings import BindingRecord
    from agentflow.storage.holders import HolderRecord
    from agentflow.storage.measuring import Lately
    from agentflow.storage.prompts import VersionRecord

prompts = typer.Typer(no_args_is_help=True, help="Versions of prompts, and which of them is live.")
_STYLES = {"same": "", "removed": "red strike", "added": "green"}
_SIGNS = {"same": "  ", "changed": "~ ", "removed": "- ", "added": "+ "}


@dataclass(frozen=True, slots=True)
class Moved:
    """How a binding is moved."""

    env: Env = None
    label: Annotated[str, typer.Option(help="The label.", metavar="NAME")] = "live"
    reason: Annotated[str, typer.Option(help="Why: everybody sees it in the events.", metavar="TEXT")] = ""
    by: Annotated[str | None, typer.Option(help="Who does it. [you]", metavar="NAME")] = None
    expect_rev: Annotated[int | None, typer.Option(help="Only if nobody moved it since.", metavar="REV")] = None
    protected: Annotated[bool, typer.Option("--protected", help="Also where it is protected.")] = False

    @property
    def options(self) -> MoveOptions:
        """As the app takes it."""
        from getpass import getuser

        return {
            "env": self.env,
            "label": self.label,
            "reason": self.reason,
            "actor": self.by or getuser(),
            "expect_rev": self.expect_rev,
            "allowed": self.protected,
        }


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    prompt_files.add_to(prompts)
    experiments.add_to(prompts)
    prompt_metrics.add_to(prompts)
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
    bindings = [(each.env, each.label, _live(each), f"rev {each.rev}", ago(each.updated_at, now), _flags(each)) for each in one.bindings]
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


@prompts.command("release")
@unfolded
def release(
    name: Name,
    version: Which,
    expires: Annotated[str | None, typer.Option(help="Until then, as 3d; after it the code's version is live.", metavar="TIME")] = None,
    *,
    moved: Moved,
    connection: Connection,
) -> None:
    """Have a version hold, whatever is deployed. Runs that hold another go on with it."""
    to = which(version)
    _say_moved(ask(connection, lambda app: app.prompts.release(name, to=to, expires=expires, **moved.options)))


@prompts.command("follow-code")
@unfolded
def follow_code(name: Name, *, moved: Moved, connection: Connection) -> None:
    """Have the version hold that the deployed code has."""
    _say_moved(ask(connection, lambda app: app.prompts.follow_code(name, **moved.options)))


@prompts.command("rollback")
@unfolded
def rollback(name: Name, *, moved: Moved, connection: Connection) -> None:
    """Have hold what held before the last release; again, what held before that."""
    _say_moved(ask(connection, lambda app: app.prompts.rollback(name, **moved.options)))


@prompts.command("rollout")
@unfolded
def rollout(
    name: Name,
    weights: Annotated[list[str], typer.Argument(help="Versions and their weights: 3=0.9 5=0.1.", metavar="VERSION=WEIGHT")],
    sticky: Annotated[str, typer.Option(help="What keeps its version: run, thread or key.", metavar="WHAT")] = "run",
    *,
    moved: Moved,
    connection: Connection,
) -> None:
    """Have several versions hold side by side."""
    shares = dict(_weight(one) for one in weights)
    _say_moved(ask(connection, lambda app: app.prompts.rollout(name, weights=shares, sticky=sticky, **moved.options)))


@prompts.command("protect")
@unfolded
def protect(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="Let everybody move it again; with --protected.")] = False,
    *,
    moved: Moved,
    connection: Connection,
) -> None:
    """Let only those move what is live who say --protected."""
    _say_moved(ask(connection, lambda app: app.prompts.protect(name, protected=not off, **moved.options)))


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


def _weight(given: str) -> tuple[int, float]:
    version, _, weight = given.partition("=")
    try:
        return int(version.removeprefix("v")), float(weight)
    except ValueError:
        raise PromptError(f"{given!r} is no weight of a version.", hint="Say 3=0.9 5=0.1.") from None


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
    live = text("nothing", "dim") if one.live is None else _live(one.live)
    moved = "" if one.live is None else ago(one.live.updated_at, now)
    did = ("", "", "") if day is None else (day.calls, day.errors, dollars(day.cost) if day.priced else "")
    return one.name, one.versions, live, moved, "" if one.live is None else _flags(one.live), *did, text(one.description, "dim")


def _live(one: BindingRecord) -> Any:
    if one.mode == "rollout":
        return text(" ".join(f"v{number}={weight:g}" for number, weight in sorted(one.weights.items())), "yellow")
    return text(f"v{one.number} ", "bold") + text(one.mode, "dim")


def _flags(one: BindingRecord) -> Any:
    told = [f"code has v{one.code}"] if one.ahead else []
    return text(", ".join([*told, *(["protected"] if one.protected else [])]), "yellow")


def _noted(one: VersionRecord) -> Any:
    return text(f"revoked: {one.revoke_policy}", "red") if one.revoked_at is not None else text(one.note, "dim")


def _say_moved(one: BindingRecord) -> None:
    flags = text("  ") + _flags(one) if one.protected else text("")
    say(text("✓ ", "green") + text(f"{one.prompt} ", "bold") + _live(one) + text(f"  in {one.env}, rev {one.rev}", "dim") + flags)


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
