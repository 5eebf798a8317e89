"""`make demo`, as a newcomer runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from tests.traffic.answers import Answer, streamed
from tests.traffic.provider import serving

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


def without_keys() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in KEYS}


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cookbook.release_notes", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=without_keys(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


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


def spoken(finish: str, *deltas: dict[str, Any]) -> Answer:
    """A turn of a model that speaks Chat Completions."""
    told: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    told.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunk = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "local"}
    lines = [json.dumps({**chunk, "choices": [choice]}) for choice in told]
    return streamed("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]))


def called(tool: str, id: str, **arguments: Any) -> Answer:
    """A turn that calls a tool."""
    call = {"index": 0, "id": id, "type": "function", "function": {"name": tool, "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in json.dumps(arguments).partition(":")]
    return spoken("tool_calls", *({"tool_calls": [one]} for one in (call, *pieces)))


async def test_the_demo_works_with_a_model_of_an_openai_compatible_server(repository: Path, tmp_path: Path) -> None:
    output, notes = tmp_path / "NOTES.md", "# Notes\n\n- The parser knows dates.\n"
    said = spoken("stop", {"role": "assistant", "content": "I wrote "}, {"content": "the notes."})
    turns = [called("read_log", "c1", limit=5), called("write_notes", "c2", text=notes)]
    async with serving(*turns, said, said) as provider:
        # The last turn stops after its first words until the demo has killed the worker and the next one asks again.
        provider.gate.hold(sum(len(turn.chunks) for turn in turns) + 1)
        command = (sys.executable, "-m", "cookbook.release_notes", str(repository), "--output", str(output))
        env = {**without_keys(), "OPENAI_BASE_URL": provider.openai_url}
        demo = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )
        assert demo.stdout is not None
        shown = ""
        try:
            async with asyncio.timeout(60):
                async for line in demo.stdout:
                    shown += line.decode()
                    if b"another worker goes on" in line:
                        await provider.gate.open()
                await demo.wait()
        finally:
            print(shown)
            if demo.returncode is None:
                os.killpg(demo.pid, signal.SIGKILL)
                await demo.communicate()
    assert demo.returncode == 0
    assert "OPENAI_BASE_URL is set" in shown
    assert "void is only what was not recorded: release_notes#0/turn:3" in shown
    assert shown.count("I wrote the notes.") == 1
    assert output.read_text(encoding="utf-8") == notes
    log = json.loads(provider.requests[1].body["messages"][-1]["content"])
    assert [one["subject"] for one in log] == ["Teach the parser about dates", "Fix a crash on empty input", "Add the parser"]
    assert provider.requests[2].body == provider.requests[3].body
