"""`make demo`, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a small history."""
    folder = tmp_path / "repository"
    folder.mkdir()
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=Maria", "-c", "user.email=maria@example.com"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=env)
    for number, subject in enumerate(("Add the parser", "Fix a crash on empty input", "Teach the parser about dates")):
        (folder / f"part{number}.py").write_text("line\n" * (number + 1) * 3, encoding="utf-8")
        subprocess.run(["git", "-C", str(folder), "add", "-A"], check=True, env=env)
        subprocess.run(["git", "-C", str(folder), *who, "commit", "-qm", subject], check=True, env=env)
    return folder


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in KEYS}
    command = [sys.executable, "-m", "cookbook.release_notes", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_survives_its_own_kill_and_writes_the_notes_without_a_terminal(repository: Path, tmp_path: Path) -> None:
    output = tmp_path / "NOTES.md"
    done = run([str(repository), "--output", str(output)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a script plays the model" in done.stdout
    assert "kill -9" in done.stdout
    assert "another worker goes on" in done.stdout
    assert "lost nothing recorded and repeated nothing recorded" in done.stdout
    notes = output.read_text(encoding="utf-8")
    assert "Teach the parser about dates" in notes.split("## Fixed")[0]
    assert "Fix a crash on empty input" in notes.split("## Fixed")[1]


def test_a_folder_without_a_repository_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = run([str(tmp_path)])
    assert done.returncode == 2
    assert "is no git repository" in done.stderr
