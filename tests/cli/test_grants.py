"""Grants on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentflow import Agentflow
from tests.cli.conftest import Call, as_json


def test_a_grant_is_given_listed_and_taken_back(folder: Path, run: Call) -> None:
    async def once() -> None:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1"):
            pass

    asyncio.run(once())
    match = '{"args": {"path": {"prefix": "/tmp/"}}}'
    made = as_json(run("grants", "create", "write_file", "--match", match, "--scope", "agent:clerk", "--by", "maria", "--json"))
    assert (made["scope"], made["scope_id"], made["granted_by"], made["counts"]) == ("agent", "clerk", "maria", True)
    [listed] = as_json(run("grants", "list", "--json"))
    assert listed["id"] == made["id"]
    assert "write_file" in run("grants", "list").stdout
    assert "revoked" in run("grants", "revoke", made["id"], "--by", "boss").stdout
    assert "no grants" in run("grants", "list").stdout
    assert "revoked" in run("grants", "list", "--all").stdout
    refused = run("grants", "create", "shell", "--match", '{"args": {"cmd": {"prefix": "git "}}}', "--scope", "all")
    assert (refused.exit_code, "exact arguments" in refused.stderr) == (1, True)
