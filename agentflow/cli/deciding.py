"""`agentflow approve` and `agentflow approvals decide`, `answer`, `cancel`, `reassign` and `remind`: what people say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agentflow.cli.asked import Id, find, title_of, view, who_decides
from agentflow.cli.opening import ask
from agentflow.cli.options import Connection, Json, unfolded
from agentflow.cli.screen import exit_code, say, show_json, text
from agentflow.errors import AgentflowError, WaitpointError

if TYPE_CHECKING:
    from agentflow.app import Agentflow
    from agentflow.app.waitpoints import Vote
    from agentflow.records import WaitpointRecord
    from agentflow.storage.deciding import Decided
    from agentflow.storage.policy import Voter

T = TypeVar("T")
By = Annotated[str | None, typer.Option(help="Who decides. [you]", metavar="NAME", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")]


@dataclass(frozen=True, slots=True)
class Saying:
    """How it is said."""

    by: By = None
    seen: Annotated[str | None, typer.Option(help="The digest of what you saw: of nothing else you decide.", metavar="DIGEST")] = None
    key: Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same answer.", metavar="KEY")] = None
    as_json: Json = False


@dataclass(frozen=True, slots=True)
class Deciding:
    """What goes along with a yes or a no."""

    reason: Reason = None
    edits: Annotated[str | None, typer.Option(help="The arguments to take instead: a JSON object, or @file.", metavar="JSON")] = None

    def answer(self, *, approved: bool) -> dict[str, Any]:
        """As it is sent."""
        from agentflow.cli.start import read_payload
        from agentflow.serde import loads

        answer: dict[str, Any] = {"approved": approved, "reason": self.reason}
        return answer if self.edits is None else {**answer, "edits": loads(read_payload(self.edits))}


def who(by: str | None) -> Voter:
    """Who decides at this terminal."""
    from agentflow.storage.policy import Voter

    return Voter(by or getuser(), via="cli")


class Choice(StrEnum):
    """Yes or no."""

    APPROVE = "approve"
    DENY = "deny"


def add_to(app: typer.Typer, approvals: typer.Typer) -> None:
    """Add the commands."""
    app.command("approve")(approve)
    for name, command in {"decide": decide, "answer": fill_in, "cancel": cancel, "reassign": reassign, "remind": remind}.items():
        approvals.command(name)(command)


@unfolded
def approve(
    id: Id,
    deny: Annotated[bool, typer.Option("--deny", help="Say no.")] = False,
    *,
    deciding: Deciding,
    saying: Saying,
    connection: Connection,
) -> None:
    """Answer an approval: yes, or no with --deny."""
    _vote(id, not deny, deciding, saying, connection)


@unfolded
def decide(
    id: Id,
    choice: Annotated[Choice, typer.Argument(help="Yes or no.")],
    *,
    deciding: Deciding,
    saying: Saying,
    connection: Connection,
) -> None:
    """Answer an approval.

    Exits with 3 when you may not decide, 4 when somebody was first, 5 when it is too late, 6 when it asks about something else than you
    saw (--seen), 7 when the edits do not fit.
    """
    _vote(id, choice is Choice.APPROVE, deciding, saying, connection)


def _vote(id: str, approved: bool, deciding: Deciding, saying: Saying, connection: Connection) -> None:
    word = text("approved", "green") if approved else text("denied", "red")
    _say(id, deciding.answer(approved=approved), word, saying, connection)


@unfolded
def fill_in(
    id: Id,
    value: Annotated[str, typer.Argument(help="The answer: JSON, or @file.", metavar="JSON")],
    *,
    saying: Saying,
    connection: Connection,
) -> None:
    """Fill in a form: answer what a run asks for with `ask()`. Exits as `decide` does."""
    from agentflow.cli.start import read_json

    _, answer = read_json(value, "answer", "Quote it for the shell.")
    _say(id, answer, text("answered", "green"), saying, connection)


def _say(id: str, answer: Any, word: Any, saying: Saying, connection: Connection) -> None:
    async def work(app: Agentflow, one: WaitpointRecord) -> Decided:
        return await app.waitpoints.decide(one.id, answer, by=who(saying.by), seen=saying.seen, idempotency_key=saying.key)

    one, done = _change(id, work, connection, as_json=saying.as_json)
    if saying.as_json:
        from agentflow.server.models import DecidedWaitpoint

        outcome = "resolved" if done.resolved else "recorded"
        shown = dict(view(done.waitpoint))
        return show_json(DecidedWaitpoint(**shown, outcome=outcome, need=done.need, have=done.have, grant=done.grant))
    if not done.resolved:
        word += text(f", {done.have} of {done.need}: more people are needed", "yellow")
    _done(word, one)


@unfolded
def cancel(
    id: Id,
    reason: Reason = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Something else took its place.")] = False,
    by: By = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Take a question back: its run goes on without an answer."""

    async def work(app: Agentflow, one: WaitpointRecord) -> WaitpointRecord:
        verb = app.waitpoints.supersede if superseded else app.waitpoints.cancel
        return await verb(one.id, by=who(by), reason=reason)

    one, ended = _change(id, work, connection, as_json=as_json)
    if as_json:
        return show_json(view(ended))
    _done(text("superseded" if superseded else "taken back", "yellow"), one)


