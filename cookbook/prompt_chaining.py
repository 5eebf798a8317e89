"""Prompt chaining: outline, a gate, write, shorten. Each call of a model is a child run, and what is between them is plain Python.

    python -m cookbook.prompt_chaining "why a lease needs a fencing token"

The gate stops a bad outline before the article is paid for. After a crash the chain goes on with the call that was under way.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel

from agentflow import Agent, Agentflow, NonRetryable, task
from cookbook import scripts
from cookbook.model import model


class Outline(BaseModel):
    """What the article will say."""

    title: str
    points: list[str]


outliner = Agent(
    "outliner",
    model=model(scripts.outliner),
    output=Outline,
    instructions="Outline a short article: a title, and three to five points of one sentence each.",
)
article_writer = Agent(
    "article_writer",
    model=model(scripts.article_writer),
    instructions="Write the article that the outline describes, as Markdown with a short paragraph for each point. Nothing else.",
)
headliner = Agent(
    "headliner",
    model=model(scripts.headliner),
    instructions="Say in one sentence of at most twenty words what the article says. Nothing else.",
)


def check(outline: Outline) -> None:
    """The gate: what a rule can judge costs no model."""
    if not 3 <= len(outline.points) <= 5:
        raise NonRetryable(f"The outline of {outline.title!r} has {len(outline.points)} points, and the article has room for 3 to 5.")
    if long := [point for point in outline.points if len(point.split()) > 40]:
        raise NonRetryable(f"This is no point but a paragraph: {long[0]!r}")


@task
async def write_article(topic: str) -> str:
    """Write a short article about a topic."""
    outline = await outliner(f"Topic: {topic}")
    check(outline)
    article = await article_writer("\n".join([f"Title: {outline.title}", *(f"- {point}" for point in outline.points)]))
    return f"{article}\n\n> {await headliner(article)}"


async def main(topic: str) -> None:
    """Write one article."""
    async with Agentflow([write_article, outliner, article_writer, headliner]):
        run = await write_article.start(topic)
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "why a lease needs a fencing token"))
