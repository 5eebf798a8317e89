"""What a click in Slack does: it decides for whoever is known to have clicked, and they are told what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.app import Agentflow
from agentflow.app.outbox import question_of
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
    voter = Voter(actor, await app.people.groups(actor))
    value = {"approved": click.action == "approve"}
    try:
        done = await app.waitpoints.decide(click.waitpoint, value, by=voter, idempotency_key=click.key)
    except (WaitpointAlreadyAnswered, WaitpointTimedOut) as error:
        return Answer(str(error), question_of(await app.waitpoints.get(click.waitpoint)))
    except StorageError:
        return Answer("Nobody knows whether your click was recorded: click again, it counts once.")
    except AgentflowError as error:
        return Answer(f"Your click does not count: {error}")
    if done.resolved:
        return Answer(f"{question_of(done.waitpoint).state.capitalize()}. Thank you.", question_of(done.waitpoint))
    return Answer(f"Recorded: {done.have} of {done.need}.")


async def answered(slack: Slack, click: Click, answer: Answer) -> None:
    """Tell whoever clicked."""
    await slack.reply(click, answer.text)
    if answer.question is not None:
        await slack.reply(click, answer.text, answer.question)
