"""Programs that stay: worker, dev, tail; and their signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from agentflow.dashboard import bundle
from tests.cli.conftest import Start
from tests.cli.programs import PATIENCE


def answered(folder_start: Start, *words: str) -> str:
    """What a command says to its end; it must succeed."""
    program = folder_start(*words)
    assert program.end() == 0, program.said
    return program.said


def held(folder: Path) -> None:
    """Return once a step of the shop holds."""
    deadline = time.monotonic() + PATIENCE
    while not (folder / "holding").exists():
        assert time.monotonic() < deadline


def test_a_worker_runs_what_is_started_elsewhere_and_sigterm_ends_it_with_0(start: Start) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    assert answered(start, "start", "greet", "--payload", '{"name": "Ada"}', "--wait") == '"Hello Ada"'
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0, worker.said
    assert "No worker" in answered(start, "workers")


def test_a_worker_that_is_told_to_stop_lets_the_running_step_finish(start: Start, folder: Path) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    run_id = answered(start, "start", "slow", "--payload", '{"seconds": 1.5}')
    held(folder)
    worker.signal(signal.SIGINT)
    worker.until("running steps get 25 s")
    assert worker.end() == 0, worker.said
    shown = json.loads(answered(start, "runs", "show", run_id, "--json"))
    assert (shown["status"], [entry["step"] for entry in shown["journal"]]) == ("completed", ["hold#0"])


def test_a_second_signal_ends_a_worker_at_once(start: Start, folder: Path) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    answered(start, "start", "slow", "--payload", '{"seconds": 20}')
    held(folder)
    worker.signal(signal.SIGTERM)
    worker.until("Once more ends at once")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 128 + signal.SIGTERM


def test_dev_serves_and_works_and_ends_with_0(start: Start) -> None:
    dev = start("dev", "shop.py", "--port", "0")
    url = dev.until("http://").split()[-1]
    dev.until("stop ")
    assert "Refund an order." in dev.said
    body = json.dumps({"task": "greet", "payload": {"name": "Ada"}}).encode()
    asked = urllib.request.Request(f"{url}/v1/runs", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=PATIENCE) as response:
        run_id = json.load(response)["id"]
    assert "Hello Ada" in answered(start, "runs", "tail", run_id)
    dev.until(lambda line: "completed" in line and run_id in line)
    dev.signal(signal.SIGINT)
    dev.until("Stopping")
    assert dev.end() == 0, dev.said


def test_a_port_that_is_taken_is_told_with_what_to_do(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        dev = start("dev", "shop.py", "--port", str(port))
        assert dev.end() in (1, 2)
    assert f"Port {port}" in dev.said
    assert f"--port {port + 1}" in dev.said
    assert "Traceback" not in dev.said


def test_a_tail_tells_a_run_to_its_end_with_the_question_and_the_answer(start: Start) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    tail = start("start", "refund", "--payload", '{"order_id": "o-1"}', "--tail")
    tail.until("refund")
    tail.until("✓ look_up")
    tail.until("? Refund it?")
    approval = tail.until("agentflow approve").split()[-1]
    assert approval in answered(start, "approvals", "list")
    assert "denied" in answered(start, "approve", approval, "--deny", "--reason", "too late", "--by", "maria")
    tail.until("denied by maria: too late")
    assert tail.end() == 0, tail.said
    assert tail.lines[-1].strip() == "denied: too late"
    again = start("approve", approval)
    assert again.end() == 4
    assert "Traceback" not in again.said


def test_a_tail_of_a_run_that_fails_ends_with_1(start: Start) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    tail = start("start", "broken", "--tail")
    assert tail.end() == 1
    assert "ValueError: no such order" in tail.said


def test_an_ended_run_whose_stream_is_gone_is_told_from_its_record(start: Start) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    run_id = json.loads(answered(start, "start", "greet", "--payload", '{"name": "Ada"}', "--wait", "--json"))["id"]
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    said = answered(start, "runs", "tail", run_id)
    assert "completed" in said
    assert "Hello Ada" in said


def test_a_tail_says_why_a_run_does_not_start(start: Start) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    tail = start("start", "greet", "--payload", '{"name": "Ada"}', "--tail")
    tail.until("no worker is alive")
    late = start("worker", "shop.py")
    late.until("stop ")
    tail.until("Hello Ada")
    assert tail.end() == 0


def test_the_cookbook_support_desk_runs(start: Start) -> None:
    desk = Path(__file__).parents[2] / "cookbook/support.py"
    dev = start("dev", str(desk), "--port", "0")
    dev.until("stop ")
    said = answered(start, "start", "refund", "--payload", '{"order_id": "o-81", "cents": 500}', "--wait")
    assert json.loads(said)["state"] == "refunded"


@pytest.mark.parametrize(
    ("words", "told"),
    [(("worker", "shop.py", "--concurrency", "0"), "concurrency = 0"), (("server", "shop.py", "--host", "0.0.0.0"), "API key")],
)
def test_a_setting_that_cannot_be_is_told_and_nothing_starts(start: Start, words: tuple[str, ...], told: str) -> None:
    program = start(*words)
    assert program.end() == 2
    assert told in program.lines[0]
    assert len(program.lines) == 2


@pytest.mark.parametrize("options", [(), ("--api-key", "secret,newer", "--cors-origins", "https://shop.example")])
def test_a_server_lets_in_who_has_a_key(start: Start, options: tuple[str, ...]) -> None:
    server = start("server", "shop.py", "--port", "0", *options)
    url = server.until("http://").split()[-1]
    server.until("stop ")
    request = urllib.request.Request(f"{url}/v1/tasks")
    if options:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=PATIENCE)
        request.add_header("authorization", "Bearer newer")
    request.add_header("origin", "https://shop.example")
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        assert "refund" in response.read().decode()
        assert response.headers.get("access-control-allow-origin") == ("https://shop.example" if options else None)
    server.signal(signal.SIGTERM)
    assert server.end() == 0, server.said


def test_a_server_tells_where_its_dashboard_is_and_serves_it_without_a_key(start: Start) -> None:
    if bundle() is None:
        pytest.skip("the dashboard is not built: make dashboard")
    server = start("server", "shop.py", "--port", "0", "--api-key", "secret")
    url = server.until("dashboard ").split()[-1]
    server.until("stop ")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"accept": "text/html"}), timeout=PATIENCE) as response:
        assert "<title>agentflow</title>" in response.read().decode()


def test_a_pipe_that_closes_early_is_no_traceback(start: Start, folder: Path) -> None:
    answered(start, "migrate")
    said = subprocess.run("agentflow --help | head -1", shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in said.stderr
