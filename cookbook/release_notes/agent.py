"""The agent and its tools. Tools are tasks, and what touches the repository is a step."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pydantic import BaseModel

from agentflow import Agent, ai, context, current_step, step, task
from agentflow.errors import NonRetryable
from cookbook.model import chosen_model
from cookbook.release_notes.script import scripted

REPOSITORY = Path(os.environ.get("RELEASE_NOTES_REPOSITORY", "."))
OUTPUT = Path(os.environ.get("RELEASE_NOTES_OUTPUT", "RELEASE_NOTES.md"))
BODIES = os.environ.get("RELEASE_NOTES_BODIES")
DIFF_LIMIT = 6_000


class Commit(BaseModel):
    """One commit of the log."""

    sha: str
    subject: str
    changed: int


@step(timeout="30s")
def git(*arguments: str) -> str:
    """Ask git; recorded, so a crash later never asks again."""
    note_body()
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise NonRetryable(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


@step
def save(text: str) -> str:
    """Write the release notes."""
    note_body()
    OUTPUT.write_text(text, encoding="utf-8")
    return str(OUTPUT.resolve())


def note_body() -> None:
    """Write down, outside of agentflow, that this step's body really ran: the demo counts these lines at its end."""
    if BODIES:
        with open(BODIES, "a", encoding="utf-8") as file:
            file.write(f"{context().run_id} {current_step().id}\n")


@task
async def read_log(limit: int = 20) -> list[Commit]:
    """Read the repository's newest commits: sha, subject, and how many lines each changed."""
    text = await git("log", f"-{max(1, min(limit, 50))}", "--shortstat", "--format=%x1e%h%x1f%s")
    commits: list[Commit] = []
    for record in text.split("\x1e")[1:]:
        head, _, stat = record.partition("\n")
        sha, subject = head.split("\x1f")
        numbers = [int(word) for word in stat.replace(",", " ").split() if word.isdigit()]
        commits.append(Commit(sha=sha, subject=subject, changed=sum(numbers[1:])))
    return commits


@task
async def read_diff(sha: str) -> str:
    """Read what one commit changed: its message, the files, and the beginning of the diff."""
    if not sha.isalnum():
        raise NonRetryable(f"{sha!r} is no commit.")
    return (await git("show", "--stat", "--patch", "--format=%B", sha))[:DIFF_LIMIT]


@task
async def write_notes(text: str) -> str:
    """Write the finished release notes, as Markdown, to the file. A person looks at them first."""
    return await save(text)


MODEL, WHY = chosen_model(scripted)

release_notes = Agent(
    "release_notes",
    model=MODEL,
    instructions=(
        "You draft release notes for the git repository that your tools read. Read the log, look at the diffs of the commits that matter "
        "most to users (three at most), then call write_notes once with short Markdown: a title, what is new, what was fixed. "
        "Say in one sentence what you did when it is written."
    ),
    tools=[ai.tool(read_log), ai.tool(read_diff), ai.tool(write_notes, approval=True)],
    turns=12,
)

TASKS = [release_notes, read_log, read_diff, write_notes]
