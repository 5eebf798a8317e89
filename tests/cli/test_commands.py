"""Commands that look, start and answer, against a database without a worker."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SHOP, Call, as_json


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that knows the shop's tasks, and no worker alive."""
    made = tmp_path_factory.mktemp("installation")
    (made / "shop.py").write_text(SHOP)
    program = (
        "import asyncio, shop; from agentflow import Agentflow\n"
        "async def main():\n"
        "    async with Agentflow([shop.greet, shop.refund, shop.broken], redis='redis://127.0.0.1:1'): pass\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", program], cwd=made, check=True)
    return made / ".agentflow"


@pytest.fixture
def shop(installation: Path, folder: Path, run: Call) -> Call:
    """The command line of an installation that knows the shop's tasks, with no worker alive."""
    shutil.copytree(installation, folder / ".agentflow")
    return run


def test_the_help_loads_neither_the_engine_nor_rich() -> None:
    heavy = ("agentflow.app", "asyncio", "pydantic", "rich")
    program = f"import sys; from agentflow.cli.main import app; print([one for one in {heavy} if one in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_started_run_is_listed_shown_and_cancelled(shop: Call) -> None:
    run_id = shop("start", "greet", "--payload", '{"name": "Ada"}', "--tag", "vip").stdout.strip()
    assert run_id.startswith("run_")
    [listed] = as_json(shop("runs", "list", "--json", "--tag", "vip"))
    assert (listed["id"], listed["task"], listed["status"]) == (run_id, "greet", "queued")
    shown = as_json(shop("runs", "show", run_id, "--json"))
    assert (shown["input"], shown["journal"], shown["waiting"]) == ({"name": "Ada"}, [], [])
    assert "cancelled" in shop("runs", "cancel", run_id, "--reason", "not needed").stdout
    assert "not needed" in shop("runs", "show", run_id).stdout


def test_a_run_that_has_ended_is_deleted_and_no_other(shop: Call) -> None:
    run_id = shop("start", "greet", "--payload", '{"name": "Ada"}').stdout.strip()
    refused = shop("runs", "delete", run_id)
    assert refused.exit_code == 1
    assert "only a run that has ended" in refused.output
    shop("runs", "cancel", run_id)
    assert "deleted" in shop("runs", "delete", run_id).stdout
    assert as_json(shop("runs", "list", "--json")) == []
    assert shop("runs", "delete", run_id).exit_code == 1


def test_a_message_is_sent_into_a_run_once_under_its_key(shop: Call, folder: Path) -> None:
    run_id = shop("start", "greet", "--payload", '{"name": "Ada"}').stdout.strip()
    (folder / "note.json").write_text('{"text": "from a file"}')
    assert shop("runs", "send", run_id, "inbox", '"hello"', "--key", "k").stdout.strip() == "1"
    assert shop("runs", "send", run_id, "inbox", '"hello"', "--key", "k").stdout.strip() == "1"
    assert shop("runs", "send", run_id, "inbox", "@note.json").stdout.strip() == "2"
    assert shop("runs", "send", run_id, "inbox", "-", stdin="[3]").stdout.strip() == "3"
    shop("runs", "cancel", run_id)
    late = shop("runs", "send", run_id, "inbox", "4")
    assert (late.exit_code, "takes no more messages" in late.stderr) == (1, True)


def test_whole_ids_are_printed_even_where_there_is_no_terminal(shop: Call) -> None:
    run_id = shop("start", "refund", "--payload", '{"order_id": "o-1"}').stdout.strip()
    assert run_id in shop("runs", "list").stdout


def test_a_start_that_nobody_will_take_says_so_at_once(shop: Call) -> None:
    started = shop("start", "greet", "--payload", '{"name": "Ada"}')
    assert "no worker is alive" in started.stderr
    assert "agentflow worker" in started.stderr


def test_the_doctor_finds_runs_that_nobody_takes_and_fails(shop: Call) -> None:
    run_id = shop("start", "greet", "--payload", '{"name": "Ada"}').stdout.strip()
    result = shop("doctor", "--json")
    assert result.exit_code == 1
    found = {one["code"]: one for one in as_json(result)}
    assert found["database"]["level"] == "ok"
    assert found["no_worker"]["hint"]
    assert found["nobody_takes"]["runs"] == [run_id]
    assert run_id in shop("doctor").stdout


