"""`agentflow prompts experiment`: versions side by side, over runs that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import say, show_json, text
from agentflow.errors import PromptError

if TYPE_CHECKING:
    from agentflow.app.experiments import ExperimentOptions

Name = Annotated[str, typer.Argument(help="The prompt.", metavar="PROMPT")]


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared, and how."""

    versions: Annotated[str | None, typer.Option(help="The versions; the others are held to the first: 3,5.", metavar="LIST")] = None
    last: Annotated[int, typer.Option(help="How many of the last runs that held the prompt are repeated.", metavar="N")] = 20
    run: Annotated[list[str] | None, typer.Option("--run", help="A run that is repeated, instead of the last; more than once.")] = None
    scorers: Annotated[str, typer.Option(help="What is said of each: cost, latency, tokens, failed.")] = "cost,latency,failed"
    tools: Annotated[str, typer.Option(help="recorded: what is not a model answers as it did; live: all is DONE AGAIN.")] = "recorded"
    live: Annotated[list[str] | None, typer.Option("--live", help="A tool, step or task that may be called again; more than once.")] = None
    id: Annotated[str | None, typer.Option("--id", help="Its id: with that of one that was cut off, it goes on.", metavar="ID")] = None
    concurrency: Annotated[int, typer.Option(help="Runs side by side.", metavar="N")] = 4
    reason: Annotated[str, typer.Option(help="Why: everybody sees it in the events.", metavar="TEXT")] = ""
    by: Annotated[str | None, typer.Option(help="Who does it. [you]", metavar="NAME")] = None

    @property
    def options(self) -> ExperimentOptions:
        """As the app takes it."""
        from getpass import getuser

        versions = None if self.versions is None else [_number(one) for one in self.versions.split(",")]
        given: dict[str, Any] = {"id": self.id, "runs": self.run, "live": self.live, "versions": versions}
        plain = {name: getattr(self, name) for name in ("last", "tools", "concurrency", "reason")}
        known = {name: value for name, value in given.items() if value}
        return cast("ExperimentOptions", {**known, **plain, "scorers": self.scorers.split(","), "actor": self.by or getuser()})


def add_to(prompts: typer.Typer) -> None:
    """Add the command."""
    prompts.command("experiment")(unfolded(experiment))


def experiment(name: Name, as_json: Json = False, *, compared: Compared, connection: Connection) -> None:
    """Repeat runs that ended by several versions, and compare what comes of them. Workers must run. Models are asked anew, which costs."""
    report = ask(connection, lambda app: app.prompts.experiment(name, **compared.options))
    if as_json:
        show_json(report.json())
    else:
        say(text(str(report)))


def _number(given: str) -> int:
    number = given.strip().removeprefix("v")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise PromptError(f"{given!r} is no number of a version.", hint="Say --versions 3,5.")
    return int(number)
