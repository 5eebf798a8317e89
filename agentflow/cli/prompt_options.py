"""What commands of prompts take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from agentflow.errors import PromptError

Name = Annotated[str, typer.Argument(help="The prompt.", metavar="PROMPT")]
Which = Annotated[str, typer.Argument(help="A version: 3, v3 or its hash.", metavar="VERSION")]
Env = Annotated[str | None, typer.Option(help="The environment. [AGENTFLOW_ENVIRONMENT, else prod]", metavar="NAME", show_default=False)]


@dataclass(frozen=True, slots=True)
class Said:
    """Who does it, and why."""

    reason: Annotated[str, typer.Option(help="Why: everybody sees it in the events.", metavar="TEXT")] = ""
    by: Annotated[str | None, typer.Option(help="Who does it. [you]", metavar="NAME")] = None

    @property
    def options(self) -> dict[str, str]:
        """As the app takes it."""
        from getpass import getuser

        return {"reason": self.reason, "actor": self.by or getuser()}


def which(given: str) -> int | str:
    """A version as people say it. Raises `PromptError`."""
    number = given.removeprefix("v")
    if number.isascii() and number.isdigit():
        return int(number)
    if given.startswith("sha256:"):
        return given
    raise PromptError(f"{given!r} names no version.", hint="Say 3, v3 or sha256:….")
