"""Prompts on the command line: look, compare, release, go back; and as files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agentflow import Agentflow, prompt, task
from agentflow.prompts import files
from agentflow.storage import bindings, runs
from agentflow.storage.runs import NewRun
from agentflow.storage.statements import SQL
from tests.cli.conftest import Call, as_json

FILE = "---\nname: title\nmodel: openai:gpt-4o\nvariables: {properties: {topic: {type: string}}, required: [topic]}\n---\n"
CODE = """
from agentflow import prompt, task
title = prompt.load("title.prompt.md")

@task
async def cli_titled() -> None: ...
"""


@pytest.fixture
def call(folder: Path, run: Call) -> Call:
    """The command line of an installation whose code has the prompt `title`."""
    path = folder / "title.prompt.md"
    path.write_text(FILE + "A title for {{topic}}.\n")
    coded: Any = prompt.load(path)

    async def once() -> None:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1", worker=False) as app:
            await app.database.transact(bindings.deploy([coded.own], "prod", "ci", app.clock.now()))

    asyncio.run(once())
    return run


def shown(call: Call) -> Any:
    return as_json(call("prompts", "show", "title", "--json"))


def pushed(call: Call, folder: Path, text: str, *more: str) -> Any:
    path = folder / "changed.prompt.md"
    path.write_text(FILE + text)
    return call("prompts", "push", str(path), *more)


def test_a_version_is_pushed_compared_released_and_taken_back(call: Call, folder: Path) -> None:
    [listed] = as_json(call("prompts", "list", "--json"))
    assert (listed["name"], listed["live"]["version"], listed["live"]["mode"]) == ("title", 1, "code")
    assert "title v2" in pushed(call, folder, "A short title for {{topic}}.\n", "--note", "shorter", "--by", "maria").stdout
    assert "v2 is there" in pushed(call, folder, "A short title for {{topic}}.\n").stdout
    assert "A{+ short+} title for {{topic}}." in call("prompts", "diff", "title", "1", "v2").stdout
    assert as_json(call("prompts", "diff", "title", "1", "1", "--json"))["same"] is True
    released = call("prompts", "release", "title", "v2", "--by", "maria", "--reason", "shorter", "--expires", "3d")
    assert "title v2 pinned  in prod" in released.stdout
    assert "code has v1" in call("prompts", "list").stdout
    told = call("prompts", "show", "title").stdout
    assert "shorter" in told
    assert "v2 pinned" in told
    assert "v1 code" in call("prompts", "rollback", "title", "--reason", "too short").stdout
    assert "v1=0.9 v2=0.1" in call("prompts", "rollout", "title", "1=0.9", "v2=0.1", "--sticky", "thread").stdout
    assert "v1 code" in call("prompts", "follow-code", "title").stdout
    assert shown(call)["prompt"]["live"]["rev"] == 5


def test_a_version_is_shown_as_the_file_that_it_came_from(call: Call) -> None:
    text = call("prompts", "show", "title", "v1").stdout
    assert files.parse(text).body.hash == as_json(call("prompts", "show", "title", "1", "--json"))["hash"]
    assert text.endswith("--- user\nA title for {{topic}}.\n")


def test_a_move_that_came_too_late_and_one_that_nobody_allowed(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title: {{topic}}\n")
    late = call("prompts", "release", "title", "2", "--expect-rev", "7")
    assert (late.exit_code, "was moved meanwhile" in late.stderr) == (1, True)

    async def protect() -> None:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1", worker=False) as app:
            await app.prompts.protect("title", actor="maria")

    asyncio.run(protect())
    refused = call("prompts", "release", "title", "2")
    assert (refused.exit_code, "is protected" in refused.stderr) == (1, True)
    assert "v2 pinned" in call("prompts", "release", "title", "2", "--protected").stdout


def test_what_cannot_be_done_is_told_with_what_to_do(call: Call) -> None:
    for command, told in {
        ("show", "nowhere"): "no prompt 'nowhere'",
        ("release", "title", "latest"): "names no version",
        ("release", "title", "9"): "no version v9",
        ("rollout", "title", "1:2"): "no weight",
        ("push", "missing.prompt.md"): "cannot be read",
        ("import", "missing.json"): "cannot be read",
    }.items():
        result = call("prompts", *command)
        assert (result.exit_code, told in result.stderr, "Traceback" in result.output) == (1, True, False), result.output


def test_what_code_cannot_fill_is_not_pushed(call: Call, folder: Path) -> None:
    result = pushed(call, folder, "{{nmae}}\n")
    assert (result.exit_code, "title: message 1 (user), line 1, column 1: there is no variable nmae" in result.stderr) == (1, True)


def test_what_is_live_is_pulled_and_pushed_again_as_the_same_version(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title:\n\n--- {{topic}}\n")
    call("prompts", "release", "title", "2")
    call("prompts", "pull", str(folder / "out"))
    pulled = files.read(folder / "out" / "title.prompt.md")
    assert pulled.body.hash == shown(call)["versions"][0]["hash"]
    assert pulled.variables is not None
    assert pulled.variables["required"] == ["topic"]
    assert "v2 is there" in call("prompts", "push", str(folder / "out")).stdout


def test_everything_is_exported(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title: {{topic}}\n")
    call("prompts", "release", "title", "2", "--reason", "why not")
    assert "2 versions" in call("prompts", "export", str(folder / "all")).stdout
    assert [one.body.hash for one in files.folder(folder / "all" / "title")] == [one["hash"] for one in reversed(shown(call)["versions"])]
    [told] = json.loads((folder / "all" / "registry.json").read_text())["prompts"]
    assert (told["live"]["version"], told["events"][-1]["reason"], "body" in told["versions"][0]) == (2, "why not", False)
    assert "is there" in call("prompts", "push", str(folder / "all")).stdout


def test_an_export_of_langfuse_is_taken(call: Call, folder: Path) -> None:
    versions: list[dict[str, Any]] = [
        {"name": "movie critic", "version": 1, "type": "text", "prompt": "Do you like {{movie}}?", "config": {"model": "gpt-4o"}},
        {"name": "movie critic", "version": 2, "type": "text", "prompt": "As a {{level}} critic: {{movie}}?", "config": {}},
        {"name": "tool", "version": 1, "type": "chat", "prompt": [{"role": "tool", "content": "x"}], "config": {}},
    ]
    (folder / "langfuse.json").write_text(json.dumps(versions))
    result = call("prompts", "import", "langfuse.json", "--by", "maria")
    assert result.exit_code == 1
    for told in ("movie-critic v1", "movie-critic v2", "It was called 'movie critic' there", "✗ tool 1: A message of 'tool'"):
        assert told in result.stdout, told
    made = as_json(call("prompts", "show", "movie-critic", "--json"))
    assert (made["prompt"]["contract"]["required"], made["prompt"]["live"]) == (["level", "movie"], None)
    newest = made["versions"][0]
    assert (newest["number"], newest["source"], newest["note"], newest["actor"]) == (2, "import", "langfuse 2", "maria")


def test_prompts_go_elsewhere_as_one_file_and_what_nobody_needs_is_deleted(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title: {{topic}}\n")
    call("prompts", "release", "title", "2")
    assert "all.tar" in call("prompts", "export", "all.tar").stdout
    call("prompts", "export", "all")
    elsewhere = ("--directory", "elsewhere")

    async def found() -> None:
        async with Agentflow(directory=folder / "elsewhere", redis="redis://127.0.0.1:1", worker=False):
            pass

    asyncio.run(found())
    assert "0 of 2 versions were there. 0 releases were made." in call("prompts", "import", "all.tar", *elsewhere).stdout
    assert "2 of 2 versions were there. 1 releases were made." in call("prompts", "import", "all", "--labels", *elsewhere).stdout
    hashes = [[one["hash"] for one in as_json(call("prompts", "show", "title", "--json", *way))["versions"]] for way in ((), elsewhere)]
    assert hashes[0] == hashes[1] != []
    assert "v2 of title is in use: live in prod" in call("prompts", "delete", "title", "v2", *elsewhere).stderr
    assert "v1 of title is deleted." in call("prompts", "delete", "title", "1", *elsewhere).stdout


def test_files_are_looked_at(call: Call, folder: Path) -> None:
    assert call("prompts", "lint", str(folder)).exit_code == 0
    path = folder / "draft.prompt.md"
    path.write_text(FILE + "TODO: {{topic}} sk-ant-api03-abcdefghijklmnopqrstuvwx\n")
    found = call("prompts", "lint", str(path))
    assert (found.exit_code, "[todo]" in found.stdout, "[secret]" in found.stdout) == (0, True, True)
    assert call("prompts", "lint", str(path), "--strict").exit_code == 1
    path.write_text(FILE + "{{nmae}}\n")
    assert call("prompts", "lint", str(path)).exit_code == 1


def test_before_a_deploy_what_is_live_is_held_to_the_new_code(call: Call, folder: Path) -> None:
    (folder / "coded.py").write_text(CODE)
    pushed(call, folder, "A title for {{topic}}!\n")
    call("prompts", "release", "title", "2")
    assert "Prompts of coded.py: " in call("prompts", "check", "coded.py").stdout
    (folder / "title.prompt.md").write_text("---\nvariables: {properties: {about: {type: string}}, required: [about]}\n---\n{{about}}\n")
    failed = call("prompts", "check", "coded.py")
    assert failed.exit_code == 1
    assert (
        "v2 of title is live, and this code cannot fill it: message 1 (user), line 1, column 13: there is no variable topic"
        in failed.stdout
    )
    assert call("prompts", "check", "coded.py", "--env", "staging").exit_code == 0


def test_who_holds_a_version_is_moved_and_the_version_taken_back(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title: {{topic}}\n")
    assert "Nobody holds title" in call("prompts", "pins", "title").stdout
    run = "run_cli_held"

    async def hold() -> None:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1", worker=False) as app:
            new = NewRun(id=run, task="cli_held", queue="default", input="{}", thread="t-cli")
            await app.database.transact(runs.start(new, app.clock.now()))
            one = await app.prompts.repin(run, "title", to=1, actor="maria")
            pin = {"prompt": "title", "label": "live", "number": 1, "hash": one.hash, "variant": None, "rollout": None, "run": None}
            await app.database.execute(SQL.pins.keep(scope="thread:t-cli", now=0, **pin))

    asyncio.run(hold())
    told = call("prompts", "pins", "title", "v1").stdout
    assert run in told
    assert "t-cli" in told
    assert [(one["run"], one["version"]) for one in as_json(call("prompts", "pins", "title", "--json"))] == [(run, 1)]
    assert f"{run} holds title v2" in call("prompts", "repin", run, "title", "--to", "v2", "--reason", "rude").stdout
    assert "v1 of title is revoked" in call("prompts", "revoke", "title", "1", "--policy", "repin:2", "--by", "maria").stdout
    assert "repin:2" in call("prompts", "show", "title").stdout
    assert "The next run of t-cli takes what is live of title" in call("prompts", "upgrade", "t-cli", "title").stdout
    assert "t-cli holds nothing of title" in call("prompts", "upgrade", "t-cli", "title").stdout


def test_what_is_live_is_protected_and_opened_again(call: Call, folder: Path) -> None:
    pushed(call, folder, "Title: {{topic}}\n")
    assert "protected" in call("prompts", "protect", "title").stdout
    assert "is protected" in call("prompts", "release", "title", "2").stderr
    assert "is protected" in call("prompts", "protect", "title", "--off").stderr
    assert "protected" not in call("prompts", "protect", "title", "--off", "--protected").stdout
    assert "v2 pinned" in call("prompts", "release", "title", "2").stdout


def test_a_policy_is_set_and_a_release_says_that_it_was_asked_for(call: Call, folder: Path) -> None:
    pushed(call, folder, "A short title for {{topic}}.")
    assert "Everybody" in call("prompts", "policy", "title").stdout
    line = call("prompts", "policy", "title", "--people", "2", "--group", "editors", "--by", "ops").stdout.splitlines()[-1]
    assert line.split() == ["title", "prod", "2", "the", "group", "editors", "ops"]
    asked = call("prompts", "release", "title", "2", "--by", "maria", "--reason", "shorter")
    assert (asked.exit_code, "asked for: wp_" in asked.stdout, "the yes of 2 people" in asked.stdout) == (8, True, True)
    [one] = as_json(call("prompts", "requests", "title", "--json"))
    assert (one["status"], one["target"]["version"], one["actor"]) == ("asked", 2, "maria")
    assert "asked" in call("prompts", "requests", "title").stdout
    assert shown(call)["prompt"]["live"]["version"] == 1
    call("prompts", "policy", "title", "--off")
    assert "v2 pinned" in call("prompts", "release", "title", "2").stdout


def test_a_rollout_for_some_that_grows_under_guard(call: Call, folder: Path) -> None:
    pushed(call, folder, "A short title for {{topic}}.")
    ramp = ("--baseline", "1", "--ramp", "0h=0.05", "--ramp", "1d=1")
    when = ("--when", "tag=beta", "--when", "tag=staff", "--when", "topic=owls")
    made = call("prompts", "rollout", "title", "2=1", *ramp, *when, "--guard", "error_rate=0.02", "--guard", "cost=0.2:50:rollback")
    assert "v1=0.95 v2=0.05" in made.stdout, made.output
    rollout = shown(call)["prompt"]["live"]["rollout"]
    assert rollout["ramp"] == [{"after_ms": 0, "share": 0.05}, {"after_ms": 86_400_000, "share": 1.0}]
    conditions = {name: value for name, value in rollout["conditions"].items() if value is not None}
    assert (rollout["baseline"], conditions) == (1, {"tags": ["beta", "staff"], "variables": {"topic": ["owls"]}})
    assert [tuple(one.values()) for one in rollout["guards"]] == [("error_rate", 0.02, 200, "pause"), ("cost", 0.2, 50, "rollback")]
    assert "no variable plan" in call("prompts", "rollout", "title", "2=1", "--baseline", "1", "--when", "plan=pro").stderr
    assert "nothing to watch" in call("prompts", "rollout", "title", "2=1", "--baseline", "1", "--guard", "speed=1").stderr


def test_a_release_that_waits_ends_with_what_the_others_said(call: Call, folder: Path) -> None:
    pushed(call, folder, "A short title for {{topic}}.")
    call("prompts", "policy", "title", "--people", "1")

    async def answered(agree: bool) -> Any:
        async with Agentflow(directory=folder / ".agentflow", redis="redis://127.0.0.1:1") as app, asyncio.timeout(60):
            waiting = asyncio.create_task(asyncio.to_thread(call, "prompts", "release", "title", "2", "--by", "maria", "--wait"))
            while not (found := await app.waitpoints.list(kind="approval")):
                await asyncio.sleep(0)
            await (app.waitpoints.approve if agree else app.waitpoints.deny)(found[0].id, by="ann", reason="seen")
            return await waiting

    refused = asyncio.run(answered(False))
    assert (refused.exit_code, "title in prod: denied  ann: seen" in refused.stdout) == (1, True), refused.output
    done = asyncio.run(answered(True))
    assert (done.exit_code, "title v2 pinned  in prod" in done.stdout) == (0, True), done.output


def test_an_experiment_that_was_cut_off_goes_on_and_says_what_it_found(call: Call, folder: Path) -> None:
    pushed(call, folder, "A short title for {{topic}}.\n")
    coded: Any = prompt.load(folder / "title.prompt.md")

    @task(name="cli_experimented")
    async def titled(topic: str) -> str:
        return (await coded.get(topic=topic)).text

    async def begun() -> None:
        async with Agentflow([titled], directory=folder / ".agentflow", redis="redis://127.0.0.1:1") as app:
            for topic in ("cats", "dogs"):
                await (await app.start("cli_experimented", topic=topic)).result()
            await app.prompts.experiment("title", versions=[1, 2], actor="maria", id="e-1", scorers=["failed"])

    asyncio.run(begun())
    told = call("prompts", "experiment", "title", "--id", "e-1", "--scorers", "failed,latency").stdout
    assert "title: experiment e-1, tools recorded" in told
    assert "failed   v2       2  0" in told
    found = as_json(call("prompts", "experiment", "title", "--versions", "1,v2", "--id", "e-1", "--json"))
    assert [(one["state"], one["version"]) for one in found["runs"]] == [("completed", 1), ("completed", 2)] * 2
    refused = call("prompts", "experiment", "title", "--versions", "one")
    assert (refused.exit_code, "no number" in refused.stderr) == (1, True)
