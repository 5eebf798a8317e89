"""The model of a demo without an API key: it decides by rules, from what the tools really returned."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart

from agentflow.testing.models import Said, ScriptedModel, call, scripted_model, text, thinking

PIECE_SECONDS = 0.02


def scripted() -> ScriptedModel:
    """The scripted model: log, diffs, draft, done; each turn with its thoughts, at a readable pace."""
    return scripted_model(_ask_for_log, _ask_for_diffs, _draft, _finish, pace=_pace, size=12)


async def _pace(kind: str) -> None:
    await asyncio.sleep(PIECE_SECONDS if kind != "call" else 0)


def _results(messages: list[ModelMessage], tool: str) -> list[Any]:
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    found = [part.content for part in parts if isinstance(part, ToolReturnPart) and part.tool_name == tool]
    return [json.loads(one) if tool == "read_log" and isinstance(one, str) else one for one in found]


def _commits(messages: list[ModelMessage]) -> list[dict[str, Any]]:
    [log] = _results(messages, "read_log")
    return [one if isinstance(one, dict) else one.model_dump() for one in log]


def _ask_for_log(messages: list[ModelMessage]) -> Sequence[Said]:
    return [thinking("The log comes first: what happened since the last release?"), call("read_log", {"limit": 15}, id="log")]


def _ask_for_diffs(messages: list[ModelMessage]) -> Sequence[Said]:
    largest = sorted(_commits(messages), key=lambda one: -one["changed"])[:3]
    names = ", ".join(one["sha"] for one in largest)
    return [
        thinking(f"The largest changes tell most. I look at {names} to see what they mean for users, all at once."),
        *(call("read_diff", {"sha": one["sha"]}, id=f"diff-{one['sha']}") for one in largest),
    ]


def _draft(messages: list[ModelMessage]) -> Sequence[Said]:
    commits = _commits(messages)
    diffs = {text.split("\n", 1)[0]: _files(text) for text in _results(messages, "read_diff")}
    fixes = [one for one in commits if re.search(r"\bfix", one["subject"], re.IGNORECASE)]
    news = [one for one in commits if one not in fixes]
    lines = ["# Release notes", "", "## New", *(_line(one, diffs) for one in news)]
    if fixes:
        lines += ["", "## Fixed", *(_line(one, diffs) for one in fixes)]
    thought = (
        f"{len(news)} commits bring something new and {len(fixes)} fix something. I write one line for each, and ask before I save it."
    )
    return [thinking(thought), text("Here is the draft.\n"), call("write_notes", {"text": "\n".join(lines) + "\n"}, id="write")]


def _files(diff: str) -> int:
    return sum(" | " in line for line in diff.splitlines())


def _line(commit: dict[str, Any], diffs: dict[str, int]) -> str:
    files = diffs.get(commit["subject"])
    return f"- {commit['subject']} ({commit['sha']}{f', {files} files' if files else ''})"


def _finish(messages: list[ModelMessage]) -> Sequence[Said]:
    written = _results(messages, "write_notes")
    return [text(f"The release notes are in {written[0]}." if written else "Nobody wanted the draft, so nothing was written.")]