@unfolded
def reassign(
    id: Id,
    user: Annotated[list[str] | None, typer.Option(help="Who may decide; once for each.", metavar="NAME")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group that may decide; once for each.", metavar="NAME")] = None,
    by: By = None,
    as_json: Json = False,
    *,
    connection: Connection,
) -> None:
    """Give a question to other people."""

    async def work(app: Agentflow, one: WaitpointRecord) -> WaitpointRecord:
        return await app.waitpoints.reassign(one.id, by=who(by), users=user or None, groups=group or None)

    one, given = _change(id, work, connection, as_json=as_json)
    if as_json:
        return show_json(view(given))
    say(text("✓ ") + text(title_of(one), "bold") + text(f"  for {who_decides(given)}", "dim"))


@unfolded
def remind(id: Id, by: By = None, as_json: Json = False, *, connection: Connection) -> None:
    """Tell all who were told of a question again, on the channels where they were."""
    from agentflow.serde import loads

    async def work(app: Agentflow, one: WaitpointRecord) -> WaitpointRecord:
        return await app.waitpoints.remind(one.id, by=by or getuser())

    one, reminded = _change(id, work, connection, as_json=as_json)
    if as_json:
        return show_json(view(reminded))
    where = ", ".join(loads(reminded.subject).get("notify") or ()) or "nobody: the question names no channel"
    say(text("✓ ") + text("reminded", "green") + text(f"  {title_of(one)}", "bold") + text(f"  {where}", "dim"))


def _done(word: Any, one: WaitpointRecord) -> None:
    say(text("✓ ") + word + text(f"  {title_of(one)}", "bold") + text(f"  {one.run_id or ''}", "dim"))


def _change(
    id: str, work: Callable[[Agentflow, WaitpointRecord], Awaitable[T]], connection: Connection, *, as_json: bool
) -> tuple[WaitpointRecord, T]:
    """The question as it was, and what became of it. What did not count is told with what to do next; as JSON, too."""

    async def change(app: Agentflow) -> tuple[WaitpointRecord, T]:
        one = await find(app, id)
        try:
            return one, await work(app, one)
        except WaitpointError as error:
            error.hint = _next(error, one)
            raise

    try:
        return ask(connection, change)
    except AgentflowError as error:
        if not as_json:
            raise
        show_json({"code": error.code, "message": error.message, "hint": error.hint, "details": error.details})
        raise typer.Exit(exit_code(error)) from None


def _next(error: WaitpointError, one: WaitpointRecord) -> str:
    show = f"`agentflow approvals show {one.id}`"
    match error.http_status:
        case 403:
            return f"It is for {who_decides(one)}: say who you are with --by NAME, or ask them."
        case 409 | 410:
            return f"Nothing was changed. {show} tells what became of it."
        case 412:
            return f"{show} tells what it asks about now, and its digest."
        case 422 if one.schema is not None:
            return f"{show} tells what it asks for. {error.hint}"
        case _:
            return error.hint


def vote_views(votes: Sequence[Vote]) -> list[Any]:
    """What people said, as HTTP shows it."""
    from agentflow.server.views import vote_view

    return [vote_view(one) for one in votes]
