"""What a click in Slack does, and a form that is sent there: it decides for whoever is known, and they are told what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.app import Agentflow, modal
from agentflow.app.outbox import question_of
from agentflow.app.waitpoints import Vote
from agentflow.channels.clicks import Click, Sent
from agentflow.channels.notice import ChannelError, Question
from agentflow.channels.slack import Slack
from agentflow.errors import AgentflowError, InvalidAnswer, StorageError, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.records import WaitpointRecord, WaitState
from agentflow.serde import dumps
from agentflow.storage import waitpoints
from agentflow.storage.deciding import Decided
from agentflow.storage.policy import Reach, Voter


@dataclass(frozen=True, slots=True)
class Answer:
    """What whoever clicked is told; `question` where the message shows something that is over."""

    text: str
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """What becomes of a form that was sent: `errors` at its fields, by name, for it to be mended; else `view` in its place."""

    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    view: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def clicked(app: Agentflow, slack: Slack, click: Click) -> Answer | None:
    """Do as the click says. Once this returns what it says is recorded; None where a form is open instead."""
    voter = await _voter(app, slack, click.user)
    if voter is None:
        return Answer(_unlinked(click.user, "your click"))
    try:
        return await (_opened(app, slack, click) if click.action == "edit" else _decided(app, click, voter))
    except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
        return Answer(str(error), question_of(await app.waitpoints.get(click.waitpoint)))
    except StorageError:
        return Answer("Nobody knows whether your click was recorded: click again, it counts once.")
    except AgentflowError as error:
        return Answer(f"Your click does not count: {error}")


async def sent(app: Agentflow, slack: Slack, form: Sent) -> Reaction:
    """Approve as the form says. Once this returns it is recorded, or told at the fields what is wrong."""
    voter = await _voter(app, slack, form.user)
    if voter is None:
        return Reaction(view=modal.notice(_unlinked(form.user, "it")))
    try:
        one = await app.waitpoints.get(form.waitpoint)
    except AgentflowError as error:
        return Reaction(view=modal.notice(f"It does not count: {error}"))
    try:
        return await _approved(app, one, form, voter)
    except InvalidAnswer as error:
        found = {problem["at"]: problem["problem"] for problem in error.details.get("problems", ())}
        return Reaction(errors=modal.errors(one, found, f"{error.message} {error.hint}"))
    except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
        return Reaction(view=modal.notice(str(error)))
    except StorageError:
        return Reaction(errors=modal.errors(one, {}, "Nobody knows whether it was recorded: send it again, it counts once."))
    except AgentflowError as error:
        return Reaction(view=modal.notice(f"It does not count: {error}"))


async def _approved(app: Agentflow, one: WaitpointRecord, form: Sent, voter: Voter) -> Reaction:
    if not question_of(one).can_edit:
        return Reaction(view=modal.notice("It does not count: nothing can be changed here."))
    value, problems = modal.said(one, form.values)
    if problems:
        return Reaction(errors=problems)
    done = await app.waitpoints.decide(one.id, value, by=voter, seen=form.seen, idempotency_key=form.key(dumps(value)))
    changes = modal.changed(one, value["edits"]) if "edits" in value else []
    return Reaction(view=modal.notice("\n".join((_done(done), *changes))))


async def _voter(app: Agentflow, slack: Slack, user: str) -> Voter | None:
    """Who that is; None for whom nobody here knows. What Slack says of somebody vouches for no group: only what is known here does."""
    actor = await app.people.actor(slack.name, user)
    return None if actor is None else Voter(actor, await app.people.groups(actor), "slack", Reach())


def _unlinked(user: str, what: str) -> str:
    told = f"Link your account: nobody here is known to be {user} in Slack, so {what} does not count."
    return f"{told} Whoever runs this app adds you to its people."


async def _decided(app: Agentflow, click: Click, voter: Voter) -> Answer:
    said = await app.waitpoints.votes(click.waitpoint)
    value = {"approved": click.action == "approve"}
    done = await app.waitpoints.decide(click.waitpoint, value, by=voter, idempotency_key=_key(click, voter.name, said))
    return Answer(_done(done), question_of(done.waitpoint) if done.resolved else None)


async def _opened(app: Agentflow, slack: Slack, click: Click) -> Answer | None:
    one = await app.waitpoints.get(click.waitpoint)
    if one.state is not WaitState.PENDING:
        raise waitpoints.refusal(one)
    form = modal.form(one) if question_of(one).can_edit else None
    if form is None:
        return Answer("Slack cannot show all that can be changed here: open the question, and change it there.")
    try:
        await slack.show(click, form)
    except ChannelError as error:
        return Answer(f"The form could not be opened: {error}")
    return None


def _done(done: Decided) -> str:
    if done.resolved:
        return f"{question_of(done.waitpoint).state.capitalize()}. Thank you."
    return f"Recorded: {done.have} of {done.need}."


def _key(click: Click, actor: str, said: Sequence[Vote]) -> str:
    """That of the click, which is another one after they have said the opposite, or the question was given to others."""
    other = {"approve": "deny", "deny": "approve"}[click.action]
    turns = sum(vote.counted and (vote.choice == "reassign" or (vote.actor, vote.choice) == (actor, other)) for vote in said)
    return f"{click.key}:{turns}" if turns else click.key


async def answered(slack: Slack, click: Click, answer: Answer) -> None:
    """Tell whoever clicked."""
    await slack.reply(click, answer.text)
    if answer.question is not None:
        await slack.reply(click, answer.text, answer.question)
