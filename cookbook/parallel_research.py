"""Parallel research: a planner splits the question, sub-agents work side by side, one more writes the report.

    python -m cookbook.parallel_research "What happens when a worker dies?"

Each sub-agent is a child run with tools of its own. If a worker dies, those that had finished are not asked again. They read
the Markdown files of this folder's parent; put your own search into `find`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from pydantic import BaseModel, Field

from agentflow import Agent, Agentflow, Queue, step, task
from cookbook import scripts
from cookbook.model import model

DOCUMENTS = Path(__file__).parents[1]


class Plan(BaseModel):
    """Questions that can be looked into apart from each other."""

    questions: list[str] = Field(min_length=1, max_length=5)


@step(timeout="10s")
def find(words: str) -> list[str]:
    """Find paragraphs of the documents that have all of these words, at most three, each with the name of its file."""
    wanted = [word.lower() for word in words.split()]
    found: list[str] = []
    for file in sorted(DOCUMENTS.glob("*.md")):
        paragraphs = re.split(r"\n\s*\n|\n- ", file.read_text(encoding="utf-8"))
        found += [f"{file.name}: {' '.join(one.split())}" for one in paragraphs if all(word in one.lower() for word in wanted)]
    return found[:3]


planner = Agent(
    "planner",
    model=model(scripts.planner),
    output=Plan,
    instructions="Split the question into two to four smaller ones that different people could look into at the same time.",
)
researcher = Agent(
    "researcher",
    model=model(scripts.researcher),
    tools=[find],
    turns=8,
    queue=Queue("research", concurrency=10),
    instructions="Answer the question from what you find, in two sentences, and name the file. Say so if you find nothing.",
)
synthesizer = Agent(
    "synthesizer",
    model=model(scripts.synthesizer),
    instructions="Answer the question from the findings alone. Keep the names of files; say what is still open.",
)


@task
async def research_report(question: str) -> str:
    """Answer a question that takes more than one search."""
    plan = await planner(question)
    findings = await asyncio.gather(*(researcher(one) for one in plan.questions))
    told = "\n\n".join(f"{asked}\n{found}" for asked, found in zip(plan.questions, findings, strict=True))
    return await synthesizer(f"Question: {question}\n\nFindings:\n\n{told}")


async def main(question: str) -> None:
    """Answer one question."""
    async with Agentflow([research_report, planner, researcher, synthesizer]):
        run = await research_report.start(question)
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What happens when a worker dies?"))
