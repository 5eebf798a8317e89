"""`agentflow prompts release`, `rollout`, `rollback`, `follow-code` and `protect`: what is live is moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, unfolded
from agentflow.cli.prompt_options import Env, Name, Which, which
from agentflow.cli.screen import say, text
from agentflow.errors import PromptError, ReleaseRequested

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.rolling import MoveOptions, Terms
    from agentflow.storage.bindings import BindingRecord
    from agentflow.storage.requests import RequestRecord
    from agentflow.storage.rollouts import Guard, Metric, Sticky

ASKED = 8
"""The exit code where a move was asked for, and nothing was moved."""
Wait = Annotated[bool, typer.Option("--wait", help="Where others must agree, wait until they have.")]


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


@dataclass(frozen=True, slots=True)
class Rolling:
    """How versions hold beside their weights."""

    sticky: Annotated[str, typer.Option(help="What keeps its version: run, thread or key.", metavar="WHAT")] = "run"
    baseline: Annotated[str | None, typer.Option(help="The version of all others.", metavar="VERSION", show_default=False)] = None
    ramp: Annotated[
        list[str] | None,
        typer.Option(help="0h=0.05, then 1d=1: what all but the baseline have from then on.", metavar="TIME=SHARE", show_default=False),
    ] = None
    when: Annotated[
        list[str] | None,
        typer.Option(
            help="Who takes part: tag=beta, task, key, thread, or a variable: plan=pro.", metavar="WHAT=VALUE", show_default=False
        ),
    ] = None
    guard: Annotated[
        list[str] | None,
        typer.Option(
            help="Give all to the baseline when error_rate, cost, latency or first_token is up by more.",
            metavar="METRIC=INCREASE[:CALLS[:pause|rollback]]",
            show_default=False,
        ),
    ] = None

    @property
    def terms(self) -> Terms:
        """As the app takes it."""
        from agentflow.app.rolling import Terms

        number = None if self.baseline is None else which(self.baseline)
        if isinstance(number, str):
            raise PromptError("The baseline is named by its number.", hint="Say --baseline 3.")
        return Terms(
            sticky=cast("Sticky", self.sticky),
            baseline=number,
            ramp=[(after, _number(share, "share")) for after, share in map(_halves, self.ramp or ())],
            conditions=_conditions(self.when or ()),
            guard=[_guard(one) for one in self.guard or ()],
        )


def _conditions(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, value in map(_halves, given):
        into = found if what in ("task", "tag", "key", "thread") else found.setdefault("variables", {})
        into.setdefault(f"{what}s" if into is found else what, []).append(value)
    return found


def _guard(given: str) -> Guard:
    from agentflow.storage.rollouts import Guard

    metric, said = _halves(given)
    increase, _, rest = said.partition(":")
    calls, _, act = rest.partition(":")
    least = int(_number(calls or "200", "number of calls"))
    return Guard(cast("Metric", metric), _number(increase, "increase"), least, cast("Any", act or "pause"))


def _halves(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not (name and sign and value):
        raise PromptError(f"{given!r} is not understood.", hint="Say what it is, and its value: tag=beta.")
    return name, value


def _number(given: str, what: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise PromptError(f"{given!r} is no {what}.", hint="Give a number.") from None


def add_to(prompts: typer.Typer) -> None:
    """Add the commands."""
    named = (("release", release), ("follow-code", follow_code), ("rollback", rollback), ("rollout", rollout), ("protect", protect))
    for name, command in named:
        prompts.command(name)(unfolded(command))


def release(
    name: Name,
    version: Which,
    expires: Annotated[str | None, typer.Option(help="Until then, as 3d; after it the code's version is live.", metavar="TIME")] = None,
    wait: Wait = False,
    *,
    moved: Moved,
    connection: Connection,
) -> None:
    """Have a version hold, whatever is deployed. Runs that hold another go on with it."""
    to = which(version)
    _move(connection, wait, lambda app: app.prompts.release(name, to=to, expires=expires, **moved.options))


def follow_code(name: Name, wait: Wait = False, *, moved: Moved, connection: Connection) -> None:
    """Have the version hold that the deployed code has."""
    _move(connection, wait, lambda app: app.prompts.follow_code(name, **moved.options))


def rollback(name: Name, *, moved: Moved, connection: Connection) -> None:
    """Have hold what held before the last release; again, what held before that."""
    _say_moved(ask(connection, lambda app: app.prompts.rollback(name, **moved.options)))


def rollout(
    name: Name,
    weights: Annotated[list[str], typer.Argument(help="Versions and their weights: 3=0.9 5=0.1.", metavar="VERSION=WEIGHT")],
    wait: Wait = False,
    *,
    rolling: Rolling,
    moved: Moved,
    connection: Connection,
) -> None:
    """Have several versions hold side by side."""
    shares, terms = dict(_weight(one) for one in weights), rolling.terms
    _move(connection, wait, lambda app: app.prompts.rollout(name, weights=shares, **terms, **moved.options))


def protect(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="Let everybody move it again; with --protected.")] = False,
    *,
    moved: Moved,
    connection: Connection,
) -> None:
    """Let only those move what is live who say --protected."""
    _say_moved(ask(connection, lambda app: app.prompts.protect(name, protected=not off, **moved.options)))


def _weight(given: str) -> tuple[int, float]:
    version, _, weight = given.partition("=")
    try:
        return int(version.removeprefix("v")), float(weight)
    except ValueError:
        raise PromptError(f"{given!r} is no weight of a version.", hint="Say 3=0.9 5=0.1.") from None


def live(one: BindingRecord) -> Any:
    """What holds."""
    if one.mode == "rollout":
        return text(" ".join(f"v{number}={weight:g}" for number, weight in sorted(one.weights.items())), "yellow")
    return text(f"v{one.number} ", "bold") + text(one.mode, "dim")


def flags(one: BindingRecord) -> Any:
    """What else there is to know of it."""
    told = [f"code has v{one.code}"] if one.ahead else []
    return text(", ".join([*told, *(["protected"] if one.protected else [])]), "yellow")


async def _moved(app: Agentflow, move: Callable[[Agentflow], Awaitable[BindingRecord]], *, wait: bool) -> BindingRecord:
    try:
        return await move(app)
    except ReleaseRequested as asked:
        if not wait:
            raise
        await app.runs.ended(asked.details["run"], None)
        one = await app.prompts.requests.get(asked.details["request"])
        if one.state != "released":
            say(text("✗ ", "red") + text(f"{one.prompt} in {one.env}: {one.state}", "red") + text(f"  {why(one)}", "dim"))
            raise typer.Exit(1) from None
        return next(each for each in (await app.prompts.get(one.prompt)).bindings if (each.env, each.label) == (one.env, one.label))


def why(one: RequestRecord) -> str:
    """Who agreed to a request, or why it came to nothing."""
    told = one.outcome
    return ", ".join(told["people"]) if told.get("people") else ": ".join(str(told[name]) for name in ("by", "why") if told.get(name))


def _move(connection: Connection, wait: bool, move: Callable[[Agentflow], Awaitable[BindingRecord]]) -> None:
    try:
        _say_moved(ask(connection, lambda app: _moved(app, move, wait=wait)))
    except ReleaseRequested as asked:
        target = asked.details["waitpoint"] or asked.details["run"]
        say(text("… ", "yellow") + text(f"asked for: {target}", "bold"), text(f"  {asked.message}"))
        raise typer.Exit(ASKED) from None


def _say_moved(one: BindingRecord) -> None:
    told = text("  ") + flags(one) if one.protected else text("")
    say(text("✓ ", "green") + text(f"{one.prompt} ", "bold") + live(one) + text(f"  in {one.env}, rev {one.rev}", "dim") + told)
