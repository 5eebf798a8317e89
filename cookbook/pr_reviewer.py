"""A reviewer of pull requests: git in steps, a sub-agent per changed file, a summary, and a person before it is posted.

    python -m cookbook.pr_reviewer [REPOSITORY] [BASE] [HEAD]

Branches move, so both are resolved first and the commits recorded: a review that waits for days is still of what was read. It is "posted"
to REVIEW.md; a step that calls your forge goes in that place.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from agentflow import Agent, Agentflow, NonRetryable, approve, step, task
from cookbook import scripts
from cookbook.model import model
from cookbook.terminal import attended


class Remark(BaseModel):
    """Something that the author should look at."""

    severity: Literal["blocker", "question", "nit"]
    line: str
    text: str


reviewer = Agent(
    "file_reviewer",
    model=model(scripts.file_reviewer),
    output=list[Remark],
    instructions="Review the diff of one file: only what is wrong or unclear, each with the line it is about. No remark is a good review.",
)
summarizer = Agent("review_summarizer", model=model(scripts.review_summarizer), instructions="Sum the review up in two sentences.")


@step(timeout="30s")
def git(repository: str, *arguments: str) -> str:
    """Ask git; recorded, so what was read stays read."""
    done = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise NonRetryable(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


@step
def post(review: str, file: str) -> str:
    """Post the review."""
    Path(file).write_text(review, encoding="utf-8")
    return f"posted to {file}"


@task
async def review_pull_request(repository: str, base: str, head: str, output: str = "REVIEW.md") -> str:
    """Review what `head` changes since it left `base`."""
    commits = await asyncio.gather(*(git(repository, "rev-parse", "--verify", "--end-of-options", one) for one in (base, head)))
    between = "...".join(commits)
    listed = await git(repository, "diff", "-z", "--name-only", "--diff-filter=d", between)
    names = [name for name in listed.split("\0") if name]
    diffs = await asyncio.gather(*(git(repository, "diff", between, "--", name) for name in names))
    reviews = await asyncio.gather(*(reviewer(f"{name}\n\n{diff[:20_000]}") for name, diff in zip(names, diffs, strict=True)))
    remarks = [f"- **{one.severity}** {name}, `{one.line}`: {one.text}" for name, said in zip(names, reviews, strict=True) for one in said]
    review = "\n".join([await summarizer("\n".join(remarks) or "No remarks."), "", *remarks, ""])
    decision = await approve(f"Post the review of {commits[1][:10]}?", body=review, expires="7d")
    return await post(review, output) if decision.approved else f"kept back by {decision.by or 'nobody'}"


async def main(repository: str = ".", base: str = "HEAD~1", head: str = "HEAD") -> None:
    """Review one change."""
    async with Agentflow([review_pull_request, reviewer, summarizer]) as app:
        print(await attended(app, await review_pull_request.start(repository, base, head)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
