"""`agentflow prompts policy` and `requests`: what has to be before a prompt is moved, and what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.prompt_moves import why
from agentflow.cli.prompt_options import Env
from agentflow.cli.screen import ago, say, show_json, table, text

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.storage.policies import PolicyRecord
    from agentflow.storage.requests import RequestRecord

_COLOURS = {"asked": "yellow", "released": "green", "denied": "red", "conflict": "red"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to be from now on. With none of it nothing is changed."""

    people: Annotated[int | None, typer.Option(help="How many others must say yes.", metavar="N", show_default=False)] = None
    group: Annotated[list[str] | None, typer.Option(help="Of whom; may be given again.", metavar="GROUP", show_default=False)] = None
    user: Annotated[list[str] | None, typer.Option(help="Of whom; may be given again.", metavar="NAME", show_default=False)] = None
    gate: Annotated[str | None, typer.Option(help="The task that evaluates versions.", metavar="TASK", show_default=False)] = None
    notify: Annotated[list[str] | None, typer.Option(help="Where people are told, as slack:#ops.", metavar="TO", show_default=False)] = None
    expires: Annotated[str | None, typer.Option(help="Silence is a no then, as 3d.", metavar="TIME", show_default=False)] = None
    off: Annotated[bool, typer.Option("--off", help="Nothing has to be: everybody moves it.")] = False
    reason: Annotated[str, typer.Option(help="Why: everybody sees it in the events.", metavar="TEXT")] = ""
    by: Annotated[str | None, typer.Option(help="Who sets it. [you]", metavar="NAME")] = None

    @property
    def options(self) -> dict[str, Any] | None:
        """As the app takes it; None to look only."""
        from getpass import getuser

        if not (self.off or self.people is not None or self.gate is not None):
            return None
        said = {} if self.off else {"people": self.people or 0, "gate": self.gate, "expires": self.expires}
        who = {"users": self.user or [], "groups": self.group or [], "notify": self.notify or []}
        return {**said, **({} if self.off else who), "reason": self.reason, "actor": self.by or getuser()}


def add_to(prompts: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("policy", policy), ("requests", requests)):
        prompts.command(name)(unfolded(command))


def policy(
    name: Annotated[str, typer.Argument(help="The prompt; * for all that have none of their own.", metavar="PROMPT")] = "*",
    env: Env = None,
    as_json: Json = False,
    *,
    rule: Rule,
    connection: Connection,
) -> None:
    """What has to be before a prompt is moved; with --people, --gate or --off, what has to be from now on."""
    options = rule.options
    found = ask(connection, lambda app: _policies(app, name, env, options))
    if as_json:
        from agentflow.server.governing import policy_view

        show_json([policy_view(one) for one in found])
    elif not found:
        say(text("Everybody who may release moves it.", "dim"))
    else:
        rows = [(one.prompt, one.env, one.people or "", _who(one), one.gate or "", one.actor) for one in found]
        say(table(("prompt", "environment", ">people", "of", "evaluation", "set by"), rows))


def requests(
    name: Annotated[str, typer.Argument(help="The prompt.", metavar="PROMPT")],
    env: Env = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """What was asked for of a prompt, and what became of it."""
    found, now = ask(connection, lambda app: _requests(app, name, env))
    if as_json:
        from agentflow.server.governing import request_view

        show_json([request_view(one) for one in found])
    elif not found:
        say(text(f"Nobody asked for a move of {name}.", "dim"))
    else:
        say(table(("request", "", "what", "environment", "by", "asked", "run", ""), [_row(one, now) for one in found]))


async def _policies(app: Agentflow, name: str, env: str | None, options: dict[str, Any] | None) -> list[PolicyRecord]:
    if options is not None:
        return [await app.prompts.policies.set(name, env=env, **options)]
    if name == "*":
        return await app.prompts.policies.list()
    found = await app.prompts.policies.of(name, env)
    return [] if found is None else [found]


async def _requests(app: Agentflow, name: str, env: str | None) -> tuple[Sequence[RequestRecord], int]:
    await app.prompts.get(name)
    return await app.prompts.requests.of(name, env), app.clock.now()


def _who(one: PolicyRecord) -> str:
    return ", ".join([*one.who.get("users", ()), *(f"the group {name}" for name in one.who.get("groups", ()))]) or "anybody"


def _row(one: RequestRecord, now: int) -> tuple[Any, ...]:
    what = ", ".join(f"v{number}" for number in one.target.numbers) or one.target.mode
    told = text(why(one), "dim")
    return one.id, text(one.state, _COLOURS[one.state]), what, one.env, one.actor, ago(one.at, now), one.run_id, told