def test_payloads_come_from_files_and_from_stdin(shop: Call, folder: Path) -> None:
    (folder / "ada.json").write_text('{"name": "Ada"}')
    first = shop("start", "greet", "--payload", "@ada.json").stdout.strip()
    second = shop("start", "greet", "--payload", "-", stdin='{"name": "Bob"}').stdout.strip()
    inputs = [as_json(shop("runs", "show", one, "--json"))["input"]["name"] for one in (first, second)]
    assert inputs == ["Ada", "Bob"]


def test_the_same_idempotency_key_is_the_same_run(shop: Call) -> None:
    one, two = (shop("start", "greet", "--payload", '{"name": "Ada"}', "--key", "k").stdout.strip() for _ in range(2))
    assert one == two
    other = shop("start", "greet", "--payload", '{"name": "Bob"}', "--key", "k")
    assert (other.exit_code, "belongs to" in other.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("start", "greet", "--payload", "{name}"), 2, "not JSON"),
        (("start", "greet", "--payload", "[1]"), 2, "not a JSON object"),
        (("start", "greet", "--payload", "@nowhere.json"), 2, "nowhere.json cannot be read"),
        (("start", "nothing"), 2, "There is no task 'nothing'"),
        (("start", "great"), 2, "Known here: broken, greet, refund"),
        (("start", "greet", "--delay", "soon"), 2, "'soon' is not a duration"),
        (("runs", "show", "run_1"), 1, "There is no run 'run_1'"),
        (("runs", "tail", "run_1"), 1, "There is no run 'run_1'"),
        (("runs", "cancel", "run_1"), 1, "There is no run 'run_1'"),
        (("runs", "send", "run_1", "inbox", "1"), 1, "There is no run 'run_1'"),
        (("runs", "send", "run_1", "inbox", "{text}"), 2, "The message is not JSON"),
        (("runs", "resume", "run_1"), 2, "How shall it go on?"),
        (("runs", "resume", "run_1", "--rerun"), 1, "There is no run 'run_1'"),
        (("runs", "revive", "run_1"), 1, "There is no run 'run_1'"),
        (("runs", "list", "--status", "happy"), 2, "'happy' is no state"),
        (("approve", "wp_1"), 1, "wp_1"),
        (("approvals", "decide", "wp_1", "deny"), 1, "wp_1"),
        (("doctor", "--database", "mysql://x"), 2, "mysql:// is not supported"),
    ],
)
def test_a_mistake_is_told_with_what_to_do_and_never_with_a_traceback(shop: Call, words: tuple[str, ...], code: int, told: str) -> None:
    result = shop(*words)
    assert (result.exit_code, "Traceback" in result.output) == (code, False)
    assert told in result.stderr
    assert result.stderr.startswith("✗ ")
    assert len(result.stderr.strip().splitlines()) >= 2


def test_looking_never_makes_a_database(run: Call, folder: Path) -> None:
    result = run("runs", "list")
    assert (result.exit_code, "There is no database" in result.stderr) == (1, True)
    assert not (folder / ".agentflow").exists()


def test_a_file_that_is_no_database_is_told_as_that(run: Call, folder: Path) -> None:
    (folder / "notes.db").write_text("these are my notes, and no database at all" * 100)
    result = run("doctor", "--database", "notes.db")
    assert (result.exit_code, "Traceback" in result.output, "notes.db" in result.stderr) == (1, False, True)


def test_migrate_makes_the_database_once(run: Call) -> None:
    assert "applied" in run("migrate").stdout
    assert "nothing to do" in run("migrate").stdout


def test_settings_come_from_pyproject_then_the_environment_then_flags(run: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyproject.toml").write_text('[tool.agentflow]\ndatabase = "project.db"\n')
    assert "project.db" in run("migrate").stdout
    monkeypatch.setenv("AGENTFLOW_DATABASE", "environment.db")
    assert "environment.db" in run("migrate").stdout
    assert "flag.db" in run("migrate", "--database", "flag.db").stdout
    (folder / "pyproject.toml").write_text("[tool.agentflow]\ndatabse = 'x'\n")
    result = run("migrate")
    assert (result.exit_code, "knows no databse" in result.stderr) == (2, True)
