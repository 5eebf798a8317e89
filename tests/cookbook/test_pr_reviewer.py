"""The reviewer, on a repository that git made."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow import RunFailed
from agentflow.testing import Engine, ScriptedModel, call, scripted_model
from cookbook import scripts
from cookbook.pr_reviewer import git, post, review_pull_request, reviewer, summarizer
from tests.cookbook.conftest import Play, Repository, Silence, program

REVIEW = """2 remarks, 1 of them in the way of a merge.

- **nit** shop.py, `print(orders)`: Is this left over?
- **blocker** till.py, `except:`: This hides every error, also a Ctrl-C.
"""


@pytest.fixture
def reviewing(play: Play) -> ScriptedModel:
    """The model of the reviewers; that of the summary counts."""
    play(summarizer, scripts.review_summarizer())
    return play(reviewer, scripts.file_reviewer())


async def test_each_changed_file_is_reviewed_and_a_person_decides_about_the_posting(
    engine: Engine, repository: Repository, reviewing: ScriptedModel, tmp_path: Path
) -> None:
    posted = tmp_path / "REVIEW.md"
    run = await engine.start(review_pull_request, str(repository.folder), "main", "feature", str(posted))
    await engine.waiting(run, kind="approval")
    assert not posted.exists()
    assert len(reviewing.requests) == 2
    asked = engine.calls(git)
    await engine.crash()
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria")
    assert await run.result() == f"posted to {posted}"
    assert posted.read_text(encoding="utf-8") == REVIEW
    assert (len(reviewing.requests), engine.calls(git), engine.calls(post)) == (2, asked, 1)


async def test_a_branch_that_moves_while_the_review_waits_does_not_change_what_is_posted(
    engine: Engine, repository: Repository, reviewing: ScriptedModel, tmp_path: Path
) -> None:
    read, posted = repository.git("rev-parse", "feature"), tmp_path / "REVIEW.md"
    run = await engine.start(review_pull_request, str(repository.folder), "main", "feature", str(posted))
    [question] = await engine.waiting(run, kind="approval")
    assert f"Post the review of {read[:10]}?" in question.record.subject
    repository.commit("Tidy up", shop="orders = []\n", till="open = True\n")
    await engine.crash()
    await engine.clock.advance("2d")
    await question.approve(by="maria")
    await run.result()
    assert posted.read_text(encoding="utf-8") == REVIEW


async def test_a_crash_while_one_file_is_reviewed_reads_no_diff_again(
    engine: Engine, repository: Repository, play: Play, tmp_path: Path
) -> None:
    silence = Silence()
    play(summarizer, scripts.review_summarizer())
    play(reviewer, scripted_model([call("final_result", {"response": []})], pace=silence))
    run = await engine.start(review_pull_request, str(repository.folder), "main", "feature", str(tmp_path / "REVIEW.md"))
    await silence.begun()
    asked = engine.calls(git)
    await silence.broken_by_crash_of(engine)
    [question] = await engine.waiting(run, kind="approval")
    await question.deny(by="maria")
    assert await run.result() == "kept back by maria"
    assert engine.calls(git) == asked == 5
    assert not (tmp_path / "REVIEW.md").exists()


async def test_a_change_without_files_is_a_review_without_remarks(
    engine: Engine, repository: Repository, reviewing: ScriptedModel, tmp_path: Path
) -> None:
    run = await engine.start(review_pull_request, str(repository.folder), "main", "main", str(tmp_path / "REVIEW.md"))
    [question] = await engine.waiting(run, kind="approval")
    await question.approve(by="maria")
    await run.result()
    assert (tmp_path / "REVIEW.md").read_text(encoding="utf-8").strip() == "Nothing is wrong with it."
    assert reviewing.requests == []


@pytest.mark.parametrize("branch", ["nowhere", "--output=stolen"])
async def test_a_branch_that_there_is_not_fails_the_run_with_the_words_of_git(engine: Engine, repository: Repository, branch: str) -> None:
    run = await engine.start(review_pull_request, str(repository.folder), "main", branch)
    with pytest.raises(RunFailed, match="git rev-parse failed: fatal: Needed a single revision"):
        await run.result()


@pytest.mark.parametrize(("typed", "end"), [("n\n", "kept back by you"), ("y\n", "posted to REVIEW.md")])
def test_at_a_terminal_the_program_asks_and_does_as_it_is_told(repository: Repository, typed: str, end: str) -> None:
    done = program(repository.folder, "-m", "cookbook.pr_reviewer", ".", "main", "feature", typed=typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert "`except:`: This hides every error" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(end)
    assert (repository.folder / "REVIEW.md").exists() == (end != "kept back by you")
