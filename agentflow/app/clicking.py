"""What a click in Slack does: it decides for whoever is known to have clicked, and they are told what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentflow.app import Agentflow
from agentflow.app.outbox import question_of
from agentflow.app.waitpoints import Vote
from agentflow.channels.notice import Question
from agentflow.channels.slack import Click, Slack
from agentflow.errors import AgentflowError, StorageError, WaitpointAlreadyAnswered, WaitpointTimedOut
from agentflow.storage.policy import Voter


@dataclass(frozen=True, slots=True)
class Answer:
    """What whoever clicked is told; `question` where the message shows something that is over."""

    text: str
    question: Question | None = None


async def clicked(app: Agentflow, slack: Slack, click: Click) -> Answer:
    """Decide as the click says. Once this returns what it says is recorded."""
    actor = await app.people.actor(slack.name, click.user)
    if actor is None:
        return Answer(
            f"Link your account: nobody here is known to be {click.user} in Slack, so your click does not count. "
            "Whoever runs this app adds you to its people."
        )
    # What Slack says of somebody vouches for no group: only what is known here does.
    voter = Voter(actor, await app.people.groups(actor), "slack")
    value = {"approved": click.action == "approve"}
    try:
        said = await app.waitpoints.votes(click.waitpoint)
        done = await app.waitpoints.decide(click.waitpoint, value, by=voter, idempotency_key=_key(click, actor, said))
    except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
        return Answer(str(error), question_of(await app.waitpoints.get(click.waitpoint)))
    except StorageError:
        return Answer("Nobody knows whether your click was recorded: click again, it counts once.")
    except AgentflowError as error:
        return Answer(f"Your click does not count: {error}")
    if done.resolved:
        return Answer(f"{question_of(done.waitpoint).state.capitalize()}. Thank you.", question_of(done.waitpoint))
    return Answer(f"Recorded: {done.have} of {done.need}.")


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
