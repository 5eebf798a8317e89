"""`agentflow prompts push`, `pull`, `lint` and `check`: prompts as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import NoInstallation, ask
from agentflow.cli.options import Connection, unfolded
from agentflow.cli.screen import say, text
from agentflow.errors import AgentflowError, ContractError, PromptNotFound

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.prompts.body import Body
    from agentflow.prompts.files import PromptFile
    from agentflow.prompts.lint import Finding

Folder = Annotated[Path, typer.Argument(help="A folder of .prompt.md files.", metavar="FOLDER")]
Paths = Annotated[list[Path], typer.Argument(help="Files, or folders of .prompt.md files.", metavar="PATH")]
Env = Annotated[str | None, typer.Option(help="The environment. [AGENTFLOW_ENVIRONMENT, else prod]", metavar="NAME", show_default=False)]


@dataclass(frozen=True, slots=True)
class Saving:
    """How versions are kept."""

    note: Annotated[str, typer.Option(help="What is new.", metavar="TEXT")] = ""
    by: Annotated[str | None, typer.Option(help="Who keeps it. [you]", metavar="NAME")] = None

    @property
    def actor(self) -> str:
        """Who keeps it."""
        from getpass import getuser

        return self.by or getuser()


@dataclass(frozen=True, slots=True)
class Draft:
    """A body that is to be kept."""

    name: str
    body: Body
    note: str
    contract: dict[str, Any]
    source: str


def add_to(prompts: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("push", push), ("pull", pull), ("lint", look), ("check", check)):
        prompts.command(name)(unfolded(command))


def push(paths: Paths, *, saving: Saving, connection: Connection) -> None:
    """Keep what files say as versions. What is there already is not kept again, and nothing is released."""
    from agentflow.prompts.contract import implied

    drafts = [Draft(one.name, one.body, saving.note, dict(one.variables or implied(one.body)), "api") for one in _read(paths)]
    say_kept(drafts, ask(connection, lambda app: keep(app, drafts, saving.actor)))


def pull(folder: Folder, env: Env = None, *, connection: Connection) -> None:
    """Write what is live to files, one for each prompt."""
    found = ask(connection, lambda app: _live(app, env))
    for path in written(folder, found):
        say(text("✓ ", "green") + text(str(path)))


def look(paths: Paths, strict: Annotated[bool, typer.Option("--strict", help="Fail for anything there is to look at.")] = False) -> None:
    """What is to be looked at in files: variables nobody uses, secrets, models nobody knows, what defeats caching."""
    from agentflow.prompts.lint import lint

    found = [(one.name, finding) for one in _read(paths) for finding in lint(one.body, one.variables)]
    _say_found(found)
    if any(strict or finding.wrong for _, finding in found):
        raise typer.Exit(1)


def check(
    app: Annotated[str, typer.Argument(help="The code that is to be deployed: app.py, shop.app.", metavar="APP")],
    env: Env = None,
    *,
    connection: Connection,
) -> None:
    """Before a deploy: look at the prompts of the code, and whether it can fill what is live. Fails where it cannot."""
    from agentflow.cli.loading import load
    from agentflow.prompts.body import Body
    from agentflow.prompts.lint import lint
    from agentflow.prompts.registry import known
    from agentflow.serde import loads

    loaded = load(app)
    coded = {name: one.own for name, one in sorted(known.items())}
    trusting = {name for name, one in known.items() if one.trusting}
    bodies = {name: (Body.from_json(own.body), loads(own.contract)) for name, own in coded.items()}
    found = [(name, one) for name, (body, schema) in bodies.items() for one in lint(body, schema, trusting=name in trusting)]
    _say_found(found)
    try:
        wrong = ask(connection, lambda opened: _unfit(opened, env, {name: schema for name, (_, schema) in bodies.items()}, trusting))
    except NoInstallation:
        wrong = []
        say(text("There is no installation here: only the code was looked at.", "dim"))
    for told in wrong:
        say(text("✗ ", "red") + text(told))
    if wrong or any(one.wrong for _, one in found):
        raise typer.Exit(1)
    say(text("✓ ", "green") + text(f"Prompts of {loaded.target}: {', '.join(coded) or 'none'}"))


def _read(paths: Sequence[Path]) -> Iterator[PromptFile]:
    from agentflow.prompts import files

    for path in paths:
        if path.is_dir():
            yield from files.folder(path)
        else:
            yield files.read(path)


async def keep(app: Agentflow, drafts: Sequence[Draft], actor: str) -> list[tuple[int, bool]]:
    """Keep drafts: the number of each, and whether it is new. The first that cannot be kept is raised with its name."""
    kept: list[tuple[int, bool]] = []
    for one in drafts:
        try:
            try:
                before = (await app.prompts.get(one.name)).versions
                version = await app.prompts.save(one.name, one.body, actor=actor, note=one.note, source=one.source)
            except PromptNotFound:
                before = 0
                version = await app.prompts.create(one.name, one.body, one.contract, actor=actor, source=one.source)
        except AgentflowError as error:
            error.message = f"{one.name}: {error.message}"
            raise
        kept.append((version.number, version.number > before))
    return kept


async def _live(app: Agentflow, env: str | None) -> list[tuple[str, PromptFile]]:
    from agentflow.server.prompt_archive import living

    return (await living(app, env))[0]


async def _unfit(app: Agentflow, env: str | None, contracts: dict[str, Any], trusting: set[str]) -> list[str]:
    """What is live and cannot be filled by these contracts."""
    from agentflow.prompts import contract
    from agentflow.prompts.body import Body

    wrong: list[str] = []
    snapshot = await app.prompts.snapshot(env)
    held = {one.prompt for one in snapshot.bindings if one.mode != "code"}
    for version in snapshot.versions:
        if version.prompt not in contracts or version.prompt not in held:
            continue
        try:
            contract.check(Body.from_json(version.body), contracts[version.prompt], trusting=version.prompt in trusting)
        except ContractError as error:
            wrong.append(f"v{version.number} of {version.prompt} is live, and this code cannot fill it: {error.message}")
    return wrong


def written(folder: Path, found: Sequence[tuple[str, PromptFile]]) -> Iterator[Path]:
    """Write prompts into a folder, each at its path."""
    from agentflow.prompts import files

    for place, one in found:
        path = files.path_of(folder, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.write(one).encode("utf-8", "surrogatepass"))
        yield path


def say_kept(drafts: Sequence[Draft], kept: Sequence[tuple[int, bool]]) -> None:
    """Say which drafts are versions now, and which were."""
    for draft, (number, new) in zip(drafts, kept, strict=True):
        style = "green" if new else "dim"
        say(
            text("✓ " if new else "· ", style)
            + text(f"{draft.name} ", "bold")
            + text(f"v{number}", style)
            + text("" if new else " is there", "dim")
        )


def _say_found(found: Sequence[tuple[str, Finding]]) -> None:
    for name, finding in found:
        say(text("✗ " if finding.wrong else "! ", "red" if finding.wrong else "yellow") + text(f"{name}: ", "bold") + text(str(finding)))
