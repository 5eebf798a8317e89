"""Evaluator and optimizer: one agent writes, another judges, until the judge accepts or the rounds are used up.

    python -m cookbook.evaluator_optimizer "a database transaction"

The loop is a plain `for`, so it is bounded and says so when nobody was content. Every draft and every verdict is recorded.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel

from agentflow import Agent, Agentflow, context, task
from cookbook import scripts
from cookbook.model import model

ROUNDS = 4


class Verdict(BaseModel):
    """What the judge says of a draft."""

    accepted: bool
    criticism: str


class Explanation(BaseModel):
    """The last draft, whether the judge accepted it, and how many it took."""

    text: str
    accepted: bool
    drafts: int


explainer = Agent(
    "explainer",
    model=model(scripts.explainer),
    instructions="Explain the topic to a child of ten in at most three sentences. If there is criticism of a draft, write a better one.",
)
judge = Agent(
    "judge",
    model=model(scripts.judge),
    output=Verdict,
    instructions="You read for a child of ten. Accept a draft only if the child knows each word; else name the words that it does not.",
)


@task
async def explain(topic: str) -> Explanation:
    """Explain a topic so that a child understands it."""
    draft = await explainer(f"Topic: {topic}")
    for drafts in range(1, ROUNDS + 1):
        verdict = await judge(f"Draft: {draft}")
        context().metadata["verdict"] = verdict.criticism
        if verdict.accepted:
            return Explanation(text=draft, accepted=True, drafts=drafts)
        if drafts < ROUNDS:
            draft = await explainer(f"Topic: {topic}\nDraft: {draft}\nCriticism: {verdict.criticism}")
    return Explanation(text=draft, accepted=False, drafts=ROUNDS)


async def main(topic: str) -> None:
    """Explain one topic."""
    async with Agentflow([explain, explainer, judge]):
        run = await explain.start(topic)
        done = await run.result()
        print(f"{done.text}\n({'accepted' if done.accepted else 'not accepted'} after {done.drafts} drafts)")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "a database transaction"))
