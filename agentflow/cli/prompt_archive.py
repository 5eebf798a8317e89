"""`agentflow prompts export`, `import` and `delete`: what is taken elsewhere, what comes from there, and what is thrown away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask, run
from agentflow.cli.options import Connection, Remote, unfolded
from agentflow.cli.prompt_files import Draft, Saving, keep, say_kept, written
from agentflow.cli.prompt_options import Env, Name, Said, Which, which
from agentflow.cli.screen import say, text
from agentflow.errors import PromptError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.prompts.archive import Archive
    from agentflow.prompts.body import Body
    from agentflow.prompts.importing import Import
    from agentflow.storage.prompts import VersionRecord

_TAR = ".tar"


def add_to(prompts: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("export", export), ("import", take), ("delete", delete)):
        prompts.command(name)(unfolded(command))


def export(
    target: Annotated[Path, typer.Argument(help="A folder, or a file that ends with .tar.", metavar="FOLDER|FILE.tar")],
    live: Annotated[bool, typer.Option("--live", help="Only what is live.")] = False,
    env: Env = None,
    *,
    remote: Remote,
    connection: Connection,
) -> None:
    """Write all there is: each version as a file, and what is live where and how it came about as JSON. With --url from a server."""
    packed = _packed(remote, connection, live=live, env=env)
    if target.suffix == _TAR:
        target.write_bytes(packed)
        say(text("✓ ", "green") + text(str(target)))
        return
    from agentflow.prompts.archive import REGISTRY, unpack

    archive = unpack(packed)
    for _ in written(target, archive.found):
        pass
    (target / REGISTRY).write_text(archive.text, encoding="utf-8")
    say(text("✓ ", "green") + text(f"{len(archive.found)} versions in {target}"))


def take(
    file: Annotated[
        Path, typer.Argument(help="What `prompts export` wrote, or what Langfuse or Trigger.dev exported as JSON.", metavar="FILE|FOLDER")
    ],
    name: Annotated[str | None, typer.Option(help="The prompt, where a JSON export does not say it.", metavar="PROMPT")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Release here what was released there.")] = False,
    *,
    saving: Saving,
    remote: Remote,
    connection: Connection,
) -> None:
    """Keep the versions of an export: of ours, of Langfuse, or of Trigger.dev. What is there is not kept again, and nothing is released."""
    if file.is_dir() or file.suffix == _TAR:
        _say_brought(_bring(file, saving.actor, remote, connection, labels=labels))
        return
    from agentflow.prompts.importing import read

    try:
        found = read(file.read_text(encoding="utf-8"), name=name)
    except OSError as error:
        raise PromptError(f"{file} cannot be read: {error.strerror}.", hint="Give the file that was exported.") from None
    drafts = _drafts(found)
    say_kept(drafts, ask(connection, lambda app: keep(app, drafts, saving.actor)))
    for one in found.versions:
        for note in one.notes:
            say(text(f"  {one.name}: {note}", "dim"))
    for one in found.refused:
        say(text("✗ ", "red") + text(f"{one.name} {one.number or ''}: {one.reason}"))
    if found.refused:
        raise typer.Exit(1)


def delete(name: Name, version: Which, *, said: Said, connection: Connection) -> None:
    """Delete a version that nobody needs. Its number is never used again."""
    one = ask(connection, lambda app: _deleted(app, name, which(version), said.options))
    say(text("✓ ", "green") + text(f"v{one.number} of {name} is deleted."))


async def _deleted(app: Agentflow, name: str, which: int | str, said: dict[str, Any]) -> VersionRecord:
    number = which if isinstance(which, int) else (await app.prompts.version(name, which)).number
    return await app.prompts.delete_version(name, number, **said)


def _packed(remote: Remote, connection: Connection, *, live: bool, env: str | None) -> bytes:
    from agentflow.settings import find_settings

    settings = find_settings(remote.given())
    if settings.url is not None:
        return run(_fetched(settings.url, settings.api_key, live=live, env=env))
    return ask(connection, lambda app: _collected(app, live=live, env=env))


async def _fetched(url: str, key: str | None, *, live: bool, env: str | None) -> bytes:
    from agentflow.client import Client

    async with Client(url, key) as client:
        return await client.prompts.export(live=live, env=env)


async def _collected(app: Agentflow, *, live: bool, env: str | None) -> bytes:
    from agentflow.prompts.archive import pack
    from agentflow.server.prompt_archive import everything, living

    return pack(*await (living(app, env) if live else everything(app)))


def _bring(path: Path, actor: str, remote: Remote, connection: Connection, *, labels: bool) -> dict[str, Any]:
    from agentflow.prompts.archive import pack, unpack
    from agentflow.settings import find_settings

    try:
        packed = pack(*_folder(path)) if path.is_dir() else path.read_bytes()
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror}.", hint="Give what `agentflow prompts export` wrote.") from None
    settings, archive = find_settings(remote.given()), unpack(packed)
    if settings.url is not None:
        return run(_sent(settings.url, settings.api_key, packed, actor, labels=labels))
    return ask(connection, lambda app: _brought(app, archive, actor, labels=labels))


def _folder(path: Path) -> tuple[list[tuple[str, Any]], str]:
    from agentflow.prompts import files
    from agentflow.prompts.archive import REGISTRY

    found = [
        (one.relative_to(path).as_posix().removesuffix(files.SUFFIX), files.read(one)) for one in sorted(path.rglob(f"*{files.SUFFIX}"))
    ]
    told = path / REGISTRY
    return found, told.read_text(encoding="utf-8") if told.exists() else "{}"


async def _sent(url: str, key: str | None, packed: bytes, actor: str, *, labels: bool) -> dict[str, Any]:
    from agentflow.client import Client

    async with Client(url, key) as client:
        return await client.prompts.bring(packed, by=actor, labels=labels)


async def _brought(app: Agentflow, archive: Archive, actor: str, *, labels: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from agentflow.app.archiving import bind, bring

    brought = await bring(app.prompts, archive, actor=actor)
    said, now = {"actor": actor, "reason": "imported"}, app.clock.now()
    moved = await bind(app.prompts, archive, brought, said, now) if labels else 0
    return {"versions": [asdict(one) for one in brought], "moved": moved}


def _say_brought(told: dict[str, Any]) -> None:
    versions: list[dict[str, Any]] = told["versions"]
    for one in versions:
        if one["refused"] is not None:
            say(text("✗ ", "red") + text(f"{one['prompt']} {one['there'] or ''}: {one['refused']}"))
        elif one["new"]:
            say(text("✓ ", "green") + text(f"{one['prompt']} ", "bold") + text(f"v{one['number']}"))
    there = sum(not one["new"] and one["refused"] is None for one in versions)
    say(text(f"{there} of {len(versions)} versions were there. {told['moved']} releases were made.", "dim"))
    if any(one["refused"] is not None for one in versions):
        raise typer.Exit(1)


def _drafts(found: Import) -> list[Draft]:
    from agentflow.prompts.contract import implied

    bodies: dict[str, list[Body]] = {}
    for one in found.versions:
        bodies.setdefault(one.name, []).append(one.body)
    return [
        Draft(one.name, one.body, one.note or f"{found.origin} {one.number or ''}".strip(), implied(*bodies[one.name]), "import")
        for one in found.versions
    ]
