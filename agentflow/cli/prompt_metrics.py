"""`agentflow prompts metrics` and `generations`: what the versions of a prompt did, and each model call of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import ago, say, show_json, table, text
from agentflow.records import dollars

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.measuring import GenerationPage
    from agentflow.storage.generations import GenerationRecord
    from agentflow.storage.measuring import Metrics

Name = Annotated[str, typer.Argument(help="The prompt.", metavar="PROMPT")]
Env = Annotated[str | None, typer.Option(help="Only of this environment. [all]", metavar="NAME", show_default=False)]
Since = Annotated[str, typer.Option(help="How far back, as 24h.", metavar="TIME")]


def add_to(prompts: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("metrics", metrics), ("generations", generations)):
        prompts.command(name)(unfolded(command))


def metrics(
    name: Name,
    by: Annotated[str, typer.Option(help="What is told apart: version or variant.", metavar="WHAT")] = "version",
    since: Since = "7d",
    env: Env = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Calls, errors, cost and times of each version, with how far these may be off (95 %)."""
    if by not in ("version", "variant"):
        raise typer.BadParameter("say version or variant", param_hint="--by")
    from agentflow.clock import microseconds

    back = microseconds(since)
    found = ask(connection, lambda app: app.prompts.metrics(name, env, since=app.clock.now() - back, group=by))
    if as_json:
        from agentflow.server.generations import metrics_view

        show_json([metrics_view(one) for one in found])
    elif not found:
        say(text(f"No model call by {name} in {since}.", "dim"))
    else:
        titles = (
            "version",
            "variant",
            ">calls",
            ">errors",
            "95 %",
            ">tokens",
            ">USD a call",
            "95 %",
            ">p50",
            ">p95",
            ">first token",
            ">p95",
        )
        say(table(titles, [_measured(one) for one in found]))


def generations(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="A version: 3, v3 or its hash.", metavar="VERSION", show_default=False)] = None,
    variant: Annotated[str | None, typer.Option(help="Only of this variant of a rollout.", metavar="NAME", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", metavar="N", min=1, max=500)] = 20,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """The model calls of a prompt, the newest first."""
    page, now = ask(connection, lambda app: _calls(app, name, version, variant, limit))
    if as_json:
        from agentflow.server.generations import generation_view

        show_json([generation_view(one) for one in page.generations])
    elif not page.generations:
        say(text(f"No model call by {name}.", "dim"))
    else:
        titles = ("version", "variant", "run", "step", "model", ">tokens", ">USD", ">took", ">first token", "ended", "when")
        say(table(titles, [_call(one, now) for one in page.generations]))


async def _calls(app: Agentflow, name: str, version: str | None, variant: str | None, limit: int) -> tuple[GenerationPage, int]:
    from agentflow.server.prompts import which

    number = None if version is None else (await app.prompts.version(name, which(version))).number
    return await app.prompts.generations(name, number, variant, limit=limit), app.clock.now()


def _measured(one: Metrics) -> tuple[Any, ...]:
    errors = "" if one.error_interval is None else f"{one.error_interval[0]:.1%}–{one.error_interval[1]:.1%}"
    cost = "" if one.cost_interval is None else "–".join(f"{limit / 1e9:.4g}" for limit in one.cost_interval)
    return (
        _version(one.version),
        one.variant or "",
        one.calls,
        text(str(one.errors), "red" if one.errors else ""),
        text(errors, "dim"),
        one.input + one.output,
        "" if one.cost_per_call is None else f"{one.cost_per_call / 1e9:.4g}",
        text(cost, "dim"),
        *(_seconds(took) for took in (one.latency_p50, one.latency_p95, one.first_token_p50, one.first_token_p95)),
    )


def _call(one: GenerationRecord, now: int) -> tuple[Any, ...]:
    used = "" if one.input is None and one.output is None else (one.input or 0) + (one.output or 0)
    cost = "" if one.cost is None else dollars(one.cost)
    ended = text(one.error or one.ended, "red" if one.error else "dim")
    took = (_seconds(one.duration), _seconds(one.first_token))
    return (
        _version(one.version),
        one.variant or "",
        one.run_id or "deleted",
        one.step,
        one.model or "",
        used,
        cost,
        *took,
        ended,
        ago(one.at, now),
    )


def _version(number: int | None) -> str:
    return "unregistered" if number is None else f"v{number}"


def _seconds(micros: int | None) -> str:
    return "" if micros is None else f"{micros / 1e6:.3g} s"
